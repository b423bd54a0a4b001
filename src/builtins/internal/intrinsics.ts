// SPDX-License-Identifier: Apache-2.0
//
// Copies of the ECMAScript built-ins on which the runtime's own bookkeeping rests, taken before any tenant runs. A
// tenant that replaces a prototype method changes what its own code sees, not what headers, bodies and timers do.

type Method<Self, Args extends unknown[], Result> = (self: Self, ...args: Args) => Result;

const { bind, call } = Function.prototype;

// Turns a method into a function that takes its `this` first.
function uncurry<Self, Args extends unknown[], Result>(
  method: (this: Self, ...args: Args) => Result,
): Method<Self, Args, Result> {
  return bind.call(call, method) as Method<Self, Args, Result>;
}

function getterOf<Self, Result>(prototype: object, name: PropertyKey): (self: Self) => Result {
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get;
  if (get === undefined) throw new TypeError(`This engine has no getter ${String(name)}.`);
  return uncurry(get as (this: Self) => Result);
}

export const {
  create: objectCreate,
  defineProperty,
  defineProperties,
  getOwnPropertyDescriptor,
  getOwnPropertyNames,
  getOwnPropertySymbols,
  getPrototypeOf,
  setPrototypeOf,
  keys: objectKeys,
  hasOwn,
} = Object;
export const { apply, ownKeys } = Reflect;
export const { isArray } = Array;
export const { stringify: jsonStringify, parse: jsonParse } = JSON;
export const { isView } = ArrayBuffer;
export const { floor, min, max, trunc } = Math;
export const { fromCharCode } = String;

export const hasOwnEnumerable = uncurry(Object.prototype.propertyIsEnumerable);

const text = String.prototype;
export const charCodeAt = uncurry(text.charCodeAt);
export const indexOf = uncurry(text.indexOf as (this: string, search: string, from?: number) => number);
export const lastIndexOf = uncurry(text.lastIndexOf as (this: string, search: string, from?: number) => number);
export const slice = uncurry(text.slice as (this: string, start?: number, end?: number) => string);
export const split = uncurry(text.split as (this: string, separator: string) => string[]);
export const startsWith = uncurry(text.startsWith as (this: string, search: string, from?: number) => boolean);
export const repeat = uncurry(text.repeat);
export const toLowerCase = uncurry(text.toLowerCase);
export const toUpperCase = uncurry(text.toUpperCase);
export const toWellFormed = uncurry(text.toWellFormed);
export const isWellFormed = uncurry(text.isWellFormed);
export const replaceAll = uncurry(text.replaceAll as (this: string, search: string, value: string) => string);
export const regExpExec = uncurry(RegExp.prototype.exec);

const array = Array.prototype;
export const join = uncurry(array.join as (this: readonly unknown[], separator?: string) => string);
export const sort = uncurry(array.sort as <T>(this: T[], compare: (a: T, b: T) => number) => T[]) as <T>(
  self: T[],
  compare: (a: T, b: T) => number,
) => T[];
export const splice = uncurry(array.splice as (this: unknown[], start: number, count: number) => unknown[]);
export const arraySlice = uncurry(array.slice as (this: unknown[], start?: number, end?: number) => unknown[]) as <T>(
  self: readonly T[],
  start?: number,
  end?: number,
) => T[];

export const iteratorPrototype = getPrototypeOf(getPrototypeOf([][Symbol.iterator]()) as object) as object;

export const SafeMap = Map;
export const SafePromise = Promise;
export const mapGet = uncurry(Map.prototype.get as (this: Map<unknown, unknown>, key: unknown) => unknown) as <K, V>(
  self: Map<K, V>,
  key: K,
) => V | undefined;
export const mapSet = uncurry(Map.prototype.set as (this: Map<unknown, unknown>, k: unknown, v: unknown) => unknown);
export const mapHas = uncurry(Map.prototype.has as (this: Map<unknown, unknown>, key: unknown) => boolean);
export const mapSize: (self: ReadonlyMap<unknown, unknown>) => number = getterOf(Map.prototype, "size");
export const mapDelete = uncurry(Map.prototype.delete as (this: Map<unknown, unknown>, key: unknown) => boolean);
export const mapForEach = uncurry(
  Map.prototype.forEach as unknown as (this: Map<unknown, unknown>, visit: (value: never, key: never) => void) => void,
);
export const weakMapGet = uncurry(WeakMap.prototype.get as (this: WeakMap<object, unknown>, key: object) => unknown);
export const weakMapSet = uncurry(
  WeakMap.prototype.set as (this: WeakMap<object, unknown>, key: object, value: unknown) => unknown,
);

export const SafeWeakRef = WeakRef;
export const weakRefGet = uncurry(WeakRef.prototype.deref as (this: WeakRef<object>) => unknown) as <T extends object>(
  self: WeakRef<T>,
) => T | undefined;
// One made for the snapshot would not live: to be made at first use.
export const SafeFinalizationRegistry = FinalizationRegistry;
export const watchForEnd = uncurry(
  FinalizationRegistry.prototype.register as (this: FinalizationRegistry<unknown>, of: object, held: unknown) => void,
) as <T>(self: FinalizationRegistry<T>, of: object, held: T) => void;

export const promiseThen = uncurry(
  Promise.prototype.then as (
    this: Promise<unknown>,
    fulfilled?: ((value: never) => unknown) | null,
    rejected?: ((reason: unknown) => unknown) | null,
  ) => Promise<unknown>,
);
export const promiseResolve = Promise.resolve.bind(Promise) as <T>(value?: T) => Promise<Awaited<T>>;
export const promiseReject = Promise.reject.bind(Promise) as (reason: unknown) => Promise<never>;

// ---- Bytes

const typedArray = getPrototypeOf(Uint8Array.prototype) as object;
export const bufferByteLength: (self: ArrayBuffer) => number = getterOf(ArrayBuffer.prototype, "byteLength");
export const bufferSlice = uncurry(ArrayBuffer.prototype.slice);
export const typedArrayName: (self: unknown) => string | undefined = getterOf(typedArray, Symbol.toStringTag);
const typedArrayBuffer: (self: unknown) => ArrayBufferLike = getterOf(typedArray, "buffer");
const typedArrayOffset: (self: unknown) => number = getterOf(typedArray, "byteOffset");
const typedArrayLength: (self: unknown) => number = getterOf(typedArray, "byteLength");
const dataViewBuffer: (self: unknown) => ArrayBufferLike = getterOf(DataView.prototype, "buffer");
const dataViewOffset: (self: unknown) => number = getterOf(DataView.prototype, "byteOffset");
const dataViewLength: (self: unknown) => number = getterOf(DataView.prototype, "byteLength");
export const setBytes = uncurry(Uint8Array.prototype.set as (this: Uint8Array, from: Uint8Array, at?: number) => void);
export const subarray = uncurry(
  Uint8Array.prototype.subarray as (this: Uint8Array, start?: number, end?: number) => Uint8Array,
);
export const SafeUint8Array = Uint8Array;
export const SafeUint32Array = Uint32Array;

// V8 offers these only after the snapshot has been made ("experimental language features, including those available by
// default, are not available while creating a snapshot"), so they are taken at first use.
interface Base64 {
  toBase64(): string;
  fromBase64(text: string, options: { lastChunkHandling: "loose" }): Uint8Array;
}
export function toBase64(bytes: Uint8Array): string {
  return apply((SafeUint8Array.prototype as unknown as Base64).toBase64, bytes, []);
}
export function fromBase64(text: string, options: { lastChunkHandling: "loose" }): Uint8Array {
  return (SafeUint8Array as unknown as Base64).fromBase64(text, options);
}

// True for a real ArrayBuffer, whatever its prototype was made to look like.
export function isArrayBuffer(value: unknown): value is ArrayBuffer {
  if (typeof value !== "object" || value === null) return false;
  try {
    bufferByteLength(value as ArrayBuffer);
    return true;
  } catch {
    return false;
  }
}

export function isBytes(value: unknown): value is ArrayBuffer | ArrayBufferView {
  return isView(value) || isArrayBuffer(value);
}

// The bytes behind a buffer or a view, not copied.
export function viewOf(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  if (!isView(value)) return new SafeUint8Array(value);
  const name = typedArrayName(value);
  if (name === "Uint8Array") return value as Uint8Array;
  if (name === undefined) {
    return new SafeUint8Array(dataViewBuffer(value), dataViewOffset(value), dataViewLength(value));
  }
  return new SafeUint8Array(typedArrayBuffer(value), typedArrayOffset(value), typedArrayLength(value));
}

export function byteLengthOf(view: Uint8Array): number {
  return typedArrayLength(view);
}

// A fresh array with the bytes of a buffer or a view.
export function copyBytes(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  const from = viewOf(value);
  const copy = new SafeUint8Array(typedArrayLength(from));
  setBytes(copy, from);
  return copy;
}

// The buffer of `bytes` when they fill it, else a copy that they do fill.
export function exactBuffer(bytes: Uint8Array): ArrayBuffer {
  const buffer = typedArrayBuffer(bytes) as ArrayBuffer;
  const length = typedArrayLength(bytes);
  if (isArrayBuffer(buffer) && bufferByteLength(buffer) === length) return buffer;
  const copy = new SafeUint8Array(length);
  setBytes(copy, bytes);
  return typedArrayBuffer(copy) as ArrayBuffer;
}

export function concatBytes(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return chunks[0]!;
  let length = 0;
  for (let i = 0; i < chunks.length; i++) length += typedArrayLength(chunks[i]);
  const all = new SafeUint8Array(length);
  let at = 0;
  for (let i = 0; i < chunks.length; i++) {
    const chunk = chunks[i]!;
    setBytes(all, chunk, at);
    at += typedArrayLength(chunk);
  }
  return all;
}
