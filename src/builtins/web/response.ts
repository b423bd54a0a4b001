// SPDX-License-Identifier: Apache-2.0
//
// Response (https://fetch.spec.whatwg.org/#response-class).

import { isObject, toText, toUsv } from "../internal/convert.ts";
import { badConstructorArgument, badField, illegalInvocation } from "../internal/errors.ts";
import { jsonStringify, regExpExec } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import { Body, bodyOf, type BodyInit, type BodyState, bodyToken, copyBody, extractBody, nativeBody, noBody, textBody } from "./body.ts";
import { addIfAbsent, blockOf, Headers, headersFromBlock, type HeadersGuard, type HeadersInit } from "./headers.ts";
import { isWebSocket } from "./sockets_later.ts";
import type { WebSocket } from "./web_socket.ts";

export interface ResponseInit {
  status?: number;
  statusText?: string;
  headers?: HeadersInit;
  cf?: object;
  webSocket?: WebSocket | null;
  encodeBody?: "automatic" | "manual";
}

interface ResponseState {
  status: number;
  statusText: string;
  // The fields as a block, until somebody asks for the object.
  block: string;
  guard: HeadersGuard;
  headers: Headers | null;
  url: string;
  redirected: boolean;
  type: "default" | "error";
  cf: object | undefined;
  encodeBody: "automatic" | "manual";
  webSocket: WebSocket | null;
}

const kNoStatusText = /[\0-\x08\x0a-\x1f\x7f]/;

function isNullBodyStatus(status: number): boolean {
  return status === 101 || status === 204 || status === 205 || status === 304;
}

let stateOf: (response: Response) => ResponseState;
export let isResponse: (value: unknown) => value is Response;

export class Response extends Body {
  #state: ResponseState;

  static {
    stateOf = (response) => {
      if (!isObject(response) || !(#state in response)) throw illegalInvocation();
      return response.#state;
    };
    isResponse = (value): value is Response => isObject(value) && #state in value;
  }

  // The arguments after the second are the runtime's.
  constructor(
    body: BodyInit | undefined = undefined,
    init: ResponseInit | Response | null = null,
    secret?: typeof bodyToken,
    state?: ResponseState,
    given?: BodyState,
  ) {
    if (secret === bodyToken) {
      super(bodyToken, given!);
      this.#state = state!;
      return;
    }
    const made = newState();
    if (init !== null) applyInit(made, init);
    const content = extractBody(body);
    if (content.kind !== "none" && isNullBodyStatus(made.status) && content.value !== "") {
      throw new TypeError("Response with null body status (101, 204, 205, or 304) cannot have a body.");
    }
    setContentType(made, content.contentType);
    super(bodyToken, content);
    this.#state = made;
  }

  static json(data: unknown, init: ResponseInit | Response | null = null): Response {
    // What JSON has no text for, such as undefined, goes out as the word for it.
    const text = `${jsonStringify(data)}`;
    const state = newState();
    if (init !== null) applyInit(state, init);
    if (isNullBodyStatus(state.status)) {
      throw new TypeError("Response with null body status (101, 204, 205, or 304) cannot have a body.");
    }
    setContentType(state, "application/json");
    return new Response(null, null, bodyToken, state, textBody(text, "application/json"));
  }

  static redirect(url: string | { toString(): string }, status: number = 302): Response {
    const text = toUsv(url);
    const href = ops.url_parse(text, undefined);
    if (href === undefined) throw new TypeError(`Unable to parse URL: ${text}`);
    const code = Number(status) | 0;
    if (code !== 301 && code !== 302 && code !== 303 && code !== 307 && code !== 308) {
      throw new RangeError(
        `${code} is not a redirect status code. It must be one of: 301, 302, 303, 307, or 308.`,
      );
    }
    const state = newState();
    state.status = code;
    state.block = `location\0${href}\0`;
    state.guard = "immutable";
    return new Response(null, null, bodyToken, state, noBody());
  }

  static error(): Response {
    const state = newState();
    state.status = 0;
    state.type = "error";
    state.guard = "immutable";
    return new Response(null, null, bodyToken, state, noBody());
  }

  clone(): Response {
    const from = stateOf(this);
    if (from.webSocket !== null) throw new TypeError("Cannot clone a response to a WebSocket handshake.");
    const body = copyBody(bodyOf(this));
    const state: ResponseState = {
      status: from.status,
      statusText: from.statusText,
      block: from.headers === null ? from.block : "",
      guard: from.guard,
      headers: from.headers === null ? null : new Headers(from.headers),
      url: from.url,
      redirected: from.redirected,
      type: from.type,
      cf: from.cf,
      encodeBody: from.encodeBody,
      webSocket: null,
    };
    return new Response(null, null, bodyToken, state, body);
  }

  get status(): number {
    return stateOf(this).status;
  }

  get statusText(): string {
    return stateOf(this).statusText;
  }

  get headers(): Headers {
    const state = stateOf(this);
    return (state.headers ??= headersFromBlock(state.block, state.guard));
  }

  get ok(): boolean {
    const { status } = stateOf(this);
    return status >= 200 && status < 300;
  }

  get redirected(): boolean {
    return stateOf(this).redirected;
  }

  get url(): string {
    return stateOf(this).url;
  }

  get webSocket(): WebSocket | null {
    return stateOf(this).webSocket;
  }

  get cf(): object | undefined {
    return stateOf(this).cf;
  }

  get type(): "default" | "error" {
    return stateOf(this).type;
  }
}

webClass(Response, "Response", (response) => ({
  status: response.status,
  statusText: response.statusText,
  headers: response.headers,
  ok: response.ok,
  redirected: response.redirected,
  url: response.url,
  bodyUsed: response.bodyUsed,
}));

function newState(): ResponseState {
  return {
    status: 200, statusText: "", block: "", guard: "none", headers: null, url: "", redirected: false, type: "default",
    cf: undefined, encodeBody: "automatic", webSocket: null,
  };
}

function setContentType(state: ResponseState, contentType: string | null): void {
  if (contentType === null) return;
  if (state.headers !== null) {
    addIfAbsent(state.headers, "content-type", contentType);
  } else {
    state.block = `content-type\0${contentType}\0`;
  }
}

function applyInit(state: ResponseState, init: unknown): void {
  if (!isObject(init)) throw badConstructorArgument("Response", 2, "InitializerDict or Response");
  const { cf, encodeBody, headers, status, statusText, webSocket } = init as ResponseInit;
  if (cf !== undefined && cf !== null) {
    if (!isObject(cf)) throw badField("cf", "InitializerDict", "Object");
    state.cf = cf;
  }
  const socket = webSocket ?? null;
  if (socket !== null && !isWebSocket(socket)) throw badField("webSocket", "InitializerDict", "WebSocket");
  if (encodeBody !== undefined) {
    const text = toText(encodeBody);
    if (text !== "automatic" && text !== "manual") throw new TypeError(`encodeBody: unexpected value: ${text}`);
    state.encodeBody = text;
  }
  if (headers !== undefined) state.headers = new Headers(headers);
  if (status !== undefined) {
    const code = Number(status) | 0;
    if ((code < 200 || code > 599) && (code !== 101 || socket === null)) {
      throw new RangeError("Responses may only be constructed with status codes in the range 200 to 599, inclusive.");
    }
    state.status = code;
  }
  if (statusText !== undefined) {
    const text = toText(statusText);
    if (regExpExec(kNoStatusText, text) !== null) throw new TypeError("Invalid statusText");
    state.statusText = text;
  }
  if (socket !== null && state.status !== 101) {
    throw new RangeError("Responses with a WebSocket must have status code 101.");
  }
  state.webSocket = socket;
}

// ---- For the runtime

// A response that came in. `body` is a native body, 0 for none.
export function responseFromHost(
  status: number, statusText: string, block: string, body: number, url: string, redirected: boolean,
): Response {
  const state: ResponseState = {
    status, statusText, block, guard: "immutable", headers: null, url, redirected, type: "default", cf: undefined,
    encodeBody: "automatic", webSocket: null,
  };
  return new Response(null, null, bodyToken, state, nativeBody(body));
}

// A response that came as a value.
export function responseFromParts(
  status: number, statusText: string, block: string, type: "default" | "error", body: number,
): Response {
  const response = responseFromHost(status, statusText, block, body, "", false);
  const state = stateOf(response);
  state.guard = "none";
  state.type = type;
  return response;
}

export function webSocketOf(response: Response): WebSocket | null {
  return stateOf(response).webSocket;
}

export function setWebSocket(response: Response, socket: WebSocket): void {
  stateOf(response).webSocket = socket;
}

export function statusOf(response: Response): number {
  return stateOf(response).status;
}

export function statusTextOf(response: Response): string {
  return stateOf(response).statusText;
}

export function responseHeadersBlockOf(response: Response): string {
  const { headers, block } = stateOf(response);
  return headers === null ? block : blockOf(headers);
}

// "manual": the body is already encoded as its Content-Encoding says.
export function encodeBodyOf(response: Response): "automatic" | "manual" {
  return stateOf(response).encodeBody;
}
