// SPDX-License-Identifier: Apache-2.0
//
// ExecutionContext: the `ctx` of a handler. Its methods belong to the invocation that it was made for.

import { badArgument, illegalInvocation } from "../internal/errors.ts";
import { isObject } from "../internal/convert.ts";
import { promiseResolve, promiseThen } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import { describe } from "./errors.ts";
import { workerExports } from "./exports.ts";
import { native } from "./native.ts";

export class ExecutionContext {
  readonly #invocation: number;
  readonly #props: unknown;

  constructor(invocation: number, props: unknown) {
    this.#invocation = invocation;
    this.#props = props ?? {};
  }

  waitUntil(promise: unknown): void {
    if (!isObject(this) || !(#invocation in this)) throw illegalInvocation();
    if (arguments.length === 0) throw badArgument("waitUntil", "ExecutionContext", 1, "Promise");
    holdFor(this.#invocation, promise);
  }

  passThroughOnException(): void {
    if (!isObject(this) || !(#invocation in this)) throw illegalInvocation();
  }

  abort(reason?: unknown): void {
    if (!isObject(this) || !(#invocation in this)) throw illegalInvocation();
    parts.rpc().abortInvocation(this.#invocation, reason);
  }

  get props(): unknown {
    return this.#props;
  }

  get exports(): unknown {
    return workerExports();
  }
}

webClass(ExecutionContext, "ExecutionContext", (ctx) => ({ props: ctx.props }));

// Keeps an invocation alive until the promise has settled. A rejection is logged, and harms nothing.
export function holdFor(invocation: number, promise: unknown): void {
  native.hold(invocation);
  promiseThen(
    promiseResolve(promise),
    () => native.release(invocation),
    (error: unknown) => {
      native.report_exception(`Uncaught (in waitUntil) ${describe(error).stack}`);
      native.release(invocation);
    },
  );
}

// Ends the isolate with all that runs in it. The reason is for the log only: callers see that the isolate is lost.
export function abortIsolate(reason?: unknown): never {
  native.report_exception(`abortIsolate() was called${reason === undefined ? "." : `: ${describe(reason).message}`}`);
  native.abort_isolate();
  for (;;) { /* until the engine looks */ }
}

export function waitUntil(promise: unknown): void {
  if (arguments.length === 0) throw badArgument("waitUntil", "EntrypointsModule", 1, "Promise");
  const invocation = native.invocation();
  if (invocation === 0) throw new Error("waitUntil() can only be called while an event is being handled.");
  holdFor(invocation, promise);
}
