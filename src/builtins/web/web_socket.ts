// SPDX-License-Identifier: Apache-2.0
//
// WebSocket (https://websockets.spec.whatwg.org/#the-websocket-interface, with the accept() of the server side).
//
//   end ──send()──► the other side: another end in this isolate, or a wire that leads out of it
//   inbox ──one item for each turn──► "message", "close" and "error" events, once the end is accepted
//
// Invariants
//   1. Nothing is delivered inside send() or close(), and microtasks run between two events.
//   2. An end that was not accepted keeps what arrives, in order.
//   3. What an uncaught exception of a listener means: the connection is broken, and the end gets an "error" event.

import { toText, toUsv } from "../internal/convert.ts";
import { badArgument, badConstructorArgument, illegalInvocation } from "../internal/errors.ts";
import {
  byteLengthOf, copyBytes, exactBuffer, indexOf, isBytes, join, promiseThen, regExpExec, SafePromise, slice, startsWith,
} from "../internal/intrinsics.ts";
import { webClass, webConstants } from "../internal/web_class.ts";
import type { Blob } from "./blob.ts";
import { DOMException } from "./dom_exception.ts";
import type { Event as AnyEvent, EventHandler } from "./events.ts";
import { headerOf } from "./headers.ts";
import { type Response, statusOf, webSocketOf } from "./response.ts";
import { adoptSockets, socketHost } from "./sockets_later.ts";
import { setTimer } from "./timers.ts";

const { CloseEvent, dispatch, ErrorEvent, Event, EventTarget, MessageEvent } = parts.events();

const kConnecting = 0;
const kOpen = 1;
const kClosing = 2;
const kClosed = 3;

const kNoCode = 1005;
const kAbnormal = 1006;
const kReasonBytesMax = 123;
const kAttachmentBytesMax = 16384;

type BinaryType = "blob" | "arraybuffer";

// What arrives at an end.
export type Arrival =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "close"; readonly code: number; readonly reason: string }
  | { readonly kind: "gone" }    // broken without a close
  | { readonly kind: "failed"; readonly why: string }  // "1002: what rule was broken"
  | { readonly kind: "over" };   // after a close: nobody is there to answer it any more

// What an end sends to.
export interface Other {
  send(arrival: Arrival): void;
  // What speaks and hears here.
  connect(end: End): void;
  // Of the end: it was accepted; and it neither sends nor wants anything any more.
  accepted(): void;
  over(): void;
  readonly bufferedAmount: number;
}

// What has accepted an end for an actor (runtime/sockets/home.ts): it hears what arrives, instead of listeners.
export interface Keeper {
  hear(arrival: Arrival): void;
  attachmentChanged(): void;
}

export class End implements Other {
  readonly socket: WebSocket;
  owner = socketHost().ownerHere();
  other: Other | null;  // null: broken
  isAccepted = false;
  isGivenAway = false;    // went out in a response
  isConnecting = false;   // to `url`
  url: string | null = null;  // of one that the Worker has constructed
  protocol = "";
  halfOpen = false;       // the close of the other side is not answered by itself
  hasSentClose = false;
  hasGotClose = false;
  isBroken = false;
  binaryType: BinaryType = socketHost().givesBlobs ? "blob" : "arraybuffer";
  attachment: Uint8Array | null = null;
  keeper: Keeper | null = null;
  // Arrivals that wait, from `first` on.
  inbox: Arrival[] = [];
  first = 0;
  isScheduled = false;
  #onEmpty: (() => void) | null = null;

  constructor(socket: WebSocket, other: Other | null) {
    this.socket = socket;
    this.other = other;
  }

  get readyState(): number {
    if (this.isConnecting) return kConnecting;
    if (this.isBroken || (this.hasSentClose && this.hasGotClose)) return kClosed;
    return this.hasSentClose || this.hasGotClose ? kClosing : kOpen;
  }

  // ---- As the other side of an end in this isolate

  send(arrival: Arrival): void {
    if (this.isBroken) return;
    this.inbox[this.inbox.length] = arrival;
    this.schedule();
  }
  connect(): void {}
  accepted(): void {}
  over(): void {}
  get bufferedAmount(): number { return 0; }

  // ---- As a wire's end

  // In a turn of its own: what can be delivered at once is.
  arrive(arrival: Arrival): void {
    if (this.isAccepted && this.isEmpty && !this.isBroken) {
      this.take(arrival);
    } else {
      this.send(arrival);
    }
  }

  get isEmpty(): boolean {
    return this.first === this.inbox.length;
  }

  // Settles when nothing waits here any more.
  emptied(): Promise<void> {
    return new SafePromise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  // Goes out: what its partner has sent to it, and will send, goes to `wire`. Null: it has no partner any more.
  giveAway(wire: Other): End | null {
    if (this.isGivenAway) throw new TypeError("Can't return WebSocket that was already used in a response.");
    if (this.isAccepted) throw new TypeError("Can't return WebSocket in a Response after calling accept().");
    this.isGivenAway = true;
    const partner = this.other;
    this.other = null;
    if (!(partner instanceof End)) return null;
    partner.other = wire;
    for (; this.first < this.inbox.length; this.first++) wire.send(this.inbox[this.first]!);
    this.inbox = [];
    this.first = 0;
    return partner;
  }

  // The server has answered the request of a constructed WebSocket.
  connected(response: Response): void {
    const opened = webSocketOf(response);
    if (opened === null) {
      throw new TypeError("Failed to establish the WebSocket connection: expected server to reply with HTTP status " +
        `code 101 (switching protocols), but received ${statusOf(response)} instead.`);
    }
    const from = endOf(opened);
    const { other } = from;
    from.giveAway(this);
    this.isConnecting = false;
    this.isAccepted = true;
    this.protocol = headerOf(response.headers, "sec-websocket-protocol") ?? "";
    this.other = other;
    other!.connect(this);
    this.fire(new Event("open"));
    this.other?.accepted();
  }

  failToConnect(error: unknown): void {
    this.isConnecting = false;
    this.isBroken = true;
    this.fireError(error);
    this.fire(new CloseEvent("close", {
      code: kAbnormal, reason: "Failed to establish websocket connection", wasClean: false,
    }));
  }

  // ---- Inside

  schedule(): void {
    if (!this.isAccepted || this.isScheduled || this.isEmpty) return;
    this.isScheduled = true;
    setTimer(() => this.deliver(), 0);
  }

  deliver(): void {
    this.isScheduled = false;
    const arrival = this.inbox[this.first];
    if (arrival === undefined) return;
    this.inbox[this.first++] = undefined as never;  // The rest may stand here for long.
    if (this.isEmpty) this.clear();
    this.schedule();
    this.take(arrival);
  }

  take(arrival: Arrival): void {
    if (this.keeper !== null) {
      this.keeper.hear(arrival);
      return;
    }
    switch (arrival.kind) {
      case "text":
        this.fire(new MessageEvent("message", { data: arrival.text }));
        return;
      case "bytes":
        this.fire(new MessageEvent("message", { data: toData(arrival.bytes, this.binaryType) }));
        return;
      case "close":
        this.hasGotClose = true;
        if (!this.hasSentClose && !this.halfOpen && socketHost().repliesToClose) {
          this.hasSentClose = true;
          this.other?.send(arrival);
        }
        this.endIfClosed();
        this.fire(new CloseEvent("close", { code: arrival.code, reason: arrival.reason, wasClean: true }));
        return;
      case "gone":
        this.breakOff();
        this.fire(new CloseEvent("close", {
          code: kAbnormal, reason: "WebSocket disconnected without sending Close frame.", wasClean: false,
        }));
        return;
      case "failed":
        this.breakOff();
        this.fireError(protocolError(arrival.why));
        return;
      case "over":
        this.breakOff();
    }
  }

  fire(event: AnyEvent): void {
    let error: unknown;
    let hasFailed = false;
    dispatch(this.socket, event, (thrown) => {
      // The first one decides: nobody else hears of this event.
      event.stopImmediatePropagation();
      hasFailed = true;
      error = thrown;
    }, propertyHandler(this.socket, event.type));
    if (hasFailed) this.fail(error);
  }

  fail(error: unknown): void {
    if (!this.isBroken) {
      this.other?.send({ kind: "gone" });
      this.breakOff();
    }
    this.fireError(error);
  }

  fireError(error: unknown): void {
    const event = new ErrorEvent("error", { message: `Uncaught ${describe(error)}`, error });
    dispatch(this.socket, event, undefined, propertyHandler(this.socket, event.type));
  }

  endIfClosed(): void {
    if (this.hasSentClose && this.hasGotClose) this.other?.over();
  }

  breakOff(): void {
    this.isBroken = true;
    this.other?.over();
    this.other = null;
    this.clear();
  }

  clear(): void {
    this.inbox = [];
    this.first = 0;
    const onEmpty = this.#onEmpty;
    this.#onEmpty = null;
    onEmpty?.();
  }
}

// "1009: Message is too large", as the contract words it.
export function protocolError(why: string): Error {
  const at = indexOf(why, ": ");
  return new Error(`WebSocket protocol error; protocolError.statusCode = ${slice(why, 0, at)}; ` +
    `protocolError.description = ${slice(why, at + 2)}`);
}

function toData(bytes: Uint8Array, type: BinaryType): Blob | ArrayBuffer {
  const buffer = exactBuffer(bytes);
  return type === "blob" ? new (parts.forms().Blob)([buffer]) : buffer;
}

// A function that was assigned to `onmessage` and the like; it comes before the listeners.
function propertyHandler(socket: WebSocket, type: string): EventHandler | null {
  const handler = (socket as unknown as Record<string, unknown>)[`on${type}`];
  return typeof handler === "function" ? (handler as EventHandler) : null;
}

function describe(error: unknown): string {
  try {
    return String(error);
  } catch {
    return "an exception without a text";
  }
}

function checkCode(code: unknown): number {
  const number = Number(code) | 0;
  const isReserved = number === 1004 || number === kNoCode || number === kAbnormal || number === 1015;
  if (number < 1000 || number > 4999 || isReserved) {
    throw new DOMException(`Invalid WebSocket close code: ${number}.`, "InvalidAccessError");
  }
  return number;
}

function checkReason(reason: unknown): string {
  const text = toUsv(reason);
  if (socketHost().limitsReasons && text.length > kReasonBytesMax / 3 && byteLengthOf(ops.utf8_encode(text)) > kReasonBytesMax) {
    throw new DOMException(
      "WebSocket close reason must not be longer than 123 bytes when UTF-8 encoded.", "SyntaxError");
  }
  return text;
}

function syntaxError(what: string): DOMException {
  return new DOMException(`WebSocket Constructor: ${what}`, "SyntaxError");
}

function checkUrl(url: unknown): string {
  const href = ops.url_parse(toUsv(url), undefined);
  if (href === undefined) throw syntaxError("The url is invalid.");
  if (!startsWith(href, "ws:") && !startsWith(href, "wss:")) throw syntaxError("The url scheme must be ws or wss.");
  if (indexOf(href, "#") >= 0) throw syntaxError("The url fragment must be empty.");
  return href;
}

const kToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

// As the value of the header.
function checkProtocols(protocols: unknown): string {
  if (protocols === undefined) return "";
  const names = typeof protocols === "string" ? [protocols] : [...(protocols as Iterable<unknown>)].map(toText);
  for (let i = 0; i < names.length; i++) {
    if (regExpExec(kToken, names[i]!) === null) throw syntaxError("The protocol header token is invalid.");
    for (let earlier = 0; earlier < i; earlier++) {
      if (names[earlier] === names[i]) throw syntaxError("The protocols header cannot have repeating values.");
    }
  }
  return join(names, ", ");
}

const secret = Symbol();
let endOf: (socket: WebSocket) => End;
let isSocket: (value: unknown) => value is WebSocket;

export class WebSocket extends EventTarget {
  readonly #end: End;

  static {
    endOf = (socket) => {
      if (!isSocket(socket)) throw illegalInvocation();
      socketHost().requireOwner(socket.#end.owner);
      return socket.#end;
    };
    isSocket = (value): value is WebSocket => typeof value === "object" && value !== null && #end in value;
  }

  // Of the runtime: the token, and the other side.
  constructor(url: unknown, protocols?: unknown) {
    if (url === secret) {
      super();
      this.#end = new End(this, (protocols ?? null) as Other | null);
      return;
    }
    if (arguments.length === 0) throw badConstructorArgument("WebSocket", 1, "string");
    const href = checkUrl(url);
    const names = checkProtocols(protocols);
    super();
    const end = new End(this, null);
    this.#end = end;
    end.url = href;
    end.isConnecting = true;
    // ws: and wss: are http: and https: on the way.
    promiseThen(
      promiseThen(socketHost().connect(`http${slice(href, 2)}`, names), (response: Response) => end.connected(response)),
      null,
      (error: unknown) => end.failToConnect(error),
    );
  }

  accept(options?: { allowHalfOpen?: boolean }): void {
    const end = endOf(this);
    const halfOpen = Boolean(options?.allowHalfOpen);
    if (end.url !== null) {
      throw new TypeError("Websockets obtained from the 'new WebSocket()' constructor cannot call accept");
    }
    if (end.isGivenAway) throw new TypeError("Can't accept() WebSocket that was already used in a response.");
    if (end.keeper !== null) throw new TypeError("Can't accept() WebSocket after enabling hibernation.");
    if (end.isAccepted) return;
    end.halfOpen = halfOpen;
    end.isAccepted = true;
    end.other?.accepted();
    end.schedule();
  }

  send(message: string | ArrayBuffer | ArrayBufferView): void {
    const end = endOf(this);
    if (arguments.length === 0) throw badArgument("send", "WebSocket", 1, "ArrayBuffer or ArrayBufferView or string");
    const arrival: Arrival = isBytes(message)
      ? { kind: "bytes", bytes: copyBytes(message) }
      : { kind: "text", text: toUsv(message) };
    requireAccepted(end);
    if (end.hasSentClose) throw new TypeError("Can't call WebSocket send() after close().");
    end.other?.send(arrival);
  }

  close(code?: number, reason?: string): void {
    const end = endOf(this);
    if (code === undefined && reason !== undefined) {
      throw new DOMException(
        "If you specify a WebSocket close reason, you must also specify a code.", "InvalidAccessError");
    }
    const arrival: Arrival = {
      kind: "close",
      code: code === undefined ? kNoCode : checkCode(code),
      reason: reason === undefined ? "" : checkReason(reason),
    };
    requireAccepted(end);
    if (end.hasSentClose || end.isBroken) return;
    end.hasSentClose = true;
    end.other?.send(arrival);
    end.endIfClosed();
  }

  // Structured clones that belong to the connection.
  serializeAttachment(value: unknown): void {
    const end = endOf(this);
    if (arguments.length === 0) throw badArgument("serializeAttachment", "WebSocket", 1, "Value");
    const bytes = socketHost().pack(value);
    if (byteLengthOf(bytes) > kAttachmentBytesMax) {
      throw new Error(`A WebSocket 'attachment' cannot be larger than ${kAttachmentBytesMax} bytes.` +
        `'attachment' was ${byteLengthOf(bytes)} bytes.`);
    }
    const before = end.attachment;
    end.attachment = bytes;
    try {
      end.keeper?.attachmentChanged();
    } catch (error) {
      end.attachment = before;
      throw error;
    }
  }

  deserializeAttachment(): unknown {
    const { attachment } = endOf(this);
    return attachment === null ? null : socketHost().unpack(attachment);
  }

  get readyState(): number { return endOf(this).readyState; }
  get url(): string | null { return endOf(this).url; }
  get protocol(): string { return endOf(this).protocol; }
  get extensions(): string { endOf(this); return ""; }
  get bufferedAmount(): number { return endOf(this).other?.bufferedAmount ?? 0; }
  get binaryType(): BinaryType { return endOf(this).binaryType; }
  set binaryType(value: BinaryType) {
    const end = endOf(this);
    const text = toText(value);
    if (text === "blob" || text === "arraybuffer") end.binaryType = text;
  }
}

function requireAccepted(end: End): void {
  if (end.isAccepted) return;
  throw new TypeError(
    "You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending messages.");
}

webClass(WebSocket, "WebSocket", (socket) => ({
  readyState: socket.readyState, url: socket.url, protocol: socket.protocol, extensions: socket.extensions,
}));
webConstants(WebSocket, {
  CONNECTING: kConnecting, OPEN: kOpen, CLOSING: kClosing, CLOSED: kClosed,
  READY_STATE_CONNECTING: kConnecting, READY_STATE_OPEN: kOpen, READY_STATE_CLOSING: kClosing,
  READY_STATE_CLOSED: kClosed,
});

// Two ends, each the other's other side.
export function makePair(): [WebSocket, WebSocket] {
  const one = new WebSocket(secret);
  const two = new WebSocket(secret);
  endOf(one).other = endOf(two);
  endOf(two).other = endOf(one);
  return [one, two];
}

// One whose other side is elsewhere.
export function socketOn(other: Other): WebSocket {
  return new WebSocket(secret, other);
}

export function endForUse(socket: WebSocket): End {
  return endOf(socket);
}

export { isSocket };

// An end is an actor's from now on.
export function keepEnd(end: End, keeper: Keeper): void {
  if (end.isAccepted) {
    throw new Error("Cannot call `acceptWebSocket()` if the WebSocket was already accepted via `accept()`");
  }
  const { other } = end;
  if (end.url !== null || end.isGivenAway || !(other instanceof End) || other.isAccepted || other.keeper !== null) {
    throw new Error("Cannot call `acceptWebSocket()` on this WebSocket because its pair has already been accepted or used in " +
      "a Response.");
  }
  end.keeper = keeper;
  end.isAccepted = true;
  end.schedule();
}

adoptSockets({ isWebSocket: isSocket });
