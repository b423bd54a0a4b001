// SPDX-License-Identifier: Apache-2.0
//
// ctx.storage.sql: queries and cursors. A cursor is a number of the native side while it has rows; a cursor without
// any, which is most of them (writes, and reads that are read to their end), has nothing there.

import { toText } from "../../internal/convert.ts";
import { badArgument, illegalConstructor, illegalInvocation } from "../../internal/errors.ts";
import {
  apply, arraySlice, defineProperty, isBytes, iteratorPrototype, SafeUint32Array, setPrototypeOf,
} from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import { native } from "../native.ts";
import type { StorageState } from "./state.ts";

type Row = Record<string, unknown>;

const kSecret = {};
// What a native call tells beside its result: the cursor's number (0: no more rows), rows read, rows written.
const told = new SafeUint32Array(3);
// The newest cursor that may still have rows. Older ones that do are tied to the life of their JavaScript half, which
// costs too much to be done for those that are read at once.
let newest: Cursor | undefined;

let cursorOf: (value: unknown) => Cursor;
let nextOf: (cursor: Cursor, raw: boolean) => IteratorResult<unknown>;

class Cursor {
  #number: number;
  #rowsRead: number;
  #rowsWritten: number;
  readonly #names: readonly string[] | undefined;
  #columnNames: string[] | undefined;

  // Not members that a Worker could call.
  static {
    cursorOf = (value) => {
      if (typeof value !== "object" || value === null || !(#number in value)) throw illegalInvocation();
      return value as Cursor;
    };
    nextOf = (cursor, raw) => {
      if (cursor.#number === 0) return { done: true, value: undefined };
      return { done: false, value: cursor.#step(raw) };
    };
  }

  constructor(secret: object, names: readonly string[] | undefined) {
    if (secret !== kSecret) throw illegalConstructor();
    this.#number = told[0]!;
    this.#rowsRead = told[1]!;
    this.#rowsWritten = told[2]!;
    this.#names = names;
    if (told[0] !== 0) {
      if (newest !== undefined && newest.#number !== 0) native.sql_tie(newest.#number, newest);
      newest = this;
    }
  }

  #listen(): void {
    this.#number = told[0]!;
    this.#rowsRead = told[1]!;
    this.#rowsWritten = told[2]!;
  }

  // The next row: an object, or a list when raw. There must be one.
  #step(raw: boolean): unknown {
    told[0] = this.#number;
    told[1] = this.#rowsRead;
    told[2] = this.#rowsWritten;
    try {
      return native.sql_next(told, this.#number, raw);
    } finally {
      this.#listen();
    }
  }

  next(): IteratorResult<unknown> {
    return nextOf(cursorOf(this), false);
  }

  toArray(): unknown[] {
    const self = cursorOf(this);
    if (self.#number === 0) return [];
    told[0] = self.#number;
    try {
      return native.sql_rest(told, self.#number, false);
    } finally {
      self.#listen();
    }
  }

  one(): unknown {
    const self = cursorOf(this);
    if (self.#number === 0) throw new Error("Expected exactly one result from SQL query, but got no results.");
    const row = self.#step(false);
    if (self.#number !== 0) {
      native.sql_drop(self.#number);
      self.#number = 0;
      throw new Error("Expected exactly one result from SQL query, but got multiple results.");
    }
    return row;
  }

  raw(): InstanceType<typeof RawIterator> {
    return new RawIterator(kSecret, cursorOf(this));
  }

  get columnNames(): string[] {
    const self = cursorOf(this);
    return (self.#columnNames ??= self.#names === undefined ? [] : arraySlice(self.#names));
  }

  get rowsRead(): number {
    return cursorOf(this).#rowsRead;
  }

  get rowsWritten(): number {
    return cursorOf(this).#rowsWritten;
  }

  [Symbol.iterator](): InstanceType<typeof RowIterator> {
    return new RowIterator(kSecret, cursorOf(this));
  }
}

// Iterators have no position of their own: they go on where the cursor is. Two classes, for what they give is all in which
// they differ, and a Worker may ask one for its name.
const makeIteratorClass = (isRaw: boolean) => class {
  readonly #cursor: Cursor;

  constructor(secret: object, cursor: Cursor) {
    if (secret !== kSecret) throw illegalConstructor();
    this.#cursor = cursor;
  }

  next(): IteratorResult<unknown> {
    if (!(#cursor in this)) throw illegalInvocation();
    return nextOf(this.#cursor, isRaw);
  }

  [Symbol.iterator](): this {
    return this;
  }
};
const RowIterator = makeIteratorClass(false);
const RawIterator = makeIteratorClass(true);

class Statement {
  constructor() {
    throw illegalConstructor();
  }
}

// What SQLite can hold; anything else as text.
function bindable(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") throw new TypeError("Cannot convert a BigInt value to a number");
  return isBytes(value) ? value : toText(value);
}

class SqlStorage {
  readonly #state: StorageState;

  constructor(secret: object, state: StorageState) {
    if (secret !== kSecret) throw illegalConstructor();
    this.#state = state;
  }

  exec(...args: unknown[]): Cursor {
    if (!(#state in this)) throw illegalInvocation();
    const count = args.length;
    if (count === 0) throw badArgument("exec", "SqlStorage", 1, "String");
    const query = toText(args[0]);
    for (let i = 1; i < count; i++) {
      const value = args[i];
      if (typeof value !== "string" && typeof value !== "number") args[i] = bindable(value);
    }
    const { actor } = this.#state;
    let names: readonly string[] | undefined;
    switch (count) {
      case 1: names = native.sql_exec(told, actor, query); break;
      case 2: names = native.sql_exec(told, actor, query, args[1]); break;
      case 3: names = native.sql_exec(told, actor, query, args[1], args[2]); break;
      case 4: names = native.sql_exec(told, actor, query, args[1], args[2], args[3]); break;
      default: names = apply(native.sql_exec, undefined, listFor(actor, query, args)) as readonly string[] | undefined;
    }
    return new Cursor(kSecret, names);
  }

  get databaseSize(): number {
    if (!(#state in this)) throw illegalInvocation();
    return native.storage_size(this.#state.actor);
  }
}

function listFor(actor: number, query: string, args: readonly unknown[]): unknown[] {
  const list: unknown[] = [told, actor, query];
  for (let i = 1; i < args.length; i++) list[i + 2] = args[i];
  return list;
}

webClass(SqlStorage, "SqlStorage");
webClass(Cursor, "Cursor");
webClass(Statement, "Statement");
webClass(RowIterator, "RowIterator");
webClass(RawIterator, "RawIterator");
setPrototypeOf(RowIterator.prototype, iteratorPrototype);
setPrototypeOf(RawIterator.prototype, iteratorPrototype);
defineProperty(SqlStorage.prototype, "Cursor", { value: Cursor, writable: true, enumerable: true, configurable: true });
defineProperty(SqlStorage.prototype, "Statement", { value: Statement, writable: true, enumerable: true, configurable: true });

export function makeSql(state: StorageState): object {
  return new SqlStorage(kSecret, state);
}
