// SPDX-License-Identifier: Apache-2.0
//
// Calls in flight: a request goes out to a target, its response comes back under a number. Redirects are followed here,
// each hop through the same target.

import {
  mapDelete, mapGet, mapSet, promiseReject, SafeMap, SafePromise,
} from "../internal/intrinsics.ts";
import type { AbortSignal } from "../web/abort.ts";
import { bodyOf, type SendableBody, takeBody } from "../web/body.ts";
import { headerOf, headersFromBlock, blockOf } from "../web/headers.ts";
import {
  cfTextOf, methodOf, redirectOf, type Request, requestHeadersBlockOf, signalOf, toRequest, urlOf,
} from "../web/request.ts";
import { type Response, responseFromHost } from "../web/response.ts";
import { URL } from "../web/url.ts";
import { outgoing } from "./bodies.ts";
import { dropEngineCall, engineFailed } from "./engine_calls.ts";
import { errorFromHost } from "./errors.ts";
import { enter, type Gate, gateHere } from "../internal/gates.ts";
import { native } from "./native.ts";
import { addWebSocket, isUpgrade } from "./sockets/upgrades.ts";

// Where a call goes; the numbers are those of ops.call_fetch.
export interface Target {
  kind: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;
  capability: number;
  id: string;
  anonymous: number;
  source: number;
  entrypoint: string;
  props: Packed | undefined;
  cpuMs: number;
  subRequests: number;
  keeps?: object;  // what must not be collected before it
}

interface Pending {
  target: Target;
  method: string;
  url: string;
  block: string;
  cf: string;
  again: SendableBody | null;  // the body, when it can be sent once more
  follow: boolean;
  redirects: number;
  resolve: (response: Response) => void;
  reject: (reason: unknown) => void;
  call: number;
  upgrade: number;  // the stream that is the body of a request for a WebSocket; 0: it asks for none
  signal: AbortSignal | null;
  onAbort: (() => void) | null;
  gate: Gate | undefined;
}

const kRedirectsMax = 20;
const pending = new SafeMap<number, Pending>();

// Fetches through a target. Never throws: what is wrong becomes a rejection.
export function fetchThrough(target: Target, input: unknown, init: unknown): Promise<Response> {
  try {
    const request = toRequest(input, init);
    const signal = signalOf(request) as AbortSignal | null;
    if (signal !== null && signal.aborted) return promiseReject(signal.reason) as Promise<Response>;
    return new SafePromise<Response>((resolve, reject) => start(target, request, signal, resolve, reject));
  } catch (error) {
    return promiseReject(error) as Promise<Response>;
  }
}

function start(
  target: Target, request: Request, signal: AbortSignal | null,
  resolve: (response: Response) => void, reject: (reason: unknown) => void,
): void {
  const body = takeBody(bodyOf(request));
  const follow = redirectOf(request) === "follow";
  const entry: Pending = {
    target, method: methodOf(request), url: urlOf(request), block: requestHeadersBlockOf(request),
    cf: cfTextOf(request), again: body.kind === "stream" || body.kind === "native" ? null : body, follow,
    redirects: 0, resolve, reject, call: 0, upgrade: 0, signal, onAbort: null,
    gate: gateHere(),
  };
  send(entry, body);
  if (signal !== null) {
    entry.onAbort = () => {
      if (!mapDelete(pending, entry.call)) return;
      native.call_cancel(entry.call);
      reject(signal.reason);
    };
    signal.addEventListener("abort", entry.onAbort);
  }
}

function send(entry: Pending, body: SendableBody): void {
  const { target } = entry;
  const invocation = native.invocation();
  entry.upgrade = body.kind === "none" && isUpgrade(entry.method, entry.block) ? native.stream_open(invocation) : 0;
  const out = entry.upgrade !== 0 ? { kind: 4, value: entry.upgrade, length: -1 } : outgoing(body, invocation);
  entry.call = native.call_fetch(
    target.kind, target.capability, target.id, target.anonymous, target.source, target.entrypoint, target.props,
    target.cpuMs, target.subRequests, entry.method, entry.url, entry.block, out.kind, out.value, entry.cf, out.length,
  );
  mapSet(pending, entry.call, entry);
}

const kNativeBody = 3;
const kOwnActor = 7;

// Asks the supervisor to keep a WebSocket for an actor of this Worker: `body` is what its client sends. Returns the body
// of what the client is sent.
export function keepSocket(actor: number, about: string, body: number): Promise<number> {
  return new SafePromise<number>((resolve, reject) => {
    const target: Target = {
      kind: kOwnActor, capability: actor, id: "", anonymous: 0, source: 0, entrypoint: "", props: undefined, cpuMs: 0,
      subRequests: 0,
    };
    const entry: Pending = {
      target, method: "GET", url: "", block: "", cf: about, again: null, follow: false, redirects: 0,
      resolve: (response) => {
        const kept = takeBody(bodyOf(response as never));
        resolve(kept.kind === "native" ? kept.handle : 0);
      },
      reject, call: 0, upgrade: 0, signal: null, onAbort: null, gate: undefined,
    };
    entry.call = native.call_fetch(
      kOwnActor, actor, "", 0, 0, "", undefined, 0, 0, "GET", "socket:", "", kNativeBody, body, about, -1);
    mapSet(pending, entry.call, entry);
  });
}

function take(call: number): Pending | undefined {
  const entry = mapGet(pending, call);
  if (entry !== undefined) mapDelete(pending, call);
  return entry;
}

function settled(entry: Pending): void {
  if (entry.upgrade !== 0) native.stream_end(entry.upgrade, undefined);
  if (entry.onAbort !== null) entry.signal!.removeEventListener("abort", entry.onAbort);
}

// Called by the host with a response.
export function callDone(call: number, status: number, statusText: string, block: string, body: number): void {
  const entry = take(call);
  if (entry === undefined) return;
  const writer = status === 101 && body !== 0 ? entry.upgrade : 0;
  const response = responseFromHost(status, statusText, block, writer === 0 ? body : 0, entry.url, entry.redirects > 0);
  if (writer !== 0) {
    addWebSocket(response, writer, body);
    entry.upgrade = 0;
  }
  if (entry.follow && status >= 301 && status <= 308) {
    try {
      if (followRedirect(entry, status, response)) return;
    } catch (error) {
      settled(entry);
      entry.reject(error);
      return;
    }
  }
  settled(entry);
  enter(entry.gate, () => entry.resolve(response));
}

// https://fetch.spec.whatwg.org/#http-redirect-fetch
function followRedirect(entry: Pending, status: number, response: Response): boolean {
  if (status === 304 || status === 305 || status === 306) return false;
  const location = headerOf(response.headers as never, "location");
  if (location === null) return false;
  if (++entry.redirects > kRedirectsMax) {
    throw new TypeError(`Too many redirects. ${entry.url}`);
  }
  const next = new URL(location, entry.url);
  const crossOrigin = next.origin !== new URL(entry.url).origin;
  const toGet = (status === 303 && entry.method !== "GET" && entry.method !== "HEAD") ||
    ((status === 301 || status === 302) && entry.method === "POST");
  let body = entry.again;
  if (toGet || crossOrigin) {
    const headers = headersFromBlock(entry.block, "none");
    if (toGet) {
      for (const name of ["content-type", "content-length", "content-encoding", "content-language", "content-location"]) {
        headers.delete(name);
      }
    }
    if (crossOrigin) {
      headers.delete("authorization");
      headers.delete("cookie");
    }
    entry.block = blockOf(headers);
  }
  if (toGet) {
    entry.method = "GET";
    body = { kind: "none" };
    entry.again = body;
  }
  if (body === null) {
    throw new TypeError("A request with a one-time-use body (it was initialized from a stream, not a buffer) encountered a redirect requiring the body to be retransmitted. To avoid this error in the future, construct this request from a buffer-like body initializer.");
  }
  entry.url = next.href;
  const old = takeBody(bodyOf(response as never));
  if (old.kind === "native") native.body_cancel(old.handle);
  send(entry, body);
  return true;
}

// Called by the host with a failure.
export function callFailed(
  call: number, fault: string, name: string, message: string, remote: boolean, properties: unknown,
): void {
  const entry = take(call);
  if (entry === undefined) {
    if (engineFailed(call, fault, name, message, remote)) return;
    parts.rpc().rpcFailed(call, fault, name, message, remote, properties);
    return;
  }
  settled(entry);
  // Few errors have more than their message, and only for those the part is needed.
  const error = properties === undefined ? errorFromHost(fault, name, message, remote)
    : parts.rpc().errorOfCall(fault, name, message, remote, properties, callFailed);
  enter(entry.gate, () => entry.reject(error));
}

// Called by the host when the invocation that made the call has ended.
export function dropCall(call: number): void {
  if (take(call) === undefined && !dropEngineCall(call)) parts.rpc().dropRpcCall(call);
}
