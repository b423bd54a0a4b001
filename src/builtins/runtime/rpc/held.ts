// SPDX-License-Identifier: Apache-2.0
//
// Handles of the host behind stubs: those that arrive, and those that a Worker makes of its own objects.

import { isObject } from "../../internal/convert.ts";
import { badConstructorArgument } from "../../internal/errors.ts";
import { promiseResolve, promiseThen } from "../../internal/intrinsics.ts";
import type { Target } from "../calls.ts";
import { capabilityTarget } from "../fetcher.ts";
import { native } from "../native.ts";
import { stubArrived } from "./arrivals.ts";
import { addExport } from "./exported.ts";
import { kindOf } from "./members.ts";
import { failedCall, type Pending, sendCall } from "./pending.ts";
import { type Broken, type Held, heldBy, newStub } from "./stubs.ts";

type Failure = { error: unknown } | undefined;

// Is what failed the way to the object, for good, rather than the call?
function isBreak(error: unknown): boolean {
  if (!isObject(error)) return false;
  const { code, message, remote } = error as { code?: unknown; message?: unknown; remote?: unknown };
  return message === "The execution context which hosts this callback is no longer running." ||
    (remote !== true && (code === "ERR_ISOLATE_LOST" || code === "ERR_RUNNER_LOST"));
}

class HeldHandle implements Held {
  private target: Target | null;
  private watchers: Broken[] | null = null;  // null: nobody asks
  private broken: Failure = undefined;

  constructor(handle: number) {
    this.target = capabilityTarget(handle);
  }

  handle(): number {
    if (this.target === null) throw disposed();
    return this.target.capability;
  }

  send(path: readonly string[], args: unknown[] | undefined): Pending {
    if (this.target === null) return failedCall(disposed());
    const pending = sendCall(this.target, path, args);
    if (this.watchers !== null && pending.isWaiting) pending.onEnd = (failure) => this.ended(failure);
    return pending;
  }

  private ended(failure: Failure): void {
    if (failure === undefined || this.watchers === null || !isBreak(failure.error)) return;
    this.broken ??= failure;
    const { watchers } = this;
    this.watchers = [];
    for (let i = 0; i < watchers.length; i++) tellLater(watchers[i]!, failure.error);
  }

  onBroken(tell: Broken): void {
    if (this.broken !== undefined) return tellLater(tell, this.broken.error);
    this.watchers ??= [];
    this.watchers[this.watchers.length] = tell;
  }

  dup(): Held {
    return new HeldHandle(native.capability_dup(this.handle()));
  }

  dispose(): void {
    if (this.target === null) return;
    native.capability_drop(this.target.capability);
    this.target = null;
  }
}

// What it throws is reported as an exception that nobody handled.
function tellLater(tell: Broken, error: unknown): void {
  promiseThen(promiseResolve(error), tell);
}

function disposed(): Error {
  return new Error("RPC stub used after being disposed.");
}

export function heldHandle(handle: number): Held {
  return new HeldHandle(handle);
}

// A stub that has come with a value; it belongs to whoever takes the value.
export function arrive(handle: number): object {
  const held = new HeldHandle(handle);
  stubArrived(held);
  return newStub(held);
}

// new RpcStub(target): a reference to an object of the Worker's own, which is called like one from elsewhere.
export function stubOf(target: unknown): object {
  return newStub(hold(target));
}

function hold(target: unknown): Held {
  if (!isObject(target)) throw badConstructorArgument("JsRpcStub", 1, "Object");
  const held = heldBy(target);
  if (held !== undefined) return held.dup();
  const kind = kindOf(target);
  if (kind !== "function" && kind !== "plain" && kind !== "target") {
    throw new TypeError("RpcStubs can only wrap plain objects, functions, and RpcTarget derivatives.");
  }
  return new HeldHandle(native.capability_export(addExport(target)));
}
