// SPDX-License-Identifier: Apache-2.0
//
// inspect(value): text for people, in the manner of Node's util.inspect. Getters are not called; depth, the number of
// entries and the length of the text are bounded, so that logging a large object costs what a small one does.

import {
  apply, byteLengthOf, charCodeAt, getOwnPropertyDescriptor, getPrototypeOf, isArray, isArrayBuffer,
  isView, jsonStringify, ownKeys, regExpExec, repeat, replaceAll, slice, split, startsWith, typedArrayName, viewOf,
} from "./intrinsics.ts";
import { cleanStack } from "./stack.ts";
import { viewOfObject } from "./web_class.ts";

export interface InspectOptions {
  depth?: number | null;
  showHidden?: boolean;
}

const kDefaultDepth = 2;
const kMostDepth = 8;
const kMostText = 16384;
const kMostEntries = 100;
const kLineWidth = 76;
const kMostInline = 6;  // Longer arrays of short values still go on one line, see layOut().
const kCustom = Symbol.for("nodejs.util.inspect.custom");
const kIdentifier = /^[A-Za-z_$][\w$]*$/;

const { toString: functionText } = Function.prototype;
const { toISOString, getTime } = Date.prototype;
const { toString: regExpText } = RegExp.prototype;
const sizeOfMap = getOwnPropertyDescriptor(Map.prototype, "size")!.get!;
const sizeOfSet = getOwnPropertyDescriptor(Set.prototype, "size")!.get!;
const { entries: mapEntries } = Map.prototype;
const { values: setValues } = Set.prototype;
const nextOfMap = (getPrototypeOf(new Map().entries()) as { next(): IteratorResult<unknown> }).next;
const nextOfSet = (getPrototypeOf(new Set().values()) as { next(): IteratorResult<unknown> }).next;
const { has: weakMapHas } = WeakMap.prototype;
const { has: weakSetHas } = WeakSet.prototype;
const unboxers: readonly [string, (this: never) => unknown][] = [
  ["Number", Number.prototype.valueOf], ["String", String.prototype.valueOf], ["Boolean", Boolean.prototype.valueOf],
  ["BigInt", BigInt.prototype.valueOf], ["Symbol", Symbol.prototype.valueOf],
];

// The result of a method that throws when `this` is of another kind: a brand check.
function attempt(method: (...args: never[]) => unknown, self: object, args: unknown[] = []): unknown {
  try {
    return apply(method as (...all: unknown[]) => unknown, self, args);
  } catch {
    return undefined;
  }
}

// Looked up at each call: V8 adds Error.isError to a context that comes out of a snapshot, not to the one that goes in.
function isError(value: object): boolean {
  const { isError: check } = Error as unknown as { isError?: unknown };
  if (typeof check !== "function") return value instanceof Error;
  return apply(check as (value: object) => boolean, Error, [value]);
}

export function inspect(value: unknown, options: InspectOptions = {}): string {
  const { depth } = options;
  const asked = depth === null || depth === Infinity ? kMostDepth : depth === undefined ? kDefaultDepth : Number(depth);
  const printer = new Printer(asked > kMostDepth ? kMostDepth : asked, Boolean(options.showHidden));
  let text: string;
  try {
    text = printer.print(value, 0);
  } catch (error) {
    text = `[value that cannot be shown: ${failureText(error)}]`;  // A proxy whose traps throw, a stack overflow.
  }
  return text.length > kMostText ? `${slice(text, 0, kMostText)}... (cut)` : text;
}

function failureText(error: unknown): string {
  const message = typeof error === "object" && error !== null ? getOwnPropertyDescriptor(error, "message")?.value : error;
  return typeof message === "string" ? message : "unknown";
}

export function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : text.includes("'") && !text.includes("`") ? "`" : "'";
  let body = slice(jsonStringify(text), 1, -1);
  body = replaceAll(body, '\\"', '"');
  if (mark === "'") body = replaceAll(body, "'", "\\'");
  return mark + body + mark;
}

class Printer {
  readonly #depth: number;
  readonly #showHidden: boolean;
  #spent = 0;
  #path: object[] = [];
  #referenced: object[] = [];

  constructor(depth: number, showHidden: boolean) {
    this.#depth = depth;
    this.#showHidden = showHidden;
  }

  print(value: unknown, level: number): string {
    const text = this.#printAny(value, level);
    this.#spent += text.length;
    return text;
  }

  #printAny(value: unknown, level: number): string {
    switch (typeof value) {
      case "string":
        return value.length > kMostText
          ? `${quote(slice(value, 0, kMostText))}... ${value.length - kMostText} more characters`
          : quote(value);
      case "number":
        return Object.is(value, -0) ? "-0" : `${value}`;
      case "bigint":
        return `${value}n`;
      case "symbol":
        return String(value);
      case "object":
      case "function":
        return value === null ? "null" : this.#printObject(value, level);
      default:
        return String(value);
    }
  }

  #printObject(value: object, level: number): string {
    if (this.#path.includes(value)) {
      let index = this.#referenced.indexOf(value);
      if (index < 0) index = this.#referenced.push(value) - 1;
      return `[Circular *${index + 1}]`;
    }
    if (this.#spent > kMostText) return "...";
    const custom = this.#printCustom(value, level);
    if (custom !== undefined) return custom;
    this.#path.push(value);
    let text = this.#printKind(value, level);
    this.#path.pop();
    const index = this.#referenced.indexOf(value);
    if (index >= 0) text = `<ref *${index + 1}> ${text}`;
    return text;
  }

  // The hook that libraries for Node define.
  #printCustom(value: object, level: number): string | undefined {
    const hook = (value as { [kCustom]?: unknown })[kCustom];
    if (typeof hook !== "function") return undefined;
    const shown = apply(hook as () => unknown, value, [this.#depth - level, {}, inspect]) as unknown;
    if (shown === value) return undefined;
    return typeof shown === "string" ? shown : this.print(shown, level);
  }

  #printKind(value: object, level: number): string {
    const name = classNameOf(value);
    if (typeof value === "function") return this.#withProperties(functionHead(value, name), value, level, false);
    if (isArray(value)) return this.#printArray(value, name, level);
    if (isError(value)) return this.#printError(value, level);
    const view = viewOfObject(value);
    if (typeof view === "string") return view;
    if (view !== undefined) {
      if (level > this.#depth) return `[${name}]`;
      return layOut(`${name} {`, this.#properties(view, level), "}", level);
    }
    if (isView(value)) return this.#printView(value, name, level);
    if (isArrayBuffer(value)) {
      const bytes = hex(value.detached ? new Uint8Array(0) : new Uint8Array(value));
      return layOut(`${name} {`, [`[Uint8Contents]: <${bytes}>`, `byteLength: ${value.byteLength}`], "}", level);
    }
    const size = attempt(sizeOfMap, value);
    if (typeof size === "number") return this.#printMap(value, size, name, level);
    const count = attempt(sizeOfSet, value);
    if (typeof count === "number") return this.#printSet(value, count, name, level);
    const time = attempt(getTime, value);
    if (typeof time === "number") {
      const head = time === time ? String(apply(toISOString, value, [])) : "Invalid Date";
      return this.#withProperties(head, value, level, false);
    }
    if (value instanceof RegExp) {
      const text = attempt(regExpText, value);
      if (typeof text === "string") return this.#withProperties(text, value, level, false);
    }
    const promise = ops.promise_state(value);
    if (promise >= 0) return `${name} { <${promise === 0 ? "pending" : promise === 1 ? "fulfilled" : "rejected"}> }`;
    if (attempt(weakMapHas, value, [{}]) === false) return `${name} { <items unknown> }`;
    if (attempt(weakSetHas, value, [{}]) === false) return `${name} { <items unknown> }`;
    for (const [kind, unbox] of unboxers) {
      const primitive = attempt(unbox, value);
      if (primitive === undefined) continue;
      const head = `[${name === kind ? kind : `${kind} (${name})`}: ${this.print(primitive, level)}]`;
      return kind === "String" ? head : this.#withProperties(head, value, level, false);
    }
    if (level > this.#depth) return `[${name}]`;
    return this.#withProperties(name === "Object" ? "" : `${name} `, value, level, true);
  }

  #printArray(value: readonly unknown[], name: string, level: number): string {
    const head = name === "Array" ? "" : `${sized(name, value.length)} `;
    if (level > this.#depth) return "[Array]";
    const entries: string[] = [];
    const { length } = value;
    let holes = 0;
    for (let i = 0; i < length && entries.length < kMostEntries && this.#spent <= kMostText; i++) {
      const descriptor = getOwnPropertyDescriptor(value, i);
      if (descriptor === undefined) {
        // A long row of holes is skipped at once: its length is the tenant's to choose.
        const next = nextIndex(value, i);
        holes = next - i;
        entries.push(`<${holes} empty item${holes === 1 ? "" : "s"}>`);
        i = next - 1;
        continue;
      }
      entries.push(this.#entry(descriptor, level));
      if (i + 1 < length && entries.length === kMostEntries) {
        const more = length - i - 1;
        entries.push(`... ${more} more item${more === 1 ? "" : "s"}`);
        break;
      }
    }
    this.#addProperties(entries, value, level, (key) => typeof key === "string" && isIndex(key));
    return layOut(`${head}[`, entries, "]", level);
  }

  #printView(value: ArrayBufferView, name: string, level: number): string {
    if (level > this.#depth) return `[${name}]`;
    if (typedArrayName(value) === undefined) {
      const bytes = viewOf(value);
      return layOut(`${name} {`, [`byteLength: ${byteLengthOf(bytes)}`, `bytes: <${hex(bytes)}>`], "}", level);
    }
    const array = value as unknown as ArrayLike<unknown>;
    const entries: string[] = [];
    for (let i = 0; i < array.length && i < kMostEntries; i++) entries.push(this.print(array[i], level + 1));
    if (array.length > kMostEntries) entries.push(`... ${array.length - kMostEntries} more items`);
    this.#addProperties(entries, value, level, (key) => typeof key === "string" && isIndex(key));
    return layOut(`${sized(name, array.length)} [`, entries, "]", level);
  }

  #printMap(value: object, size: number, name: string, level: number): string {
    if (level > this.#depth) return `[${name}]`;
    const entries: string[] = [];
    const iterator = apply(mapEntries, value, []) as object;
    for (let step = apply(nextOfMap, iterator, []); !step.done; step = apply(nextOfMap, iterator, [])) {
      if (entries.length >= kMostEntries || this.#spent > kMostText) {
        entries.push(`... ${size - entries.length} more items`);
        break;
      }
      const [key, item] = step.value as [unknown, unknown];
      entries.push(`${this.print(key, level + 1)} => ${this.print(item, level + 1)}`);
    }
    this.#addProperties(entries, value, level);
    return layOut(`${sized(name, size)} {`, entries, "}", level);
  }

  #printSet(value: object, size: number, name: string, level: number): string {
    if (level > this.#depth) return `[${name}]`;
    const entries: string[] = [];
    const iterator = apply(setValues, value, []) as object;
    for (let step = apply(nextOfSet, iterator, []); !step.done; step = apply(nextOfSet, iterator, [])) {
      if (entries.length >= kMostEntries || this.#spent > kMostText) {
        entries.push(`... ${size - entries.length} more items`);
        break;
      }
      entries.push(this.print(step.value, level + 1));
    }
    this.#addProperties(entries, value, level);
    return layOut(`${sized(name, size)} {`, entries, "}", level);
  }

  #printError(value: object, level: number): string {
    const stack = attempt(() => (value as { stack?: unknown }).stack, value);
    const head = typeof stack === "string" && stack !== "" ? cleanStack(stack) : `[${attempt(Error.prototype.toString, value)}]`;
    const lines = level === 0 ? head : replaceAll(head, "\n", `\n${repeat("  ", level)}`);
    const entries: string[] = [];
    this.#addProperties(entries, value, level, (key) => key === "stack" || key === "message" || key === "cause");
    if (getOwnPropertyDescriptor(value, "cause") !== undefined) {
      entries.push(`[cause]: ${this.print((value as { cause?: unknown }).cause, level + 1)}`);
    }
    const errors = getOwnPropertyDescriptor(value, "errors");
    if (errors !== undefined && !errors.enumerable) entries.push(`[errors]: ${this.print(errors.value, level + 1)}`);
    if (entries.length === 0) return lines;
    const pad = repeat("  ", level);
    return `${lines} {\n${pad}  ${entries.join(`,\n${pad}  `)}\n${pad}}`;
  }

  #withProperties(head: string, value: object, level: number, always: boolean): string {
    const entries: string[] = [];
    if (level <= this.#depth) this.#addProperties(entries, value, level);
    if (entries.length === 0) return always ? `${head}{}` : head;
    return layOut(always ? `${head}{` : `${head} {`, entries, "}", level);
  }

  #properties(value: object, level: number): string[] {
    const entries: string[] = [];
    this.#addProperties(entries, value, level);
    return entries;
  }

  #addProperties(entries: string[], value: object, level: number, skip?: (key: PropertyKey) => boolean): void {
    const keys = ownKeys(value);
    let shown = 0;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      if (skip?.(key)) continue;
      const descriptor = getOwnPropertyDescriptor(value, key);
      if (descriptor === undefined || (!descriptor.enumerable && !this.#showHidden)) continue;
      if (shown++ >= kMostEntries || this.#spent > kMostText) {
        entries.push("...");
        return;
      }
      const plain = typeof key === "symbol" ? `[${String(key)}]`
        : regExpExec(kIdentifier, key) !== null ? key : quote(key);
      const label = descriptor.enumerable || typeof key === "symbol" ? plain : `[${plain}]`;
      entries.push(`${label}: ${this.#entry(descriptor, level)}`);
    }
  }

  #entry(descriptor: PropertyDescriptor, level: number): string {
    if (descriptor.get !== undefined) return descriptor.set !== undefined ? "[Getter/Setter]" : "[Getter]";
    if (descriptor.set !== undefined) return "[Setter]";
    return this.print(descriptor.value, level + 1);
  }
}

// "Map(2)", and "Named(2) [Map]" for a class that extends it.
function sized(name: string, size: number): string {
  const space = name.indexOf(" ");
  return space < 0 ? `${name}(${size})` : `${slice(name, 0, space)}(${size})${slice(name, space)}`;
}

function isIndex(key: string): boolean {
  const first = charCodeAt(key, 0);
  return first >= 0x30 && first <= 0x39 && `${Number(key) >>> 0}` === key;
}

// The first index after `from` that `array` has, or its length.
function nextIndex(array: readonly unknown[], from: number): number {
  const keys = ownKeys(array);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (typeof key === "string" && isIndex(key) && Number(key) > from) return Number(key);
  }
  return array.length;
}

function hex(bytes: Uint8Array): string {
  const shown: string[] = [];
  const length = byteLengthOf(bytes);
  for (let i = 0; i < length && i < 50; i++) shown.push((bytes[i]! < 16 ? "0" : "") + bytes[i]!.toString(16));
  return shown.join(" ") + (length > 50 ? ` ... ${length - 50} more bytes` : "");
}

// Found without running a getter.
function dataProperty(value: object, key: PropertyKey): unknown {
  let at: object | null = value;
  for (let i = 0; at !== null && i < 32; i++) {
    const descriptor = getOwnPropertyDescriptor(at, key);
    if (descriptor !== undefined) return descriptor.value;
    at = getPrototypeOf(at) as object | null;
  }
  return undefined;
}

export function classNameOf(value: object): string {
  let name = "";
  let tag: unknown;
  if (getPrototypeOf(value) === null) {
    name = "[Object: null prototype]";
    tag = getOwnPropertyDescriptor(value, Symbol.toStringTag)?.value;
  } else {
    for (let at: object | null = value, i = 0; at !== null && i < 32; at = getPrototypeOf(at) as object | null, i++) {
      const constructor: unknown = getOwnPropertyDescriptor(at, "constructor")?.value;
      if (typeof constructor !== "function") continue;
      const own: unknown = getOwnPropertyDescriptor(constructor, "name")?.value;
      if (typeof own === "string" && own !== "") {
        name = own;
        break;
      }
    }
    tag = dataProperty(value, Symbol.toStringTag);
  }
  if (name === "") name = "Object";
  return typeof tag === "string" && tag !== "" && tag !== name ? `${name} [${tag}]` : name;
}

function functionHead(value: object, className: string): string {
  const source = attempt(functionText, value);
  const name: unknown = getOwnPropertyDescriptor(value, "name")?.value;
  const isNamed = typeof name === "string" && name !== "";
  if (typeof source === "string" && startsWith(source, "class")) {
    const base = getPrototypeOf(value) as object | null;
    const baseName: unknown = base === null ? undefined : getOwnPropertyDescriptor(base, "name")?.value;
    const extension = typeof baseName === "string" && baseName !== "" ? ` extends ${baseName}` : "";
    return `[class ${isNamed ? name : "(anonymous)"}${extension}]`;
  }
  const kind = startsWith(className, "Async") || startsWith(className, "Generator") ? split(className, " ")[0]! : "Function";
  return isNamed ? `[${kind}: ${name}]` : `[${kind} (anonymous)]`;
}

// On one line when it fits, else one entry a line.
function layOut(open: string, entries: readonly string[], close: string, level: number): string {
  if (entries.length === 0) return open + close;
  let width = open.length + close.length + 2 * level;
  let simple = true;
  for (const entry of entries) {
    width += entry.length + 2;
    if (entry.includes("\n")) simple = false;
  }
  const isRow = entries.length <= kMostInline || close === "]";
  if (simple && isRow && width <= kLineWidth) return `${open} ${entries.join(", ")} ${close}`;
  const pad = repeat("  ", level);
  if (simple && close === "]" && entries.length > kMostInline) return `${open}\n${rows(entries, pad)}\n${pad}${close}`;
  return `${open}\n${pad}  ${entries.join(`,\n${pad}  `)}\n${pad}${close}`;
}

// Many short values of an array: as many on a line as fit.
function rows(entries: readonly string[], pad: string): string {
  const lines: string[] = [];
  let line = "";
  entries.forEach((entry, i) => {
    const text = i + 1 < entries.length ? `${entry},` : entry;
    if (line !== "" && pad.length + 2 + line.length + 1 + text.length > kLineWidth) {
      lines.push(`${pad}  ${line}`);
      line = text;
    } else {
      line = line === "" ? text : `${line} ${text}`;
    }
  });
  lines.push(`${pad}  ${line}`);
  return lines.join("\n");
}

// ---- What console.log does with its arguments

export function formatLog(args: readonly unknown[]): string {
  const first = args[0];
  let text = "";
  let used = 0;
  if (typeof first === "string") {
    used = 1;
    text = args.length > 1 && first.includes("%") ? fillIn(first, args, (count) => (used = count)) : first;
  }
  for (let i = used; i < args.length; i++) {
    const value = args[i];
    if (i > 0) text += " ";
    text += typeof value === "string" ? value : inspect(value);
  }
  return text;
}

// https://console.spec.whatwg.org/#formatter
function fillIn(format: string, args: readonly unknown[], done: (used: number) => void): string {
  let out = "";
  let from = 0;
  let next = 1;
  for (let i = 0; i + 1 < format.length; i++) {
    if (charCodeAt(format, i) !== 0x25) continue;
    const letter = format[i + 1]!;
    let shown: string | undefined;
    if (letter === "%") shown = "%";
    else if (next < args.length) shown = directive(letter, args[next]);
    if (shown === undefined) continue;
    if (letter !== "%") next++;
    out += slice(format, from, i) + shown;
    from = i + 2;
    i++;
  }
  done(next);
  return out + slice(format, from);
}

function directive(letter: string, value: unknown): string | undefined {
  switch (letter) {
    case "s":
      return typeof value === "string" ? value : inspect(value, { depth: 0 });
    case "d":
      return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : inspect(Number(value));
    case "i":
      return typeof value === "bigint" ? `${value}n`
        : typeof value === "symbol" ? "NaN" : inspect(Number.parseInt(value as string, 10));
    case "f":
      return typeof value === "symbol" ? "NaN" : inspect(Number.parseFloat(value as string));
    case "j":
      try {
        return jsonStringify(value) ?? "undefined";
      } catch (error) {
        return `[${failureText(error)}]`;
      }
    case "o":
      return inspect(value, { depth: 4, showHidden: true });
    case "O":
      return inspect(value, { depth: 4 });
    case "c":
      return "";
    default:
      return undefined;
  }
}
