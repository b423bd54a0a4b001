// SPDX-License-Identifier: Apache-2.0
//
// WebSocket (https://websockets.spec.whatwg.org/#the-websocket-interface, with the accept() of the server side).
//
//   end ──send()──► the other side: another end in this isolate, whose inbox takes it
//   inbox ──one item for each turn──► "message", "close" and "error" events, once the end is accepted
//
// Invariants
//   1. Nothing is delivered inside send() or close(), and microtasks run between two events.
//   2. An end that was not accepted keeps what arrives, in order.
//   3. What an uncaught exception of a listener means: the connection is broken, and the end gets an "error" event.

import { toText, toUsv } from "../internal/convert.ts";
import { badArgument, illegalConstructor, illegalInvocation } from "../internal/errors.ts";
import { byteLengthOf, copyBytes, exactBuffer, isBytes } from "../internal/intrinsics.ts";
import { webClass, webConstants } from "../internal/web_class.ts";
import { Blob } from "./blob.ts";
import { DOMException } from "./dom_exception.ts";
import { CloseEvent, ErrorEvent, MessageEvent } from "./event_classes.ts";
import { dispatch, type Event, type EventHandler, EventTarget } from "./events.ts";
import { adoptSockets, socketHost } from "./sockets_later.ts";
import { setTimer } from "./timers.ts";

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
type Arrival =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "close"; readonly code: number; readonly reason: string }
  | { readonly kind: "gone" };

// What an end sends to.
interface Other {
  send(arrival: Arrival): void;
}

class End implements Other {
  readonly socket: WebSocket;
  readonly invocation = ops.invocation();
  other: Other | null = null;  // null: broken
  accepted = false;
  halfOpen = false;       // the close of the other side is not answered by itself
  hasSentClose = false;
  hasGotClose = false;
  isBroken = false;
  binaryType: BinaryType = socketHost().givesBlobs ? "blob" : "arraybuffer";
  attachment: Uint8Array | null = null;
  // Arrivals that wait, from `first` on.
  inbox: Arrival[] = [];
  first = 0;
  isScheduled = false;

  constructor(socket: WebSocket) {
    this.socket = socket;
  }

  get readyState(): number {
    if (this.isBroken || (this.hasSentClose && this.hasGotClose)) return kClosed;
    return this.hasSentClose || this.hasGotClose ? kClosing : kOpen;
  }

  // From the other side.
  send(arrival: Arrival): void {
    if (this.isBroken) return;
    this.inbox[this.inbox.length] = arrival;
    this.schedule();
  }

  schedule(): void {
    if (!this.accepted || this.isScheduled || this.first === this.inbox.length) return;
    this.isScheduled = true;
    setTimer(() => this.deliver(), 0);
  }

  deliver(): void {
    this.isScheduled = false;
    const arrival = this.inbox[this.first];
    if (arrival === undefined) return;
    if (++this.first === this.inbox.length) {
      this.inbox = [];
      this.first = 0;
    } else {
      this.inbox[this.first - 1] = undefined as never;  // The rest may stand here for long.
    }
    this.schedule();
    this.take(arrival);
  }

  take(arrival: Arrival): void {
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
        this.fire(new CloseEvent("close", { code: arrival.code, reason: arrival.reason, wasClean: true }));
        return;
      case "gone":
        this.breakOff();
        this.fire(new CloseEvent("close", {
          code: kAbnormal, reason: "WebSocket disconnected without sending Close frame.", wasClean: false,
        }));
    }
  }

  fire(event: Event): void {
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
    const { other } = this;
    this.breakOff();
    other?.send({ kind: "gone" });
    const event = new ErrorEvent("error", { message: `Uncaught ${describe(error)}`, error });
    dispatch(this.socket, event, undefined, propertyHandler(this.socket, event.type));
  }

  breakOff(): void {
    this.isBroken = true;
    this.other = null;
    this.inbox = [];
    this.first = 0;
  }
}

function toData(bytes: Uint8Array, type: BinaryType): Blob | ArrayBuffer {
  const buffer = exactBuffer(bytes);
  return type === "blob" ? new Blob([buffer]) : buffer;
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

const secret = Symbol();
let endOf: (socket: WebSocket) => End;
let isSocket: (value: unknown) => value is WebSocket;

export class WebSocket extends EventTarget {
  readonly #end: End;

  static {
    endOf = (socket) => {
      if (!isSocket(socket)) throw illegalInvocation();
      socketHost().requireOwner(socket.#end.invocation);
      return socket.#end;
    };
    isSocket = (value): value is WebSocket => typeof value === "object" && value !== null && #end in value;
  }

  constructor(token: unknown) {
    if (token !== secret) throw illegalConstructor();
    super();
    this.#end = new End(this);
  }

  accept(options?: { allowHalfOpen?: boolean }): void {
    const end = endOf(this);
    end.halfOpen = Boolean(options?.allowHalfOpen);
    end.accepted = true;
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
    end.attachment = bytes;
  }

  deserializeAttachment(): unknown {
    const { attachment } = endOf(this);
    return attachment === null ? null : socketHost().unpack(attachment);
  }

  get readyState(): number { return endOf(this).readyState; }
  get url(): string | null { endOf(this); return null; }
  get protocol(): string { endOf(this); return ""; }
  get extensions(): string { endOf(this); return ""; }
  get bufferedAmount(): number { endOf(this); return 0; }
  get binaryType(): BinaryType { return endOf(this).binaryType; }
  set binaryType(value: BinaryType) {
    const end = endOf(this);
    const text = toText(value);
    if (text === "blob" || text === "arraybuffer") end.binaryType = text;
  }
}

function requireAccepted(end: End): void {
  if (end.accepted) return;
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

adoptSockets({ isWebSocket: isSocket });
