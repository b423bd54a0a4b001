// SPDX-License-Identifier: Apache-2.0
//
// ctx.storage.kv: the same keys and values, at once.

import { toText } from "../../internal/convert.ts";
import { badArgument, illegalConstructor, illegalInvocation } from "../../internal/errors.ts";
import { iteratorPrototype, setPrototypeOf } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import { native } from "../native.ts";
import { type Range, rangeOf, type StorageState } from "./state.ts";

const kName = "SyncKvStorage";
const kSecret = {};
const kAhead = 64;  // pairs that an iterator reads at a time

let isNewest: (kv: SyncKvStorage, iterator: ListIterator) => boolean;

class SyncKvStorage {
  readonly #state: StorageState;
  #iterator: ListIterator | undefined;  // the newest; older ones are of no use

  static {
    isNewest = (kv, iterator) => kv.#iterator === iterator;
  }

  constructor(secret: object, state: StorageState) {
    if (secret !== kSecret) throw illegalConstructor();
    this.#state = state;
  }

  get(...args: unknown[]): unknown {
    if (!(#state in this)) throw illegalInvocation();
    if (args.length === 0) throw badArgument("get", kName, 1, "string");
    return native.kv_get(this.#state.actor, toText(args[0]));
  }

  put(...args: unknown[]): void {
    if (!(#state in this)) throw illegalInvocation();
    if (args.length === 0) throw badArgument("put", kName, 1, "string");
    const key = toText(args[0]);
    if (args.length === 1) throw badArgument("put", kName, 2, "Value");
    native.kv_put(this.#state.actor, key, args[1], false);
    this.#state.version++;
  }

  delete(...args: unknown[]): boolean {
    if (!(#state in this)) throw illegalInvocation();
    if (args.length === 0) throw badArgument("delete", kName, 1, "string");
    this.#state.version++;
    return native.kv_delete(this.#state.actor, toText(args[0]), false);
  }

  list(...args: unknown[]): ListIterator {
    if (!(#state in this)) throw illegalInvocation();
    return (this.#iterator = new ListIterator(kSecret, this, this.#state, rangeOf(args[0], kName)));
  }
}

// Pairs [key, value]. It sees what is written while it goes on: what it has read ahead counts only until then.
class ListIterator {
  readonly #kv: SyncKvStorage;
  readonly #state: StorageState;
  readonly #range: Range;
  #ahead: readonly unknown[] = [];
  #at = 0;
  #version = -1;
  #left: number;
  #isLast = false;  // nothing comes after what was read ahead

  constructor(secret: object, kv: SyncKvStorage, state: StorageState, range: Range) {
    if (secret !== kSecret) throw illegalConstructor();
    this.#kv = kv;
    this.#state = state;
    this.#range = range;
    this.#left = range.limit === 0 ? Infinity : range.limit;
  }

  next(): IteratorResult<[string, unknown]> {
    if (!(#kv in this)) throw illegalInvocation();
    if (this.#left === 0) return { done: true, value: undefined };
    if (!isNewest(this.#kv, this)) {
      throw new Error(
        "kv.list() iterator was invalidated because a new call to kv.list() was started. Only one kv.list() iterator " +
          "can exist at a time.",
      );
    }
    if (this.#version !== this.#state.version || (this.#at === this.#ahead.length && !this.#isLast)) this.#read();
    if (this.#at === this.#ahead.length) {
      this.#left = 0;
      return { done: true, value: undefined };
    }
    const key = this.#ahead[this.#at] as string;
    const value = this.#ahead[this.#at + 1];
    this.#at += 2;
    this.#left--;
    // Where to go on from.
    const range = this.#range;
    if (range.reverse) {
      range.end = key;
    } else {
      range.start = undefined;
      range.startAfter = key;
    }
    return { done: false, value: [key, value] };
  }

  #read(): void {
    const { start, startAfter, end, prefix, reverse } = this.#range;
    const count = this.#left < kAhead ? this.#left : kAhead;
    this.#ahead = native.kv_list(this.#state.actor, start, startAfter, end, prefix, reverse, count);
    this.#at = 0;
    this.#isLast = this.#ahead.length < count * 2;
    this.#version = this.#state.version;
  }

  [Symbol.iterator](): this {
    return this;
  }
}

webClass(SyncKvStorage, kName);
webClass(ListIterator, "ListIterator");
setPrototypeOf(ListIterator.prototype, iteratorPrototype);

export function makeSyncKv(state: StorageState): object {
  return new SyncKvStorage(kSecret, state);
}
