// SPDX-License-Identifier: Apache-2.0
//
// URLSearchParams (https://url.spec.whatwg.org/#interface-urlsearchparams) and the
// application/x-www-form-urlencoded format that forms share with it.

import { isObject, toUsv } from "../internal/convert.ts";
import { badArgument, illegalInvocation } from "../internal/errors.ts";
import {
  apply, byteLengthOf, charCodeAt, fromCharCode, hasOwnEnumerable, indexOf, isArray, ownKeys, replaceAll, slice, sort,
  split,
} from "../internal/intrinsics.ts";
import { pairIterator, type PairIterator } from "../internal/pair_iterator.ts";
import { webClass } from "../internal/web_class.ts";
import { adoptParams } from "./params_later.ts";

export type URLSearchParamsInit = string | URLSearchParams | Iterable<Iterable<string>> | Record<string, string>;

interface ParamsState {
  // [name, value, name, value, ...]; the array stays the same for the life of the object, iterators walk on it.
  list: string[];
  // Tells the URL of which these are the query.
  changed: ((query: string) => void) | null;
}

let stateOf: (params: URLSearchParams) => ParamsState;
export let isSearchParams: (value: unknown) => value is URLSearchParams;

export class URLSearchParams {
  #state: ParamsState = { list: [], changed: null };

  static {
    stateOf = (params) => {
      if (!isObject(params) || !(#state in params)) throw illegalInvocation();
      return params.#state;
    };
    isSearchParams = (value): value is URLSearchParams => isObject(value) && #state in value;
  }

  constructor(init?: URLSearchParamsInit) {
    const { list } = this.#state;
    if (init === undefined) return;
    if (!isObject(init)) {
      const text = toUsv(init);
      parseUrlEncoded(charCodeAt(text, 0) === 0x3f ? slice(text, 1) : text, list);
      return;
    }
    const iterator = (init as Partial<Iterable<unknown>>)[Symbol.iterator];
    if (iterator !== undefined && iterator !== null) {
      for (const pair of init as Iterable<unknown>) {
        const iterable = isObject(pair) && typeof (pair as Partial<Iterable<unknown>>)[Symbol.iterator] === "function";
        const parts = !iterable ? [] : isArray(pair) ? (pair as unknown[]) : [...(pair as Iterable<unknown>)];
        if (parts.length !== 2) throw new TypeError("Invalid URL search params sequence.");
        const name = toUsv(parts[0]);
        push(list, name, toUsv(parts[1]));
      }
      return;
    }
    for (const key of ownKeys(init)) {
      if (!hasOwnEnumerable(init, key)) continue;
      const name = toUsv(key);
      push(list, name, toUsv((init as Record<PropertyKey, unknown>)[key]));
    }
  }

  get size(): number {
    return stateOf(this).list.length / 2;
  }

  append(name: string, value: string): void {
    const state = stateOf(this);
    if (arguments.length < 2) throw badArgument("append", "URLSearchParams", arguments.length + 1, "USVString");
    const key = toUsv(name);
    push(state.list, key, toUsv(value));
    notify(state);
  }

  delete(name: string, value?: string): void {
    const state = stateOf(this);
    const key = toUsv(name);
    const text = value === undefined ? undefined : toUsv(value);
    const { list } = state;
    let kept = 0;
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === key && (text === undefined || list[i + 1] === text)) continue;
      list[kept] = list[i]!;
      list[kept + 1] = list[i + 1]!;
      kept += 2;
    }
    list.length = kept;
    notify(state);
  }

  get(name: string): string | null {
    const { list } = stateOf(this);
    const key = toUsv(name);
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === key) return list[i + 1]!;
    }
    return null;
  }

  getAll(name: string): string[] {
    const { list } = stateOf(this);
    const key = toUsv(name);
    const values: string[] = [];
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === key) values[values.length] = list[i + 1]!;
    }
    return values;
  }

  has(name: string, value?: string): boolean {
    const { list } = stateOf(this);
    const key = toUsv(name);
    const text = value === undefined ? undefined : toUsv(value);
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === key && (text === undefined || list[i + 1] === text)) return true;
    }
    return false;
  }

  set(name: string, value: string): void {
    const state = stateOf(this);
    if (arguments.length < 2) throw badArgument("set", "URLSearchParams", arguments.length + 1, "USVString");
    const key = toUsv(name);
    const text = toUsv(value);
    const { list } = state;
    let kept = 0;
    let done = false;
    for (let i = 0; i < list.length; i += 2) {
      const same = list[i] === key;
      if (same && done) continue;
      list[kept] = list[i]!;
      list[kept + 1] = same ? text : list[i + 1]!;
      done ||= same;
      kept += 2;
    }
    list.length = kept;
    if (!done) push(list, key, text);
    notify(state);
  }

  // By UTF-16 code units, and stable.
  sort(): void {
    const state = stateOf(this);
    const { list } = state;
    const pairs: [string, string][] = [];
    for (let i = 0; i < list.length; i += 2) pairs[pairs.length] = [list[i]!, list[i + 1]!];
    sort(pairs, (a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    for (let i = 0; i < pairs.length; i++) {
      list[2 * i] = pairs[i]![0];
      list[2 * i + 1] = pairs[i]![1];
    }
    notify(state);
  }

  forEach(visit: (value: string, name: string, params: URLSearchParams) => void, self?: unknown): void {
    const { list } = stateOf(this);
    if (typeof visit !== "function") throw badArgument("forEach", "URLSearchParams", 1, "function");
    for (let i = 0; i < list.length; i += 2) apply(visit, self, [list[i + 1], list[i], this]);
  }

  entries(): PairIterator<[string, string]> {
    return pairIterator(stateOf(this).list, "entries", "URLSearchParams Iterator");
  }

  keys(): PairIterator<string> {
    return pairIterator(stateOf(this).list, "keys", "URLSearchParams Iterator");
  }

  values(): PairIterator<string> {
    return pairIterator(stateOf(this).list, "values", "URLSearchParams Iterator");
  }

  declare [Symbol.iterator]: () => PairIterator<[string, string]>;

  toString(): string {
    return urlEncode(stateOf(this).list);
  }
}

Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, {
  value: URLSearchParams.prototype.entries, writable: true, configurable: true,
});

webClass(URLSearchParams, "URLSearchParams", (params) => {
  const view = { __proto__: null } as unknown as Record<string, string | string[]>;
  for (const name of params.keys()) {
    const all = params.getAll(name);
    view[name] = all.length === 1 ? all[0]! : all;
  }
  return view;
});

function push(list: string[], name: string, value: string): void {
  list[list.length] = name;
  list[list.length] = value;
}

function notify({ list, changed }: ParamsState): void {
  if (changed !== null) changed(urlEncode(list));
}

// ---- For URL and for bodies

export function linkedParams(search: string, changed: (query: string) => void): URLSearchParams {
  const params = new URLSearchParams();
  const state = stateOf(params);
  state.changed = changed;
  refillParams(params, search);
  return params;
}

export function refillParams(params: URLSearchParams, search: string): void {
  const { list } = stateOf(params);
  list.length = 0;
  parseUrlEncoded(search === "" ? "" : slice(search, 1), list);
}

export function paramsText(params: URLSearchParams): string {
  return urlEncode(stateOf(params).list);
}

// https://url.spec.whatwg.org/#concept-urlencoded-parser
export function parseUrlEncoded(text: string, into: string[]): void {
  if (text === "") return;
  const sequences = split(text, "&");
  for (let i = 0; i < sequences.length; i++) {
    const sequence = sequences[i]!;
    if (sequence === "") continue;
    const at = indexOf(sequence, "=");
    push(into, percentDecode(at < 0 ? sequence : slice(sequence, 0, at)),
      at < 0 ? "" : percentDecode(slice(sequence, at + 1)));
  }
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function percentDecode(raw: string): string {
  const text = indexOf(raw, "+") < 0 ? raw : replaceAll(raw, "+", " ");
  if (indexOf(text, "%") < 0) return text;
  const bytes = ops.utf8_encode(text);
  const length = byteLengthOf(bytes);
  let end = 0;
  for (let i = 0; i < length; i++) {
    let byte = bytes[i]!;
    if (byte === 0x25 && i + 2 < length) {
      const high = hexDigit(bytes[i + 1]!);
      const low = hexDigit(bytes[i + 2]!);
      if (high >= 0 && low >= 0) {
        byte = high * 16 + low;
        i += 2;
      }
    }
    bytes[end++] = byte;
  }
  for (let i = end; i < length; i++) bytes[i] = 0x20;
  const decoded = ops.utf8_decode(bytes, false)!;
  // Spaces filled up what decoding left free, so that no second view is needed.
  return slice(decoded, 0, decoded.length - (length - end));
}

// https://url.spec.whatwg.org/#concept-urlencoded-serializer
export function urlEncode(list: readonly string[]): string {
  let out = "";
  for (let i = 0; i < list.length; i += 2) {
    if (i > 0) out += "&";
    out += `${percentEncode(list[i]!)}=${percentEncode(list[i + 1]!)}`;
  }
  return out;
}

const kUpperHex = "0123456789ABCDEF";

function isPlain(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || (code >= 0x30 && code <= 0x39) ||
    code === 0x2a || code === 0x2d || code === 0x2e || code === 0x5f;
}

function percentEncode(text: string): string {
  let plain = true;
  for (let i = 0; i < text.length && plain; i++) plain = isPlain(charCodeAt(text, i));
  if (plain) return text;
  const bytes = ops.utf8_encode(text);
  const length = byteLengthOf(bytes);
  let out = "";
  for (let i = 0; i < length; i++) {
    const byte = bytes[i]!;
    if (isPlain(byte)) out += fromCharCode(byte);
    else if (byte === 0x20) out += "+";
    else out += `%${kUpperHex[byte >> 4]}${kUpperHex[byte & 15]}`;
  }
  return out;
}

adoptParams(isSearchParams);
