// SPDX-License-Identifier: Apache-2.0
//
// Wire: the other side of a WebSocket's end when it is not in this isolate: a byte stream in each direction.
//
//   end ──send()──► [Wire] ──records──► writer         of the 101 response, or of the request that we made
//   end ◄──arrive── [Wire] ◄──records── native body    of the request that came in, or of the 101 response to ours
//
// A wire whose end nobody has accepted has read and written nothing: its streams can be given away whole.

import { gated } from "../../internal/gates.ts";
import { byteLengthOf, promiseThen } from "../../internal/intrinsics.ts";
import { type Response, responseHeadersBlockOf, statusTextOf } from "../../web/response.ts";
import { type Arrival, End, endForUse, type Other, socketOn, type WebSocket } from "../../web/web_socket.ts";
import { native } from "../native.ts";
import { Home } from "./home.ts";
import { encode, RecordReader } from "./records.ts";

const kNativeBody = 3;
const kWriter = 4;

class Wire implements Other {
  readonly #invocation: number;
  readonly #writer: number;
  readonly #body: number;
  #end: End | null = null;
  #isStarted = false;
  #isOver = false;
  // What the reader of the writer has no room for yet.
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #isBlocked = false;

  constructor(invocation: number, writer: number, body: number) {
    this.#invocation = invocation;
    this.#writer = writer;
    this.#body = body;
  }

  // The end that speaks and hears here.
  connect(end: End): void {
    this.#end = end;
  }

  // Reads from now on; the invocation lives until the socket is over.
  start(): void {
    if (this.#isStarted || this.#isOver) return;
    this.#isStarted = true;
    native.socket_hold(this.#invocation, this.#body);
    void this.#read(this.#end!);
  }

  accepted(): void {
    this.start();
  }

  send(arrival: Arrival): void {
    const record = encode(arrival);
    if (record !== null && !this.#isOver) this.#write(record);
  }

  over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.#isBlocked) native.stream_end(this.#writer, undefined);
    native.body_cancel(this.#body);
    if (this.#isStarted) native.socket_release(this.#invocation);
  }

  get bufferedAmount(): number {
    return this.#waitingBytes;
  }

  // The two streams, for somebody else. Null: they are in use.
  surrender(): { writer: number; body: number } | null {
    if (this.#isStarted || this.#isOver) return null;
    this.#isOver = true;
    return { writer: this.#writer, body: this.#body };
  }

  #write(record: Uint8Array): void {
    if (this.#isBlocked) {
      this.#waiting[this.#waiting.length] = record;
      this.#waitingBytes += byteLengthOf(record);
      return;
    }
    // When the reader wants no more, what it was to be told is lost; its own stream says that it is gone.
    const goesOn = native.stream_write(this.#writer, record);
    if (typeof goesOn === "boolean") return;
    this.#isBlocked = true;
    promiseThen(gated(goesOn), () => this.#writeOn());
  }

  #writeOn(): void {
    this.#isBlocked = false;
    const records = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (let i = 0; i < records.length; i++) this.#write(records[i]!);
    if (this.#isOver && !this.#isBlocked) native.stream_end(this.#writer, undefined);
  }

  async #read(end: End): Promise<void> {
    const reader = new RecordReader();
    let hasEnding = false;
    try {
      for (;;) {
        const chunk = await gated(native.body_pull(this.#body));
        const arrivals = chunk === undefined ? null : reader.take(chunk);
        if (arrivals === null) break;
        for (let i = 0; i < arrivals.length; i++) {
          const arrival = arrivals[i]!;
          if (arrival.kind !== "text" && arrival.kind !== "bytes") hasEnding = true;
          // Each event has a turn of its own; the first one has this.
          if (i === 0) end.arrive(arrival);
          else end.send(arrival);
        }
        if (this.#isOver) return;
        if (!end.isEmpty) await end.emptied();
      }
    } catch {
      // The stream broke: as if it had ended.
    }
    if (!this.#isOver) end.arrive(hasEnding ? { kind: "over" } : { kind: "gone" });
  }
}

// The WebSocket of a 101 response to a request of ours: `writer` is the body of that request, `body` of the response.
export function socketOfCall(writer: number, body: number): WebSocket {
  const wire = new Wire(native.invocation(), writer, body);
  const socket = socketOn(wire);
  wire.connect(endForUse(socket));
  return socket;
}

// Answers a request with a response that has a WebSocket. `body`: of the upgraded request; 0: it was none.
export function answerWith(
  answer: number, response: Response, body: number, fail: (error: unknown) => void,
): void {
  if (body === 0) {
    throw new TypeError("Worker tried to return a WebSocket in a response to a request which did not contain the " +
      'header "Upgrade: websocket".');
  }
  const end = endForUse(response.webSocket!);
  const { other } = end;
  if (other instanceof Wire) {
    // Passed on: the streams go their way without this isolate.
    const streams = other.surrender();
    if (streams === null) throw new TypeError("Can't return WebSocket in a Response after calling accept().");
    end.giveAway(other);
    native.stream_splice(streams.writer, body);
    respond(answer, response, kNativeBody, streams.body);
    return;
  }
  const home = other instanceof End ? other.keeper : null;
  if (home instanceof Home) {
    // Kept for its actor by the supervisor, which the client is connected with.
    end.giveAway(home);
    promiseThen(home.open(body), (kept: number) => respond(answer, response, kNativeBody, kept), fail);
    return;
  }
  const invocation = native.invocation();
  const writer = native.stream_open(invocation);
  const wire = new Wire(invocation, writer, body);
  const partner = end.giveAway(wire);
  if (partner === null) throw new TypeError("Can't return WebSocket whose other end is gone.");
  wire.connect(partner);
  wire.start();
  respond(answer, response, kWriter, writer);
}

function respond(answer: number, response: Response, kind: number, value: number): void {
  native.respond(answer, 101, statusTextOf(response), responseHeadersBlockOf(response), kind, value, -1);
}
