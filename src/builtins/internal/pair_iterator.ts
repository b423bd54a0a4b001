// SPDX-License-Identifier: Apache-2.0
//
// The iterators of Headers, URLSearchParams and FormData over a flat list [name, value, name, value, ...].

import { defineProperty, getPrototypeOf, objectCreate } from "./intrinsics.ts";

export type PairIterator<T> = IterableIterator<T>;
export type PairKind = "entries" | "keys" | "values";

interface Cursor {
  list: readonly unknown[];
  at: number;
  kind: PairKind;
}

const iteratorPrototype = getPrototypeOf(getPrototypeOf([][Symbol.iterator]()) as object) as object;
const prototypes = objectCreate(null) as Record<string, object>;
const cursors = new WeakMap<object, Cursor>();
const { get, set } = WeakMap.prototype;
const { call } = Function.prototype;
const cursorOf = call.bind(get as never, cursors as never) as (key: object) => Cursor | undefined;
const keepCursor = call.bind(set as never, cursors as never) as (key: object, cursor: Cursor) => void;

function prototypeFor(name: string): object {
  const known = prototypes[name];
  if (known !== undefined) return known;
  const prototype = objectCreate(iteratorPrototype) as object;
  defineProperty(prototype, "next", {
    value: function next(this: object): IteratorResult<unknown> {
      const cursor = cursorOf(this);
      if (cursor === undefined) throw new TypeError(`next() was called on something that is not a ${name}.`);
      const { list, at, kind } = cursor;
      if (at >= list.length) return { value: undefined, done: true };
      cursor.at = at + 2;
      const value = kind === "keys" ? list[at] : kind === "values" ? list[at + 1] : [list[at], list[at + 1]];
      return { value, done: false };
    },
    writable: true,
    enumerable: true,
    configurable: true,
  });
  defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
  return (prototypes[name] = prototype);
}

// The list is read as the iterator goes: what is appended meanwhile is seen.
export function pairIterator<T>(list: readonly unknown[], kind: PairKind, name: string): PairIterator<T> {
  const iterator = objectCreate(prototypeFor(name)) as PairIterator<T>;
  keepCursor(iterator, { list, at: 0, kind });
  return iterator;
}
