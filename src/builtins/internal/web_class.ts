// SPDX-License-Identifier: Apache-2.0
//
// What Web IDL asks of every interface object beyond a plain class: an explicit name (the bundler may shorten it), a
// toStringTag, enumerable members. And a registry of views: what console.log shows of an object whose state is private.

import {
  defineProperty,
  getOwnPropertyDescriptor,
  getPrototypeOf,
  mapGet,
  mapSet,
  ownKeys,
  SafeMap,
} from "./intrinsics.ts";

// An interface object; some of them cannot be constructed.
interface InterfaceObject<T extends object> {
  readonly prototype: T;
}
type View = (self: never) => object | string;

const views = new SafeMap<object, View>();
const names = new SafeMap<object, string>();  // by prototype: classes of the platform

function makeEnumerable(holder: object, skip: (key: PropertyKey) => boolean): void {
  const keys = ownKeys(holder);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (typeof key === "symbol" || skip(key)) continue;
    const descriptor = getOwnPropertyDescriptor(holder, key)!;
    if (!descriptor.configurable || descriptor.enumerable) continue;
    descriptor.enumerable = true;
    defineProperty(holder, key, descriptor);
  }
}

// `view` gives the properties to print; a string is printed as it is.
export function webClass<T extends object>(
  constructor: InterfaceObject<T>,
  name: string,
  view?: (self: T) => object | string,
): void {
  const { prototype } = constructor;
  defineProperty(constructor, "name", { value: name, configurable: true });
  mapSet(names, prototype, name);
  makeEnumerable(prototype, (key) => key === "constructor");
  makeEnumerable(constructor, (key) => key === "prototype" || key === "length" || key === "name");
  defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
  if (view !== undefined) mapSet(views, prototype, view);
}

// The class of the platform that `value` is an instance of, also by inheritance. Called by the host for what it is
// asked to serialise: such objects hold what has no copy.
export function platformClassOf(value: object): string | undefined {
  for (let at = getPrototypeOf(value) as object | null; at !== null; at = getPrototypeOf(at) as object | null) {
    const name = mapGet(names, at);
    if (name !== undefined) return name;
  }
  return undefined;
}

// Read-only constants that Web IDL puts on both the interface object and its prototype.
export function webConstants(constructor: InterfaceObject<object>, constants: Readonly<Record<string, number>>): void {
  for (const name of ownKeys(constants)) {
    const descriptor = { value: constants[name as string], enumerable: true };
    defineProperty(constructor, name, descriptor);
    defineProperty(constructor.prototype, name, descriptor);
  }
}

// The registered view of the nearest class of `value`, undefined when it has none.
export function viewOfObject(value: object): object | string | undefined {
  for (let at: object | null = value, i = 0; at !== null && i < 32; at = getPrototypeOf(at) as object | null, i++) {
    const view = mapGet(views, at);
    if (view === undefined) continue;
    try {
      return view(value as never);
    } catch {
      return undefined;  // Looks like one, is none: Object.create(Headers.prototype).
    }
  }
  return undefined;
}
