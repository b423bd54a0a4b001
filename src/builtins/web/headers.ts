// SPDX-License-Identifier: Apache-2.0
//
// Headers (https://fetch.spec.whatwg.org/#headers-class) over the flat form in which fields cross every boundary:
// "name\0value\0name\0value\0" with lower-case names. A block that came in is cut into a list only when somebody asks
// for a field, and goes out again as it came when nobody changed it.
//
// Names are more lenient than the standard's, as Workers are used to: "" and names with letters beyond ASCII are
// accepted, and refused only when the fields are to be sent.

import { isObject, toText } from "../internal/convert.ts";
import { badArgument, badConstructorArgument, illegalInvocation } from "../internal/errors.ts";
import {
  apply, charCodeAt, isArray, join, objectCreate, objectKeys, regExpExec, slice, sort, split,
  toLowerCase,
} from "../internal/intrinsics.ts";
import { pairIterator, type PairIterator } from "../internal/pair_iterator.ts";
import { webClass } from "../internal/web_class.ts";

export type HeadersGuard = "none" | "immutable";
export type HeadersInit = Headers | Iterable<Iterable<string>> | Record<string, string>;

const separatorOfFields = "\0";
const kFewParts = 32;  // Up to here adding strings is faster than joining them.
const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const kNoName = /[\0-\x20"(),/:;<=>?@[\\\]{}\x7f]/;
const kNoValue = /[\0-\x08\x0a-\x1f\x7f]/;

// Names that need neither a check nor a conversion, to their lower case: the usual ones in the two spellings in which
// they are mostly written, and the first that the Worker itself used.
const kMostLearned = 256;
const kLongestLearned = 64;
let learned = 0;
const knownNames: Record<string, string> = objectCreate(null) as Record<string, string>;
for (const name of [
  "Accept", "Accept-Encoding", "Accept-Language", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods",
  "Access-Control-Allow-Origin", "Authorization", "Cache-Control", "Connection", "Content-Disposition",
  "Content-Encoding", "Content-Language", "Content-Length", "Content-Type", "Cookie", "Date", "ETag", "Expires", "Host",
  "If-Modified-Since", "If-None-Match", "Last-Modified", "Location", "Origin", "Pragma", "Range", "Referer", "Server",
  "Set-Cookie", "Transfer-Encoding", "Upgrade", "User-Agent", "Vary", "X-Forwarded-For", "X-Requested-With",
]) {
  const lower = toLowerCase(name);
  knownNames[name] = lower;
  knownNames[lower] = lower;
}

function toName(value: unknown): string {
  const name = typeof value === "string" ? value : toText(value);
  const known = knownNames[name];
  if (known !== undefined) return known;
  const lower = toLowerCase(name);
  if (regExpExec(kToken, name) === null) {
    if (regExpExec(kNoName, name) !== null) throw new TypeError("Invalid header name.");
  } else if (learned < kMostLearned && name.length <= kLongestLearned) {
    learned++;
    knownNames[name] = lower;
    knownNames[lower] = lower;
  }
  return lower;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;
}

function toValue(value: unknown): string {
  let text = typeof value === "string" ? value : toText(value);
  const length = text.length;
  if (length > 0 && (isSpace(charCodeAt(text, 0)) || isSpace(charCodeAt(text, length - 1)))) {
    let start = 0;
    let end = length;
    while (start < end && isSpace(charCodeAt(text, start))) start++;
    while (end > start && isSpace(charCodeAt(text, end - 1))) end--;
    text = slice(text, start, end);
  }
  if (regExpExec(kNoValue, text) !== null) throw new TypeError("Invalid header value.");
  return text;
}

interface HeadersState {
  // The fields as a block; undefined since the list was changed.
  block: string | undefined;
  // The fields as [name, value, name, value, ...] in the order of arrival; undefined until somebody asks.
  list: string[] | undefined;
  guard: HeadersGuard;
}

let stateOf: (headers: Headers) => HeadersState;
export let isHeaders: (value: unknown) => value is Headers;

const token: unique symbol = Symbol("headers");

export class Headers {
  #state: HeadersState;

  static {
    stateOf = (headers) => {
      if (!isObject(headers) || !(#state in headers)) throw illegalInvocation();
      return headers.#state;
    };
    isHeaders = (value): value is Headers => isObject(value) && #state in value;
  }

  // The arguments after the first are the runtime's: a block in the form above, which is trusted.
  constructor(
    init: HeadersInit | undefined = undefined,
    secret: typeof token | undefined = undefined,
    block = "",
    guard: HeadersGuard = "none",
  ) {
    if (secret === token) {
      this.#state = { block, list: undefined, guard };
      return;
    }
    this.#state = { block: "", list: undefined, guard: "none" };
    if (init === undefined) return;
    if (!isObject(init)) throw badConstructorArgument("Headers", 1, "Headers or Sequence or object");
    fill(this.#state, init);
  }

  append(name: string, value: string): void {
    if (arguments.length < 2) throw badArgument("append", "Headers", arguments.length + 1, "string");
    const state = stateOf(this);
    const key = toName(name);
    const text = toValue(value);
    const list = change(state);
    list[list.length] = key;
    list[list.length] = text;
  }

  set(name: string, value: string): void {
    if (arguments.length < 2) throw badArgument("set", "Headers", arguments.length + 1, "string");
    const state = stateOf(this);
    const key = toName(name);
    const text = toValue(value);
    const list = change(state);
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] !== key) continue;
      list[i + 1] = text;
      removeAfter(list, i + 2, key);
      return;
    }
    list[list.length] = key;
    list[list.length] = text;
  }

  delete(name: string): void {
    if (arguments.length < 1) throw badArgument("delete", "Headers", 1, "string");
    const state = stateOf(this);
    const key = toName(name);
    removeAfter(change(state), 0, key);
  }

  get(name: string): string | null {
    if (arguments.length < 1) throw badArgument("get", "Headers", 1, "string");
    return valueOf(stateOf(this), toName(name));
  }

  has(name: string): boolean {
    if (arguments.length < 1) throw badArgument("has", "Headers", 1, "string");
    const list = listOf(stateOf(this));
    const key = toName(name);
    for (let i = 0; i < list.length; i += 2) {
      if (list[i] === key) return true;
    }
    return false;
  }

  getSetCookie(): string[] {
    return cookiesOf(stateOf(this));
  }

  getAll(name: string): string[] {
    if (arguments.length < 1) throw badArgument("getAll", "Headers", 1, "string");
    const state = stateOf(this);
    if (toName(name) !== "set-cookie") {
      throw new TypeError('getAll() can only be used with the header name "Set-Cookie".');
    }
    return cookiesOf(state);
  }

  forEach(visit: (value: string, name: string, headers: Headers) => void, self?: unknown): void {
    const pairs = sortedPairs(stateOf(this));
    if (typeof visit !== "function") {
      throw new TypeError("Failed to execute 'forEach' on 'Headers': parameter 1 is not of type 'function'.");
    }
    for (let i = 0; i < pairs.length; i += 2) apply(visit, self, [pairs[i + 1], pairs[i], this]);
  }

  entries(): PairIterator<[string, string]> {
    return pairIterator(sortedPairs(stateOf(this)), "entries", "Headers Iterator");
  }

  keys(): PairIterator<string> {
    return pairIterator(sortedPairs(stateOf(this)), "keys", "Headers Iterator");
  }

  values(): PairIterator<string> {
    return pairIterator(sortedPairs(stateOf(this)), "values", "Headers Iterator");
  }

  declare [Symbol.iterator]: () => PairIterator<[string, string]>;
}

// The iterator of the standard is the same function as entries().
Object.defineProperty(Headers.prototype, Symbol.iterator, {
  value: Headers.prototype.entries, writable: true, configurable: true,
});

webClass(Headers, "Headers", (headers) => {
  const view = objectCreate(null) as Record<string, string>;
  const pairs = sortedPairs(stateOf(headers));
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!;
    view[name] = name in view ? `${view[name]}, ${pairs[i + 1]}` : pairs[i + 1]!;
  }
  return view;
});

// ---- The list

function listOf(state: HeadersState): string[] {
  if (state.list !== undefined) return state.list;
  const { block } = state;
  if (block === undefined || block === "") return (state.list = []);
  const list = split(block, separatorOfFields);
  list.length -= 1;  // What follows the last separator: nothing.
  return (state.list = list);
}

function change(state: HeadersState): string[] {
  if (state.guard === "immutable") throw new TypeError("Can't modify immutable headers.");
  const list = listOf(state);
  state.block = undefined;
  return list;
}

function removeAfter(list: string[], from: number, key: string): void {
  let kept = from;
  for (let i = from; i < list.length; i += 2) {
    if (list[i] === key) continue;
    list[kept] = list[i]!;
    list[kept + 1] = list[i + 1]!;
    kept += 2;
  }
  list.length = kept;
}

function valueOf(state: HeadersState, key: string): string | null {
  const list = listOf(state);
  let value: string | null = null;
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] !== key) continue;
    value = value === null ? list[i + 1]! : `${value}, ${list[i + 1]}`;
  }
  return value;
}

function cookiesOf(state: HeadersState): string[] {
  const list = listOf(state);
  const cookies: string[] = [];
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] === "set-cookie") cookies[cookies.length] = list[i + 1]!;
  }
  return cookies;
}

// https://fetch.spec.whatwg.org/#concept-header-list-sort-and-combine
function sortedPairs(state: HeadersState): string[] {
  const list = listOf(state);
  const names: string[] = [];
  const values = objectCreate(null) as Record<string, string>;
  const cookies = cookiesOf(state);
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]!;
    if (name in values) {
      values[name] = `${values[name]}, ${list[i + 1]}`;
    } else {
      values[name] = list[i + 1]!;
      names[names.length] = name;
    }
  }
  sort(names, (a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const pairs: string[] = [];
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!;
    const count = name === "set-cookie" ? cookies.length : 1;
    for (let k = 0; k < count; k++) {
      pairs[pairs.length] = name;
      pairs[pairs.length] = name === "set-cookie" ? cookies[k]! : values[name]!;
    }
  }
  return pairs;
}

function fill(state: HeadersState, init: object): void {
  if (isHeaders(init)) {
    // A copy shares the block; a changed original is copied field by field.
    const from = stateOf(init);
    state.block = from.block;
    if (from.block === undefined) state.list = [...listOf(from)];
    return;
  }
  const list: string[] = [];
  state.list = list;
  state.block = undefined;
  const iterator = (init as Partial<Iterable<unknown>>)[Symbol.iterator];
  if (iterator !== undefined && iterator !== null) {
    for (const pair of init as Iterable<unknown>) {
      if (!isObject(pair) || typeof (pair as Partial<Iterable<unknown>>)[Symbol.iterator] !== "function") {
        throw new TypeError("Incorrect type: the provided value is not of type 'Sequence'.");
      }
      const parts = isArray(pair) ? (pair as unknown[]) : [...(pair as Iterable<unknown>)];
      if (parts.length !== 2) {
        throw new TypeError(
          "To initialize a Headers object from a sequence, each inner sequence must have exactly two elements.",
        );
      }
      const name = toName(parts[0]);
      list[list.length] = name;
      list[list.length] = toValue(parts[1]);
    }
    return;
  }
  const keys = objectKeys(init);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    const name = toName(key);
    const value = toValue((init as Record<string, unknown>)[key]);
    let same = 0;
    while (same < list.length && list[same] !== name) same += 2;
    // {"a": 1, "A": 2} are two properties and one field.
    if (same < list.length) {
      list[same + 1] = `${list[same + 1]}, ${value}`;
    } else {
      list[same] = name;
      list[same + 1] = value;
    }
  }
}

// ---- For the runtime

export function headersFromBlock(block: string, guard: HeadersGuard): Headers {
  return new Headers(undefined, token, block, guard);
}

// The fields in the form in which they leave; the very string that came in when nothing was changed.
export function blockOf(headers: Headers): string {
  const state = stateOf(headers);
  if (state.block !== undefined) return state.block;
  const list = state.list!;
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]!;
    if (knownNames[name] === undefined && regExpExec(kToken, name) === null) {
      throw new TypeError(`Invalid header name: "${name}" cannot be sent. Use letters, digits and "-".`);
    }
  }
  if (list.length > kFewParts) return (state.block = join(list, separatorOfFields) + separatorOfFields);
  let block = "";
  for (let i = 0; i < list.length; i += 2) block += `${list[i]}\0${list[i + 1]}\0`;
  return (state.block = block);
}

// get() without conversions: `name` is lower case.
export function headerOf(headers: Headers, name: string): string | null {
  return valueOf(stateOf(headers), name);
}

// Adds a field that the runtime itself derives, unless there is one.
export function addIfAbsent(headers: Headers, name: string, value: string): void {
  const state = stateOf(headers);
  const list = listOf(state);
  for (let i = 0; i < list.length; i += 2) {
    if (list[i] === name) return;
  }
  list[list.length] = name;
  list[list.length] = value;
  state.block = undefined;
}

export function setGuard(headers: Headers, guard: HeadersGuard): void {
  stateOf(headers).guard = guard;
}
