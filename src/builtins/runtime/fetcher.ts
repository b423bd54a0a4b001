// SPDX-License-Identifier: Apache-2.0
//
// Fetcher: the stub of a service: something that answers requests, and whose every other member is reached over RPC. And
// the global fetch(), which asks the Worker's own outbound.
//
// A Fetcher is an ordinary object. What it does not have is looked up in a proxy at the end of its prototypes:
//
//   env.SVC ──► Fetcher.prototype (fetch) ──► proxy: any name is a property of the far object ──► Object.prototype

import { isObject } from "../internal/convert.ts";
import { illegalConstructor, illegalInvocation, requireInvocation } from "../internal/errors.ts";
import { promiseReject, setPrototypeOf, weakMapGet, weakMapSet } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import type { Response } from "../web/response.ts";
import { fetchThrough, type Target } from "./calls.ts";
import { native } from "./native.ts";
import { isFarName } from "./rpc/classes.ts";
import type { Pending as RpcPending } from "./rpc/pending.ts";
import { settings } from "./settings.ts";

// What a Fetcher is inside.
export interface Service {
  readonly target: Target;
  readonly onUse: (() => void) | null;
  readonly channel?: Channel;
}

// How calls reach an actor: its stub knows when it is broken, that of a facet also waits for its start.
export interface Channel {
  send(path: readonly string[], args: unknown[] | undefined): RpcPending;
  fetch(input: unknown, init: unknown): Promise<Response>;
  // What stands for it elsewhere: an entrypoint of this Worker with props, or a refusal.
  give(): Target;
}

// Of stubs that are functions, and so cannot have private members.
const callables = new WeakMap<object, Service>();
let find: (fetcher: unknown) => Service | undefined;
export const fetcherToken = Symbol("Fetcher");

export class Fetcher {
  readonly #service: Service;

  static {
    find = (fetcher) => {
      if (!isObject(fetcher)) return undefined;
      if (#service in fetcher) return fetcher.#service;
      return typeof fetcher === "function" ? weakMapGet(callables, fetcher) as Service | undefined : undefined;
    };
  }

  constructor(secret: unknown = undefined, service: unknown = undefined) {
    if (secret !== fetcherToken) throw illegalConstructor();
    this.#service = service as Service;
  }

  fetch(input: unknown, init?: unknown): Promise<Response> {
    try {
      const service = serviceOf(this);
      service.onUse?.();
      return service.channel === undefined ? fetchThrough(service.target, input, init) : service.channel.fetch(input, init);
    } catch (error) {
      return promiseReject(error) as Promise<Response>;
    }
  }
}

webClass(Fetcher, "Fetcher");

setPrototypeOf(Fetcher.prototype, new Proxy({} as Record<PropertyKey, unknown>, {
  get(target, key, receiver) {
    if (key in target) return Reflect.get(target, key, receiver);
    if (!isFarName(key)) return undefined;
    const service = find(receiver);
    return service === undefined ? undefined : parts.rpc().memberOf(service, key);
  },
  has: (target, key) => key in target || isFarName(key),
}));

export function isFetcher(value: unknown): value is Fetcher {
  return find(value) !== undefined;
}

export function serviceOf(fetcher: unknown): Service {
  const service = find(fetcher);
  if (service === undefined) throw illegalInvocation();
  return service;
}

// What of it can be given to others.
export function targetForGiving(fetcher: unknown): Target {
  const { target, channel } = serviceOf(fetcher);
  return channel === undefined ? target : channel.give();
}

// Makes a function a stub of `target`; its prototype is the caller's business.
export function bindTarget(stub: object, target: Target): void {
  weakMapSet(callables, stub, { target, onUse: null });
}

export function newFetcher(target: Target, onUse: (() => void) | null = null): Fetcher {
  return new Fetcher(fetcherToken, { target, onUse });
}

export function capabilityTarget(capability: number): Target {
  return {
    kind: 0, capability, id: "", anonymous: 0, source: 0, entrypoint: "", props: undefined, cpuMs: 0, subRequests: 0,
  };
}

// The tag of a Fetcher in a message. Reading one needs nothing else of RPC: it is what env has.
export const kFetcher = 2;

export function revive(tag: number, data: unknown): unknown {
  if (tag !== kFetcher) return parts.rpc().revive(tag, data);
  return newFetcher(capabilityTarget(native.payload_take_capability(data as number)));
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
