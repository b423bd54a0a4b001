// SPDX-License-Identifier: Apache-2.0
//
// Fetcher: the stub of a service: something that answers requests. And the global fetch(), which asks the Worker's own
// outbound.

import { isObject } from "../internal/convert.ts";
import { illegalConstructor, illegalInvocation, requireInvocation } from "../internal/errors.ts";
import { promiseReject, weakMapGet, weakMapSet } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import type { Response } from "../web/response.ts";
import { fetchThrough, type Target } from "./calls.ts";
import { settings } from "./settings.ts";

// Targets of stubs that are functions, and so cannot have private members.
const callables = new WeakMap<object, Target>();
let targetOf: (fetcher: unknown) => Target;
export let isFetcher: (value: unknown) => value is Fetcher;
let use: (fetcher: Fetcher) => void;
const token = Symbol("Fetcher");

export class Fetcher {
  readonly #target: Target;
  readonly #onUse: (() => void) | null;

  static {
    targetOf = (fetcher) => {
      if (!isObject(fetcher)) throw illegalInvocation();
      if (#target in fetcher) return fetcher.#target;
      const target = weakMapGet(callables, fetcher) as Target | undefined;
      if (target === undefined) throw illegalInvocation();
      return target;
    };
    isFetcher = (value): value is Fetcher =>
      isObject(value) && (#target in value || weakMapGet(callables, value) !== undefined);
    use = (fetcher) => {
      if (#target in fetcher) fetcher.#onUse?.();
    };
  }

  constructor(secret: symbol, target: Target, onUse: (() => void) | null) {
    if (secret !== token) throw illegalConstructor();
    this.#target = target;
    this.#onUse = onUse;
  }

  fetch(input: unknown, init?: unknown): Promise<Response> {
    try {
      const target = targetOf(this);
      use(this);
      return fetchThrough(target, input, init);
    } catch (error) {
      return promiseReject(error) as Promise<Response>;
    }
  }
}

webClass(Fetcher, "Fetcher");

// Makes a function a stub of `target`; its prototype is the caller's business.
export function bindTarget(stub: object, target: Target): void {
  weakMapSet(callables, stub, target);
}

export function newFetcher(target: Target, onUse: (() => void) | null = null): Fetcher {
  return new Fetcher(token, target, onUse);
}

export function capabilityTarget(capability: number): Target {
  return {
    kind: 0, capability, id: "", anonymous: 0, source: 0, entrypoint: "", props: undefined, cpuMs: 0, subRequests: 0,
  };
}

const outbound: Target = { ...capabilityTarget(0), kind: 2 };
const kBlocked = "This worker is not permitted to access the internet via global functions like fetch(). It must use " +
  "capabilities (such as bindings in 'env') to talk to the outside world.";

export function fetch(input: unknown, init?: unknown): Promise<Response> {
  try {
    requireInvocation();
  } catch (error) {
    return promiseReject(error) as Promise<Response>;
  }
  if (!settings.hasOutbound) return promiseReject(new Error(kBlocked)) as Promise<Response>;
  return fetchThrough(outbound, input, init);
}
