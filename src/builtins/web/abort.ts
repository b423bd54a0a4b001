// SPDX-License-Identifier: Apache-2.0
//
// AbortController and AbortSignal (https://dom.spec.whatwg.org/#aborting-ongoing-activities).

import { isObject } from "../internal/convert.ts";
import { illegalConstructor, illegalInvocation } from "../internal/errors.ts";
import { webClass } from "../internal/web_class.ts";
import { DOMException } from "./dom_exception.ts";
import { dispatch, Event, type EventHandler, EventTarget, HandlerAttribute } from "./events.ts";
import { adoptSignals } from "./events_later.ts";
import { setTimer } from "./timers.ts";

interface SignalState {
  aborted: boolean;
  reason: unknown;
  handler: HandlerAttribute | null;
  // Signals made by AbortSignal.any() of this one, told before any event is dispatched.
  dependents: AbortSignal[] | null;
  // Of a dependent signal: the plain signals that it follows.
  sources: AbortSignal[] | null;
}

const token: unique symbol = Symbol("signal");

let stateOf: (signal: AbortSignal) => SignalState;
export let isAbortSignal: (value: unknown) => value is AbortSignal;

export class AbortSignal extends EventTarget {
  #state: SignalState;

  static {
    stateOf = (signal) => {
      if (!isObject(signal) || !(#state in signal)) throw illegalInvocation();
      return signal.#state;
    };
    isAbortSignal = (value): value is AbortSignal => isObject(value) && #state in value;
  }

  constructor(secret?: typeof token) {
    if (secret !== token) throw illegalConstructor();
    super();
    this.#state = { aborted: false, reason: undefined, handler: null, dependents: null, sources: null };
  }

  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(token);
    const state = stateOf(signal);
    state.aborted = true;
    state.reason = reason === undefined ? abortError() : reason;
    return signal;
  }

  static timeout(milliseconds: number): AbortSignal {
    const signal = new AbortSignal(token);
    setTimer(
      () => abortSignal(signal, new DOMException("The operation was aborted due to timeout", "TimeoutError")),
      milliseconds,
    );
    return signal;
  }

  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const list = [...signals];
    for (let i = 0; i < list.length; i++) {
      if (!isAbortSignal(list[i])) {
        throw new TypeError(
          `Incorrect type for array element ${i}: the provided value is not of type 'AbortSignal'.`,
        );
      }
    }
    const result = new AbortSignal(token);
    const state = stateOf(result);
    for (const signal of list) {
      const { aborted, reason } = stateOf(signal);
      if (!aborted) continue;
      state.aborted = true;
      state.reason = reason;
      return result;
    }
    // Dependents follow plain signals only, so that a chain of any() is one step long.
    const sources: AbortSignal[] = (state.sources = []);
    for (const signal of list) {
      for (const source of stateOf(signal).sources ?? [signal]) {
        if (sources.includes(source)) continue;
        sources.push(source);
        (stateOf(source).dependents ??= []).push(result);
      }
    }
    return result;
  }

  get aborted(): boolean {
    return stateOf(this).aborted;
  }

  get reason(): unknown {
    return stateOf(this).reason;
  }

  get onabort(): EventHandler | null {
    return stateOf(this).handler?.get() ?? null;
  }

  set onabort(value: unknown) {
    (stateOf(this).handler ??= new HandlerAttribute()).set(this, "abort", value);
  }

  throwIfAborted(): void {
    const { aborted, reason } = stateOf(this);
    if (aborted) throw reason;
  }
}

webClass(AbortSignal, "AbortSignal", (signal) => ({ aborted: signal.aborted, reason: signal.reason }));

export class AbortController {
  #signal: AbortSignal | null = null;

  get signal(): AbortSignal {
    if (!(#signal in this)) throw illegalInvocation();
    return (this.#signal ??= new AbortSignal(token));
  }

  abort(reason?: unknown): void {
    abortSignal(this.signal, reason === undefined ? abortError() : reason);
  }
}

webClass(AbortController, "AbortController", (controller) => ({ signal: controller.signal }));

export function abortError(): DOMException {
  return new DOMException("The operation was aborted", "AbortError");
}

export function newSignal(): AbortSignal {
  return new AbortSignal(token);
}

// All signals concerned are aborted before the first listener runs.
export function abortSignal(signal: AbortSignal, reason: unknown): void {
  const state = stateOf(signal);
  if (state.aborted) return;
  state.aborted = true;
  state.reason = reason;
  const told: AbortSignal[] = [];
  for (const dependent of state.dependents ?? []) {
    const theirs = stateOf(dependent);
    if (theirs.aborted) continue;
    theirs.aborted = true;
    theirs.reason = reason;
    told.push(dependent);
  }
  state.dependents = null;
  dispatch(signal, new Event("abort"));
  for (const dependent of told) dispatch(dependent, new Event("abort"));
}

adoptSignals(isAbortSignal);
