// SPDX-License-Identifier: Apache-2.0
//
// Fetcher: the stub of a service: something that answers requests. And the global fetch(), which asks the Worker's own
// outbound.

import { requireInvocation } from "../internal/errors.ts";
import { promiseReject } from "../internal/intrinsics.ts";
import type { Response } from "../web/response.ts";
import { fetchThrough, type Target } from "./calls.ts";
import { settings } from "./settings.ts";

let targetOf: (fetcher: Fetcher) => Target;
export let isFetcher: (value: unknown) => value is Fetcher;
const token = Symbol("Fetcher");

export class Fetcher {
  readonly #target: Target;
  readonly #onUse: (() => void) | null;

  static {
    targetOf = (fetcher) => fetcher.#target;
    isFetcher = (value): value is Fetcher => typeof value === "object" && value !== null && #target in value;
  }

  constructor(secret: symbol, target: Target, onUse: (() => void) | null) {
    if (secret !== token) throw new TypeError("Illegal constructor");
    this.#target = target;
    this.#onUse = onUse;
  }

  fetch(input: unknown, init?: unknown): Promise<Response> {
    this.#onUse?.();
    return fetchThrough(this.#target, input, init);
  }

  get [Symbol.toStringTag](): string {
    return "Fetcher";
  }
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
