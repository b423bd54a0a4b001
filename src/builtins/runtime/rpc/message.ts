// SPDX-License-Identifier: Apache-2.0
//
// What one call takes along. V8's serialiser refuses functions and proxies before it asks anybody, so markers stand in
// for them: at first only for arguments themselves, and when that fails, in a copy of the containers that they are in.

import { isObject } from "../../internal/convert.ts";
import {
  getPrototypeOf, hasOwn, isArray, mapForEach, mapGet, mapSet, objectKeys, SafeMap,
} from "../../internal/intrinsics.ts";
import { isUncalledExport } from "../exports.ts";
import { native } from "../native.ts";
import { isEnabled } from "../settings.ts";
import { takeBack } from "./exported.ts";
import { type Held, internalsOf } from "./stubs.ts";

// Stands for a function or proxy. reduce() gets it in their place.
export class Marker {
  readonly value: object;

  constructor(value: object) {
    this.value = value;
  }
}

// arguments: of a call; result: its answer, and what it holds changes its owner; kept: env and props.
export type Purpose = "arguments" | "result" | "kept";

// Does the sender of a stub keep its own? Before, it moved to the receiver.
export function areStubsDuplicated(): boolean {
  return isEnabled("rpc_params_dup_stubs", "rpc_params_transfer_stubs", "2026-01-20");
}

export interface Message {
  readonly purpose: Purpose;
  // What cannot be undone may be done: nothing will be tried again after this.
  isFinal: boolean;
  markers: Map<object, Marker> | null;
  // Objects that were exported for it, and stubs that it carries.
  readonly exports: number[];
  readonly stubs: Held[];
}

// Thrown by reduce() for what cannot be undone, and caught below.
const again = new Error("This value is to be sent in a second attempt.");

let current: Message | null = null;

export function currentMessage(): Message | null {
  return current;
}

// Called before a stream is given away, or code of the Worker is run for the message.
export function beforeWhatCannotBeUndone(message: Message): void {
  if (!message.isFinal) throw again;
}

export function mark(message: Message, value: object): Marker {
  const markers = message.markers ??= new SafeMap<object, Marker>();
  let marker = mapGet(markers, value);
  if (marker === undefined) {
    marker = new Marker(value);
    mapSet(markers, value, marker);
  }
  return marker;
}

// Must a marker stand for it? In env and props only for what is the runtime's own: V8's text for functions is the contract's.
export function needsMarker(purpose: Purpose, value: unknown): value is object {
  if (!isObject(value)) return false;
  const isCallable = typeof value === "function";
  if (!isCallable && !native.is_proxy(value)) return false;
  return purpose !== "kept" || isOwnCallable(value);
}

// Stubs are proxies; those of ctx.exports are functions.
function isOwnCallable(value: object): boolean {
  return isUncalledExport(value) || (native.is_proxy(value) && internalsOf(value) !== undefined);
}

// Runs `send` with a value that the serialiser takes; it may run twice. Returns the stubs that went along.
export function transfer(purpose: Purpose, value: unknown, send: (value: unknown) => void): readonly Held[] {
  const outer = current;
  const message: Message = { purpose, isFinal: purpose === "kept", markers: null, exports: [], stubs: [] };
  current = message;
  try {
    if (message.isFinal) {
      send(copyWithMarkers(message, value) ?? value);
      return message.stubs;
    }
    try {
      send(markTop(message, value));
      return message.stubs;
    } catch (error) {
      undo(message);
      const copy = copyWithMarkers(message, value);
      if (copy === undefined && error !== again) throw error;
      message.isFinal = true;
      send(copy ?? value);
      return message.stubs;
    }
  } catch (error) {
    undo(message);
    throw error;
  } finally {
    current = outer;
  }
}

function undo(message: Message): void {
  const { exports, stubs } = message;
  for (let i = 0; i < exports.length; i++) takeBack(exports[i]!);
  exports.length = 0;
  stubs.length = 0;
}

// The arguments are a list of this call's own; a result is a value of the Worker's.
function markTop(message: Message, value: unknown): unknown {
  if (message.purpose === "arguments") {
    const list = value as unknown[];
    let marked = list;
    for (let i = 0; i < list.length; i++) {
      const item = list[i];
      if (!needsMarker(message.purpose, item)) continue;
      if (marked === list) marked = [...list];
      marked[i] = mark(message, item);
    }
    return marked;
  }
  return needsMarker(message.purpose, value) ? mark(message, value) : value;
}

const kPlain: object = Object.prototype;
const kMap: object = Map.prototype;
const kSet: object = Set.prototype;
const setForEach = Set.prototype.forEach;

// A copy of the containers in `value` with markers in place; undefined when there is nothing to mark.
export function copyWithMarkers(message: Message, value: unknown): unknown {
  const copies = new SafeMap<object, object>();
  let found = false;
  const copy = (item: unknown): unknown => {
    if (!isObject(item)) return item;
    if (needsMarker(message.purpose, item)) {
      found = true;
      return mark(message, item);
    }
    if (typeof item === "function") return item;
    const known = mapGet(copies, item);
    if (known !== undefined) return known;
    if (isArray(item)) {
      const list: unknown[] = [];
      list.length = (item as unknown[]).length;
      mapSet(copies, item, list);
      return fill(list as unknown as Record<string, unknown>, item as unknown as Record<string, unknown>);
    }
    const prototype = getPrototypeOf(item) as object | null;
    if (prototype === kPlain) {
      const object: Record<string, unknown> = {};
      mapSet(copies, item, object);
      return fill(object, item as Record<string, unknown>);
    }
    if (prototype === kMap) {
      const map = new SafeMap<unknown, unknown>();
      mapSet(copies, item, map);
      mapForEach(item as Map<unknown, unknown>, (inner: unknown, key: unknown) => mapSet(map, copy(key), copy(inner)));
      return map;
    }
    if (prototype === kSet) {
      const set = new Set<unknown>();
      mapSet(copies, item, set);
      Reflect.apply(setForEach, item, [(inner: unknown) => set.add(copy(inner))]);
      return set;
    }
    return item;
  };
  const fill = (into: Record<string, unknown>, from: Record<string, unknown>): object => {
    const keys = objectKeys(from);
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      if (!hasOwn(from, key)) continue;  // A getter has deleted it.
      Object.defineProperty(into, key, { value: copy(from[key]), writable: true, enumerable: true, configurable: true });
    }
    return into;
  };
  const all = copy(value);
  return found ? all : undefined;
}
