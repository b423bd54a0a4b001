// SPDX-License-Identifier: Apache-2.0
//
// A call that is on its way or has come back. While it is on its way, calls on its result are sent after it at once; when
// it has come back, they go to what it has brought.

import { isObject } from "../../internal/convert.ts";
import {
  defineProperty, mapDelete, mapGet, mapSet, promiseReject, promiseResolve, promiseThen, SafeMap, SafePromise,
} from "../../internal/intrinsics.ts";
import { enter, type Gate, gateHere } from "../../internal/gates.ts";
import type { Target } from "../calls.ts";
import { native } from "../native.ts";
import { takeArrived } from "./arrivals.ts";
import { errorOfCall } from "./error_values.ts";
import { followAtCaller } from "./follow.ts";
import { areStubsDuplicated, transfer } from "./message.ts";
import type { Held, Root } from "./stubs.ts";

const kWaiting = 0;
const kDone = 1;
const kFailed = 2;

const calls = new SafeMap<number, Pending>();
const kPromised = 4;
const done = promiseResolve();
const nothing = (): void => {};

export class Pending implements Root {
  // The host's number of the call, 0 when there is none.
  call = 0;
  gate: Gate | undefined = undefined;
  // Hears once how it has ended: undefined, or with what it failed.
  onEnd: ((failure: { error: unknown } | undefined) => void) | null = null;
  private state: 0 | 1 | 2 = kWaiting;
  private outcome: unknown = undefined;
  private shown: Promise<unknown> | null = null;
  private resolve: ((value: unknown) => void) | null = null;
  private reject: ((reason: unknown) => void) | null = null;
  private isDisposed = false;
  private isUsed = false;  // by a call on its result
  private stubs: readonly Held[] | null = null;  // what the result has brought

  // The promise behind then(). Made when somebody looks: most results are awaited once.
  promise(): Promise<unknown> {
    if (this.shown === null) {
      switch (this.state) {
        case kWaiting:
          this.shown = new SafePromise((resolve, reject) => {
            this.resolve = resolve;
            this.reject = reject;
          });
          break;
        case kDone:
          this.shown = promiseResolve(this.outcome);
          break;
        case kFailed:
          this.shown = promiseReject(this.outcome);
      }
    }
    return this.shown!;
  }

  send(path: readonly string[], args: unknown[] | undefined): Pending {
    if (this.isDisposed) return failedCall(new Error("RPC promise used after being disposed."));
    this.isUsed = true;
    if (this.state === kDone) return followAtCaller(this.outcome, path, args);
    if (this.state === kFailed) {
      // Who depends on a failed call hears of it; the call itself is not reported as well.
      promiseThen(this.promise(), undefined, nothing);
      return failedCall(this.outcome);
    }
    if (this.call !== 0) return sendCall(promisedTarget(this.call), path, args);
    const after = new Pending();
    promiseThen(this.promise(), () => followAtCaller(this.outcome, path, args).passTo(after),
      (error: unknown) => after.failed(error));
    return after;
  }

  private passTo(other: Pending): void {
    promiseThen(this.promise(), (value: unknown) => other.fulfilled(value, null), (error: unknown) => other.failed(error));
  }

  // `stubs`: what the value has brought; null: nothing is this call's to dispose of.
  fulfilled(value: unknown, stubs: readonly Held[] | null): void {
    this.state = kDone;
    this.outcome = value;
    this.stubs = stubs;
    this.ended(undefined);
    if (stubs !== null) {
      if (isObject(value)) addDisposer(value, stubs);
      if (this.isDisposed) disposeAll(stubs);
    }
    if (this.resolve !== null) this.resolve(value);
    this.resolve = this.reject = null;
  }

  failed(error: unknown): void {
    this.state = kFailed;
    this.outcome = error;
    this.ended({ error });
    if (this.reject !== null) {
      this.reject(error);
      this.resolve = this.reject = null;
      if (this.isUsed) promiseThen(this.shown!, undefined, nothing);
    } else if (this.shown === null) {
      // Nobody waits: reported as unhandled, unless somebody comes soon.
      this.shown = promiseReject(error);
      if (this.isUsed) promiseThen(this.shown, undefined, nothing);
    }
  }

  // As failed(), with an error that is made where its stack shows who waits: in a microtask that leads to them.
  failedWith(make: (above: unknown) => unknown): void {
    if (this.resolve === null) return this.failed(make(rpcFailed));
    const fail = (): never => {
      this.state = kFailed;
      this.outcome = make(fail);
      this.ended({ error: this.outcome });
      throw this.outcome;
    };
    // One microtask later than the promise learns of it: then the way to those who wait is there to be seen.
    this.resolve(promiseThen(promiseThen(done, nothing), fail));
    this.resolve = this.reject = null;
    if (this.isUsed) promiseThen(this.shown!, undefined, nothing);
  }

  private ended(failure: { error: unknown } | undefined): void {
    const { onEnd } = this;
    this.onEnd = null;
    onEnd?.(failure);
  }

  get isWaiting(): boolean {
    return this.state === kWaiting;
  }

  dispose(): void {
    this.isDisposed = true;
    if (this.stubs !== null) disposeAll(this.stubs);
  }
}

export function disposeAll(stubs: readonly Held[]): void {
  for (let i = 0; i < stubs.length; i++) stubs[i]!.dispose();
}

function disposeNothing(): void {}
Reflect.deleteProperty(disposeNothing, "name");

// A result can be disposed of, with every stub inside. A stub as the whole result has that by itself.
function addDisposer(value: object, stubs: readonly Held[]): void {
  if (typeof value === "function") return;
  const dispose = stubs.length === 0 ? disposeNothing : () => disposeAll(stubs);
  defineProperty(value, Symbol.dispose, { value: dispose, writable: true, enumerable: false, configurable: true });
}

function promisedTarget(call: number): Target {
  return {
    kind: kPromised, capability: call, id: "", anonymous: 0, source: 0, entrypoint: "", props: undefined, cpuMs: 0,
    subRequests: 0,
  };
}

export function failedCall(error: unknown): Pending {
  const pending = new Pending();
  pending.failed(error);
  return pending;
}

// A read whose value is at hand, and belongs to something else.
export function doneCall(value: unknown): Pending {
  const pending = new Pending();
  pending.fulfilled(value, null);
  return pending;
}

// Sends a call to a target. What is wrong becomes a rejection.
export function sendCall(target: Target, path: readonly string[], args: unknown[] | undefined): Pending {
  const pending = new Pending();
  sendAs(pending, target, path, args);
  return pending;
}

// A call that was promised before it could be sent.
export function newPending(): Pending {
  return new Pending();
}

export function sendAs(pending: Pending, target: Target, path: readonly string[], args: unknown[] | undefined): void {
  try {
    if (args === undefined || areAllPrimitive(args)) {
      pending.call = hand(target, path, args);
    } else {
      const stubs = transfer("arguments", args, (given) => {
        pending.call = hand(target, path, given as unknown[]);
      });
      if (stubs.length > 0 && !areStubsDuplicated()) disposeAll(stubs);
    }
    pending.gate = gateHere();
    mapSet(calls, pending.call, pending);
  } catch (error) {
    pending.failed(error);
  }
}

// Nobody waits for the callee any more: it fails here and now.
export function failCall(pending: Pending, error: unknown): void {
  if (!pending.isWaiting) return;
  if (pending.call !== 0) {
    native.call_cancel(pending.call);
    take(pending.call);
  }
  pending.failed(error);
}

function areAllPrimitive(args: unknown[]): boolean {
  for (let i = 0; i < args.length; i++) {
    if (isObject(args[i])) return false;
  }
  return true;
}

function hand(target: Target, path: readonly string[], args: unknown[] | undefined): number {
  return native.rpc_call(target.kind, target.capability, target.id, target.anonymous, target.source, target.entrypoint,
    target.props, target.cpuMs, target.subRequests, path, args);
}

function take(call: number): Pending | undefined {
  const pending = mapGet(calls, call);
  if (pending !== undefined) {
    mapDelete(calls, call);
    pending.call = 0;
  }
  return pending;
}

// Called by the host with a result.
export function rpcDone(call: number, value: unknown): void {
  const stubs = takeArrived();
  const pending = take(call);
  if (pending === undefined) disposeAll(stubs);
  else if (pending.gate === undefined) pending.fulfilled(value, stubs);
  else pending.gate.enter(() => pending.fulfilled(value, stubs));
}

export function rpcFailed(
  call: number, fault: string, name: string, message: string, remote: boolean, detail: unknown,
): void {
  const pending = take(call);
  if (pending === undefined) return;
  enter(pending.gate, () => pending.failedWith((above) => errorOfCall(fault, name, message, remote, detail, above)));
}

export function dropRpcCall(call: number): void {
  take(call);
}
