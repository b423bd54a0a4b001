// SPDX-License-Identifier: Apache-2.0
//
// What a Worker holds of something elsewhere: RpcStub, the RpcPromise of a call, the RpcProperty of a name that was read.
// All three are proxies over one function each: every name that the class does not have is a member of the far object.
// A property asks for nothing until it is called or awaited.
//
//   env.SVC.users.get(1).name       Fetcher ─ property "users" ─ property "get" ─call─► promise ─ property "name"

import { isObject } from "../../internal/convert.ts";
import { badArgument, illegalInvocation } from "../../internal/errors.ts";
import { defineProperty, hasOwn, objectCreate, ownKeys, promiseThen, setPrototypeOf } from "../../internal/intrinsics.ts";
import { isFarName, RpcPromise, RpcProperty, RpcStub } from "./classes.ts";
import type { Pending } from "./pending.ts";

// What a path of names starts at.
export interface Root {
  // Calls what is at the end of the path, or reads it when `args` is undefined. Never throws.
  send(path: readonly string[], args: unknown[] | undefined): Pending;
}

export type Internals = StubHandler | PromiseHandler | PropertyHandler;

const kDepthMax = 65;

// Whoever reads this name of one of the proxies finds its handler in `answered`. A Worker that learns the symbol, with a
// proxy of its own around a stub, gains nothing: the handler never becomes a value of its own.
const ask = Symbol("internals");
let answered: Internals | undefined;

// The handler behind a proxy of this module. Traps of somebody else's proxy may run.
export function internalsOf(value: object): Internals | undefined {
  answered = undefined;
  try {
    void (value as Record<symbol, unknown>)[ask];
  } catch {
    return undefined;
  }
  const found = answered;
  answered = undefined;
  return found;
}

abstract class Handler {
  // What the Worker itself has put on the object.
  own: Record<PropertyKey, unknown> | null = null;
  abstract readonly prototype: object;
  abstract readonly depth: number;
  abstract invoke(args: unknown[]): object;
  abstract readonly root: Root;

  get(_target: object, key: PropertyKey, receiver: unknown): unknown {
    if (key === ask) {
      answered = this as unknown as Internals;
      return undefined;
    }
    if (this.own !== null && hasOwn(this.own, key)) return this.own[key];
    if (key in this.prototype) return Reflect.get(this.prototype, key, receiver);
    return isFarName(key) ? newProperty(this as unknown as Internals, key) : undefined;
  }

  has(_target: object, key: PropertyKey): boolean {
    return isFarName(key) || key in this.prototype || (this.own !== null && hasOwn(this.own, key));
  }

  set(_target: object, key: PropertyKey, value: unknown): boolean {
    this.own ??= objectCreate(null) as Record<PropertyKey, unknown>;
    this.own[key] = value;
    return true;
  }

  defineProperty(_target: object, key: PropertyKey, descriptor: PropertyDescriptor): boolean {
    if (descriptor.configurable !== true) return false;
    this.own ??= objectCreate(null) as Record<PropertyKey, unknown>;
    defineProperty(this.own, key, descriptor);
    return true;
  }

  deleteProperty(_target: object, key: PropertyKey): boolean {
    return this.own === null || Reflect.deleteProperty(this.own, key);
  }

  ownKeys(): (string | symbol)[] {
    return this.own === null ? [] : ownKeys(this.own);
  }

  getOwnPropertyDescriptor(_target: object, key: PropertyKey): PropertyDescriptor | undefined {
    return this.own === null ? undefined : Reflect.getOwnPropertyDescriptor(this.own, key);
  }

  setPrototypeOf(): boolean {
    return false;
  }

  preventExtensions(): boolean {
    return false;
  }

  apply(_target: object, _this: unknown, args: unknown[]): object {
    return this.invoke(args);
  }

  construct(_target: object, args: unknown[]): object {
    return this.invoke(args);
  }
}

// A function that can be called and constructed and has no properties of its own.
function blankFunction(prototype: object): () => void {
  const blank = function(): void {}.bind(undefined);
  Reflect.deleteProperty(blank, "name");
  Reflect.deleteProperty(blank, "length");
  setPrototypeOf(blank, prototype);
  return blank;
}

// ---- Promises and properties

// What then() and the others of a promise or property work on.
export function promiseOf(self: unknown): Promise<unknown> {
  const internals = typeof self === "function" ? internalsOf(self) : undefined;
  if (internals instanceof PromiseHandler) return internals.pending.promise();
  if (internals instanceof PropertyHandler) return internals.read().promise();
  throw illegalInvocation();
}

class PromiseHandler extends Handler {
  readonly pending: Pending;
  readonly prototype: object = RpcPromise.prototype;
  readonly depth = 0;

  constructor(pending: Pending) {
    super();
    this.pending = pending;
  }

  get root(): Root {
    return this.pending;
  }

  invoke(args: unknown[]): object {
    return proxyOf(this.pending.send([], args));
  }
}

class PropertyHandler extends Handler {
  readonly parent: PropertyHandler | null;
  readonly root: Root;
  readonly name: string;
  readonly depth: number;
  readonly prototype: object = RpcProperty.prototype;

  constructor(parent: PropertyHandler | null, root: Root, name: string, depth: number) {
    super();
    this.parent = parent;
    this.root = root;
    this.name = name;
    this.depth = depth;
  }

  path(): string[] {
    const path: string[] = [];
    path.length = this.depth;
    let at: PropertyHandler | null = this;
    for (let i = this.depth - 1; i >= 0; i--) {
      path[i] = at!.name;
      at = at!.parent;
    }
    return path;
  }

  invoke(args: unknown[]): object {
    return proxyOf(this.root.send(this.path(), args));
  }

  read(): Pending {
    return this.root.send(this.path(), undefined);
  }
}

const promiseFunction = blankFunction(RpcPromise.prototype);
const propertyFunction = blankFunction(RpcProperty.prototype);

function newProperty(of: Internals, name: string): object {
  const depth = of.depth + 1;
  if (depth > kDepthMax) throw new TypeError("RPC pipelined property path is too deep (max 64).");
  return new Proxy(propertyFunction,
    new PropertyHandler(of instanceof PropertyHandler ? of : null, of.root, name, depth));
}

// A member of something that is no proxy of this module: a Fetcher.
export function propertyOf(root: Root, name: string): object {
  return new Proxy(propertyFunction, new PropertyHandler(null, root, name, 1));
}

export function proxyOf(pending: Pending): object {
  return new Proxy(promiseFunction, new PromiseHandler(pending));
}

// ---- Stubs

export type Broken = (error: unknown) => void;

// What a stub refers to: a handle of the host, until it is disposed of.
export interface Held extends Root {
  dup(): Held;
  dispose(): void;
  // For sending: the host's number. Throws after dispose().
  handle(): number;
  // To be told once, when a call has shown that what it refers to is lost.
  onBroken(tell: Broken): void;
}

function heldOf(self: object): Held {
  const internals = internalsOf(self);
  if (!(internals instanceof StubHandler)) throw illegalInvocation();
  return internals.root;
}

class StubHandler extends Handler {
  readonly root: Held;
  readonly prototype: object = RpcStub.prototype;
  readonly depth = 0;

  constructor(held: Held) {
    super();
    this.root = held;
  }

  invoke(args: unknown[]): object {
    return proxyOf(this.root.send([], args));
  }
}

const stubFunction = blankFunction(RpcStub.prototype);

export function newStub(held: Held): object {
  return new Proxy(stubFunction, new StubHandler(held));
}

// ---- What the methods of the classes do

export function isStub(value: object): boolean {
  return internalsOf(value) instanceof StubHandler;
}

export function dupStub(self: object): object {
  return newStub(heldOf(self).dup());
}

// onRpcBroken(callback), as npm's capnweb has it. A stub learns that its object is lost when a call on it fails for
// that; a promise is broken when it rejects, and after that like the stub that it has become.
export function onStubBroken(self: object, callback: unknown): void {
  if (typeof callback !== "function") throw badArgument("onRpcBroken", "RpcStub", 1, "function");
  heldOf(self).onBroken(callback as Broken);
}

export function onPromiseBroken(self: object, callback: unknown): void {
  if (typeof callback !== "function") throw badArgument("onRpcBroken", "RpcPromise", 1, "function");
  promiseThen(promiseOf(self), (value: unknown) => {
    if (isObject(value)) heldBy(value)?.onBroken(callback as Broken);
  }, callback as Broken);
}

export function disposeStub(self: object): void {
  heldOf(self).dispose();
}

export function disposePromise(self: object): void {
  const internals = internalsOf(self);
  if (!(internals instanceof PromiseHandler)) throw illegalInvocation();
  internals.pending.dispose();
}

// ----

// The stub's reference; undefined for what is no RpcStub.
export function heldBy(value: object): Held | undefined {
  const internals = internalsOf(value);
  return internals instanceof StubHandler ? internals.root : undefined;
}

// What a path that starts at this value, a proxy of this module, is sent to; its own path is in front.
export function rootOf(internals: Internals): { root: Root; path: string[] } {
  return { root: internals.root, path: internals instanceof PropertyHandler ? internals.path() : [] };
}

// The name of the class, for refusals.
export function classNameOf(internals: Internals): "RpcStub" | "RpcPromise" | "RpcProperty" {
  if (internals instanceof StubHandler) return "RpcStub";
  return internals instanceof PromiseHandler ? "RpcPromise" : "RpcProperty";
}
