// SPDX-License-Identifier: Apache-2.0
//
// RpcStub, RpcPromise and RpcProperty as a Worker names them. What they do is in the part "rpc", which is made when
// something is first called: most Workers only extend a class.

import { illegalConstructor } from "../../internal/errors.ts";
import { apply, defineProperty, promiseThen } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";

type Fulfilled = ((value: never) => unknown) | null;
type Rejected = ((reason: unknown) => unknown) | null;

const finallyOf = Promise.prototype.finally;

export class RpcPromise {
  constructor() {
    throw illegalConstructor();
  }

  then(onFulfilled?: Fulfilled, onRejected?: Rejected): Promise<unknown> {
    return promiseThen(parts.rpc().promiseOf(this), onFulfilled, onRejected);
  }

  catch(onRejected?: Rejected): Promise<unknown> {
    return promiseThen(parts.rpc().promiseOf(this), undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<unknown> {
    return apply(finallyOf, parts.rpc().promiseOf(this), [onFinally]) as Promise<unknown>;
  }

  onRpcBroken(callback: unknown): void {
    parts.rpc().onPromiseBroken(this, callback);
  }
}

export class RpcProperty {
  constructor() {
    throw illegalConstructor();
  }

  then(onFulfilled?: Fulfilled, onRejected?: Rejected): Promise<unknown> {
    return promiseThen(parts.rpc().promiseOf(this), onFulfilled, onRejected);
  }

  catch(onRejected?: Rejected): Promise<unknown> {
    return promiseThen(parts.rpc().promiseOf(this), undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<unknown> {
    return apply(finallyOf, parts.rpc().promiseOf(this), [onFinally]) as Promise<unknown>;
  }
}

export class RpcStub {
  constructor(target: unknown = undefined) {
    return parts.rpc().stubOf(target) as RpcStub;
  }

  dup(): object {
    return parts.rpc().dupStub(this);
  }

  onRpcBroken(callback: unknown): void {
    parts.rpc().onStubBroken(this, callback);
  }
}

// Marks "pass me by reference".
export class RpcTarget {}

const kClasses = { RpcPromise, RpcProperty, RpcStub, RpcTarget };
for (const [name, made] of Object.entries(kClasses)) {
  webClass(made as { readonly prototype: object }, name);
  defineProperty(made.prototype, Symbol.toStringTag, { value: `Js${name}`, configurable: true });
}

// V8 adds Symbol.dispose when it brings the snapshot back to life, so these are defined then.
export function addDisposers(): void {
  const add = (prototype: object, dispose: (this: object) => void): void => {
    Reflect.deleteProperty(dispose, "name");
    defineProperty(prototype, Symbol.dispose, { value: dispose, writable: true, configurable: true });
  };
  add(RpcStub.prototype, function(): void {
    parts.rpc().disposeStub(this);
  });
  add(RpcPromise.prototype, function(): void {
    parts.rpc().disposePromise(this);
  });
}

// "0", "17": elements, which no far object has.
function isIndex(name: string): boolean {
  const first = name.charCodeAt(0);
  return first >= 48 && first <= 57 && String(Number(name) >>> 0) === name;
}

// Is this the name of a member of a far object? Not what the language asks of any object on its own: whether it can be
// awaited, and what stands for it in JSON.
export function isFarName(key: PropertyKey): key is string {
  return typeof key === "string" && key !== "then" && key !== "toJSON" && !isIndex(key);
}
