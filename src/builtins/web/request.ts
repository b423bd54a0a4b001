// SPDX-License-Identifier: Apache-2.0
//
// Request (https://fetch.spec.whatwg.org/#request-class), as Workers know it: absolute URLs, two redirect modes, `cf`.

import { isObject, toText, toUsv } from "../internal/convert.ts";
import { badArgument, badConstructorArgument, badField, illegalInvocation } from "../internal/errors.ts";
import { jsonParse, jsonStringify, objectCreate, toUpperCase } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import type { AbortSignal } from "./abort.ts";
import {
  Body, bodyOf, type BodyInit, type BodyState, bodyToken, copyBody, extractBody, isUsed, moveBody, nativeBody, noBody,
} from "./body.ts";
import { isAbortSignal } from "./events_later.ts";
import { addIfAbsent, blockOf, Headers, headersFromBlock, type HeadersGuard, type HeadersInit } from "./headers.ts";

export type RequestRedirect = "follow" | "manual";
export type RequestCache = "no-store" | "no-cache" | "reload" | "default" | "force-cache" | "only-if-cached";

export interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit;
  redirect?: RequestRedirect;
  signal?: AbortSignal | null;
  cf?: object;
  cache?: RequestCache;
  integrity?: string;
  keepalive?: boolean;
  fetcher?: unknown;
}

interface RequestState {
  method: string;
  url: string;
  // The fields as they came, until somebody asks for the object.
  block: string;
  guard: HeadersGuard;
  headers: Headers | null;
  redirect: RequestRedirect;
  signal: AbortSignal | null;
  aborted: boolean;
  abortReason: unknown;
  // JSON text as it came ("": none), until somebody asks for the object.
  cfText: string;
  cf: object | undefined;
  cache: RequestCache | undefined;
}

const methods = objectCreate(null) as Record<string, string>;
for (const method of [
  "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "TRACE", "COPY", "LOCK", "MKCOL", "MOVE",
  "PROPFIND", "PROPPATCH", "SEARCH", "UNLOCK", "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "MSEARCH", "NOTIFY",
  "SUBSCRIBE", "UNSUBSCRIBE", "QUERY", "BAN",
]) {
  methods[method] = method;
}

function toMethod(value: unknown): string {
  const text = toText(value);
  const method = methods[text] ?? methods[toUpperCase(text)];
  if (method === undefined) throw new TypeError(`Invalid HTTP method string: ${text}`);
  return method;
}

function toRedirect(value: unknown): RequestRedirect {
  const text = toText(value);
  if (text === "follow" || text === "manual") return text;
  throw new TypeError(
    'Invalid redirect value, must be one of "follow" or "manual" ("error" won\'t be implemented since it does not make ' +
      'sense at the edge; use "manual" and check the response status code).',
  );
}

function toCache(value: unknown): RequestCache {
  const text = toText(value);
  switch (text) {
    case "no-store":
    case "no-cache":
    case "reload":
    case "default":
    case "force-cache":
    case "only-if-cached":
      return text;
    default:
      throw new TypeError(`Unsupported cache mode: ${text}`);
  }
}

function toUrl(value: unknown): string {
  const text = toUsv(value);
  const href = ops.url_parse(text, undefined);
  if (href === undefined) throw new TypeError(`Invalid URL: ${text}`);
  return href;
}

function toSignal(value: unknown): AbortSignal | null {
  if (value === null || value === undefined) return null;
  if (!isAbortSignal(value)) throw badField("signal", "RequestInitializerDict", "AbortSignal");
  return value;
}

let stateOf: (request: Request) => RequestState;
export let isRequest: (value: unknown) => value is Request;

export class Request extends Body {
  #state: RequestState;

  static {
    stateOf = (request) => {
      if (!isObject(request) || !(#state in request)) throw illegalInvocation();
      return request.#state;
    };
    isRequest = (value): value is Request => isObject(value) && #state in value;
  }

  // The arguments after the second are the runtime's.
  constructor(
    input: Request | string | { toString(): string },
    init: RequestInit | Request | null = null,
    secret?: typeof bodyToken,
    state?: RequestState,
    body?: BodyState,
  ) {
    if (secret === bodyToken) {
      super(bodyToken, body!);
      this.#state = state!;
      return;
    }
    const made = construct(input, init, arguments.length);
    super(bodyToken, made.body);
    this.#state = made.state;
  }

  clone(): Request {
    const state = stateOf(this);
    const body = copyBody(bodyOf(this));
    return new Request("", null, bodyToken, copyState(state), body);
  }

  get method(): string {
    return stateOf(this).method;
  }

  get url(): string {
    return stateOf(this).url;
  }

  get headers(): Headers {
    const state = stateOf(this);
    return (state.headers ??= headersFromBlock(state.block, state.guard));
  }

  get redirect(): RequestRedirect {
    return stateOf(this).redirect;
  }

  get fetcher(): null {
    stateOf(this);
    return null;
  }

  get signal(): AbortSignal {
    const state = stateOf(this);
    if (state.signal === null) {
      const { abortError, abortSignal, newSignal } = parts.events();
      state.signal = newSignal();
      if (state.aborted) abortSignal(state.signal, state.abortReason ?? abortError());
    }
    return state.signal;
  }

  get cf(): object | undefined {
    const state = stateOf(this);
    if (state.cfText !== "") {
      state.cf = jsonParse(state.cfText) as object;
      state.cfText = "";
    }
    return state.cf;
  }

  get integrity(): string {
    stateOf(this);
    return "";
  }

  get keepalive(): boolean {
    stateOf(this);
    return false;
  }

  get cache(): RequestCache | undefined {
    return stateOf(this).cache;
  }
}

webClass(Request, "Request", (request) => ({
  method: request.method,
  url: request.url,
  headers: request.headers,
  redirect: request.redirect,
  cf: request.cf,
  bodyUsed: request.bodyUsed,
}));

function copyState(from: RequestState): RequestState {
  return {
    method: from.method,
    url: from.url,
    block: from.headers === null ? from.block : "",
    guard: "none",
    headers: from.headers === null ? null : new Headers(from.headers),
    redirect: from.redirect,
    signal: from.signal,
    aborted: from.aborted,
    abortReason: from.abortReason,
    cfText: from.cfText,
    cf: from.cf,
    cache: from.cache,
  };
}

function construct(input: unknown, init: unknown, given: number): { state: RequestState; body: BodyState } {
  if (given === 0) throw badConstructorArgument("Request", 1, "Request or string");
  if (init !== null && init !== undefined && !isObject(init)) {
    throw badConstructorArgument("Request", 2, "RequestInitializerDict or Request");
  }
  let state: RequestState;
  let inherited: BodyState | null = null;
  if (isRequest(input)) {
    state = copyState(stateOf(input));
    inherited = bodyOf(input);
  } else {
    state = {
      method: "GET", url: toUrl(input), block: "", guard: "none", headers: null, redirect: "follow", signal: null,
      aborted: false, abortReason: undefined, cfText: "", cf: undefined, cache: undefined,
    };
  }
  let givenBody: unknown;
  if (isRequest(init)) {
    // Another request as the settings of this one.
    const from = copyState(stateOf(init));
    from.url = state.url;
    state = from;
    inherited = bodyOf(init);
  } else if (init !== null && init !== undefined) {
    givenBody = applyInit(state, init as RequestInit);
  }

  let body: BodyState;
  if (givenBody !== null && givenBody !== undefined) {
    refuseBodyOf(state.method);
    body = extractBody(givenBody);
  } else if (givenBody === null || inherited === null) {
    body = noBody();
  } else {
    if (inherited.kind !== "none") {
      if (isUsed(inherited)) throw new TypeError("Cannot reconstruct a Request with a used body.");
      refuseBodyOf(state.method);
    }
    body = moveBody(inherited);
    body.contentType = null;  // The inherited headers have it, unless they were replaced.
  }
  if (body.contentType !== null) {
    state.headers ??= headersFromBlock(state.block, state.guard);
    addIfAbsent(state.headers, "content-type", body.contentType);
  }
  return { state, body };
}

function refuseBodyOf(method: string): void {
  if (method === "GET" || method === "HEAD") {
    throw new TypeError("Request with a GET or HEAD method cannot have a body.");
  }
}

// Reads the members in the order of the dictionary and returns the body that was given.
function applyInit(state: RequestState, init: RequestInit): unknown {
  const { body, cache, cf, headers, method, redirect, signal } = init;
  if (method !== undefined) state.method = toMethod(method);
  if (headers !== undefined) state.headers = new Headers(headers);
  if (redirect !== undefined) state.redirect = toRedirect(redirect);
  if (signal !== undefined) {
    state.signal = toSignal(signal);
    state.aborted = false;
  }
  if (cache !== undefined) state.cache = toCache(cache);
  if (cf !== undefined) {
    if (!isObject(cf)) throw badField("cf", "RequestInitializerDict", "Object");
    state.cfText = "";
    state.cf = cf;
  }
  return body;
}

// ---- For the runtime

// A request that came in. `cf` is JSON text, empty for none; `body` a native body, 0 for none.
export function requestFromHost(method: string, url: string, block: string, body: number, cf: string): Request {
  const state: RequestState = {
    method, url, block, guard: "immutable", headers: null, redirect: "manual", signal: null, aborted: false,
    abortReason: undefined, cfText: cf, cf: undefined, cache: undefined,
  };
  return new Request("", null, bodyToken, state, nativeBody(body));
}

// A request that came as a value; nothing is known of whose it was.
export function requestFromParts(
  method: string, url: string, block: string, redirect: RequestRedirect, cf: string, body: number,
): Request {
  const state: RequestState = {
    method: toMethod(method), url: toUrl(url), block, guard: "none", headers: null, redirect, signal: null, aborted: false,
    abortReason: undefined, cfText: cf, cf: undefined, cache: undefined,
  };
  return new Request("", null, bodyToken, state, nativeBody(body));
}

// The client of an incoming request went away.
export function abortRequest(request: Request, reason?: unknown): void {
  const state = stateOf(request);
  if (state.signal !== null) return parts.events().abortSignal(state.signal, reason ?? parts.events().abortError());
  state.aborted = true;
  state.abortReason = reason;
}

export function methodOf(request: Request): string {
  return stateOf(request).method;
}

export function urlOf(request: Request): string {
  return stateOf(request).url;
}

export function requestHeadersBlockOf(request: Request): string {
  const { headers, block } = stateOf(request);
  return headers === null ? block : blockOf(headers);
}

export function redirectOf(request: Request): RequestRedirect {
  return stateOf(request).redirect;
}

// The signal that its maker gave to it. That of a request that came in is the runtime's own.
export function givenSignalOf(request: Request): AbortSignal | null {
  const { signal, guard } = stateOf(request);
  return guard === "immutable" ? null : signal;
}

// The signal that somebody may abort, null when there is none.
export function signalOf(request: Request): AbortSignal | null {
  const state = stateOf(request);
  return state.aborted ? request.signal : state.signal;
}

// JSON text of `cf`, empty for none.
export function cfTextOf(request: Request): string {
  const { cf, cfText } = stateOf(request);
  return cf === undefined ? cfText : jsonStringify(cf) ?? "";
}

// What fetch() makes of its arguments: the request itself when there is nothing to change.
export function toRequest(input: unknown, init: unknown): Request {
  if (isRequest(input) && (init === undefined || init === null)) return input;
  if (init !== undefined && init !== null && !isObject(init)) {
    throw badArgument("fetch", "ServiceWorkerGlobalScope", 2, "RequestInitializerDict or Request");
  }
  return new Request(input as string, init as RequestInit);
}
