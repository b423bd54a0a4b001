// SPDX-License-Identifier: Apache-2.0
//
// WebSockets that an actor has accepted with ctx.acceptWebSocket(). Once its response is on its way the client is
// connected with the supervisor, which tells the actor of each message by an event, and keeps tags and attachments while
// there is no instance.
//
//   end ──send()──► [Home] ──records──► supervisor        under credit; what there is none for waits here
//   supervisor ──event──► [ActorSockets] ──► webSocketMessage(ws, ...) of the instance
//
// Until its other end is given away, a socket's messages come from this isolate.

import { isObject, toText } from "../../internal/convert.ts";
import { badArgument } from "../../internal/errors.ts";
import {
  apply, arraySlice, byteLengthOf, concatBytes, exactBuffer, isArray, jsonStringify, mapDelete, mapForEach, mapGet, mapSet, promiseResolve, promiseThen,
  SafeMap, SafePromise, subarray,
} from "../../internal/intrinsics.ts";
import {
  type Arrival, type End, endForUse, isSocket, type Keeper, keepEnd, type Other, protocolError, socketOn, type WebSocket,
} from "../../web/web_socket.ts";
import { isAutoPair, WebSocketRequestResponsePair } from "../../web/web_socket_auto_pair.ts";
import type { Actor } from "../actors/actor.ts";
import { keepSocket } from "../calls.ts";
import { describe } from "../errors.ts";
import { native } from "../native.ts";
import { encode } from "./records.ts";
import { type Entry, ListPart } from "./socket_list.ts";

const kState = "DurableObjectState";
const kTagsMax = 10;
const kTagBytesMax = 256;
const kSocketsMax = 32768;
const kAttachmentsMax = 64 * 1024 * 1024;
const kAutoBytesMax = 2048;
const kTimeoutMax = 604800000;
const kSayBytesMax = 65536;

const kRecords = 0;
const kAttachment = 1;
const kAutoResponse = 3;
const kNoAutoResponse = 4;
const kEventTimeout = 5;

const kCredit = 0;

// Lets something into the instance, when its gate says so.
type LetIn = (run: (self: object) => unknown) => unknown;

// One socket: the other side of its end, and the one that hears.
export class Home implements Other, Keeper {
  readonly all: ActorSockets;
  readonly number: number;
  readonly tags: readonly string[];
  readonly end: End;
  stamp = 0;
  credit = 0;
  isKept = false;  // by the supervisor
  attachmentBytes = 0;
  // A message that comes in pieces is put together; what comes after it waits.
  reading: Promise<void> | null = null;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  constructor(all: ActorSockets, number: number, tags: readonly string[], end: End) {
    this.all = all;
    this.number = number;
    this.tags = tags;
    this.end = end;
  }

  // The supervisor has it already.
  resume({ credit, stamp, attachment, hasActorClosed, hasClientClosed }: Entry): void {
    const { end } = this;
    end.keeper = this;
    end.isAccepted = true;
    end.hasSentClose = hasActorClosed;
    end.hasGotClose = hasClientClosed;
    end.attachment = attachment;
    this.attachmentBytes = attachment === null ? 0 : byteLengthOf(attachment);
    this.credit = credit;
    this.stamp = stamp;
    this.isKept = true;
  }

  // body: what the client sends. Returns what it is sent.
  open(body: number): Promise<number> {
    const { actor } = this.all;
    this.isKept = true;
    const kept = keepSocket(actor.number, jsonStringify({ socket: this.number, tags: this.tags }), body);
    this.#sayAttachment();
    return promiseThen(kept, undefined, (error: unknown) => {
      this.leave();
      throw error;
    }) as Promise<number>;
  }

  // ---- The other side

  connect(): void {}
  accepted(): void {}
  over(): void {}

  get bufferedAmount(): number {
    return this.#waitingBytes;
  }

  send(arrival: Arrival): void {
    const record = encode(arrival);
    if (record !== null) this.#write(record);
  }

  #write(record: Uint8Array): void {
    const rest = this.#waiting.length === 0 ? this.#say(record) : record;
    if (rest === null) return;
    if (this.#waiting.length === 0) native.socket_wait(this.all.actor.number, true);
    this.#waiting[this.#waiting.length] = rest;
    this.#waitingBytes += byteLengthOf(rest);
  }

  // Returns what there is no credit for.
  #say(record: Uint8Array): Uint8Array | null {
    const length = byteLengthOf(record);
    let at = 0;
    while (at < length && this.credit > 0) {
      let count = length - at;
      if (count > this.credit) count = this.credit;
      if (count > kSayBytesMax) count = kSayBytesMax;
      this.credit -= count;
      native.socket_say(this.all.actor.number, this.number, kRecords, subarray(record, at, at + count), undefined, 0);
      at += count;
    }
    return at === length ? null : subarray(record, at);
  }

  granted(bytes: number): void {
    this.credit += bytes;
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (let i = 0; i < waiting.length; i++) {
      const rest = this.#waiting.length === 0 ? this.#say(waiting[i]!) : waiting[i]!;
      if (rest === null) continue;
      this.#waiting[this.#waiting.length] = rest;
      this.#waitingBytes += byteLengthOf(rest);
    }
    if (this.#waiting.length === 0) native.socket_wait(this.all.actor.number, false);
  }

  attachmentChanged(): void {
    const { attachment } = this.end;
    const bytes = attachment === null ? 0 : byteLengthOf(attachment);
    this.all.countAttachment(bytes - this.attachmentBytes);
    this.attachmentBytes = bytes;
    if (this.isKept) this.#sayAttachment();
  }

  #sayAttachment(): void {
    const { attachment } = this.end;
    if (attachment === null) return;
    native.socket_say(this.all.actor.number, this.number, kAttachment, attachment, undefined, 0);
  }

  // ---- What comes

  // From the other end, in this isolate.
  hear(arrival: Arrival): void {
    const { auto, actor } = this.all;
    if (arrival.kind === "text" && auto !== null && arrival.text === auto.request) {
      this.stamp = native.now();
      this.end.other?.send({ kind: "text", text: auto.response });
      return;
    }
    if (actor.instance === null) return;
    try {
      promiseThen(promiseResolve(this.tell(actor.instance, arrival)), undefined, report);
    } catch (error) {
      report(error);
    }
  }

  // Has the instance hear it. What its handler does is its own matter.
  tell(self: object, arrival: Arrival): unknown {
    const { end } = this;
    const { socket } = end;
    switch (arrival.kind) {
      case "text":
        return call(self, "webSocketMessage", [socket, arrival.text]);
      case "bytes":
        return call(self, "webSocketMessage", [socket, exactBuffer(arrival.bytes)]);
      case "close":
        end.hasGotClose = true;
        return this.#last(() => call(self, "webSocketClose", [socket, arrival.code, arrival.reason, true]), () => {
          if (end.hasSentClose || end.isBroken) return;
          end.hasSentClose = true;
          if (!this.isKept) end.other?.send(arrival);  // Else the supervisor answers.
        });
      case "gone":
        end.hasGotClose = true;
        return this.#last(() => call(self, "webSocketClose",
          [socket, 1006, "WebSocket disconnected without sending Close frame.", false]));
      case "failed":
        end.hasGotClose = true;
        return this.#last(() => call(self, "webSocketError", [socket, protocolError(arrival.why)]));
      default:
        return undefined;
    }
  }

  #last(tell: () => unknown, then?: () => void): unknown {
    const after = (): void => {
      then?.();
      this.leave();
    };
    let result: unknown;
    try {
      result = tell();
    } catch (error) {
      after();
      throw error;
    }
    if (!isObject(result)) {
      after();
      return undefined;
    }
    return promiseThen(promiseResolve(result), after, (error: unknown) => {
      after();
      throw error;
    });
  }

  // It is over for the actor.
  leave(): void {
    this.all.forget(this);
    if (this.#waiting.length !== 0) native.socket_wait(this.all.actor.number, false);
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.isKept) this.end.isBroken = true;
  }
}

function call(self: object, name: string, args: unknown[]): unknown {
  const handler = (self as Record<string, unknown>)[name];
  return typeof handler === "function" ? apply(handler as (...args: unknown[]) => unknown, self, args) : undefined;
}

function report(error: unknown): void {
  native.report_exception(`Uncaught ${describe(error).stack}`);
}

// All of one actor.
export class ActorSockets {
  readonly actor: Actor;
  auto: WebSocketRequestResponsePair | null = null;
  eventTimeout = 0;
  // Accepted by this instance; and by earlier ones, as far as this one has looked at them (null: over).
  readonly #own = new SafeMap<number, Home>();
  readonly #resumed = new SafeMap<number, Home | null>();
  readonly #parts: ListPart[] = [];
  #count = 0;
  #next = 1;
  #attachmentBytes = 0;

  constructor(actor: Actor) {
    this.actor = actor;
  }

  accept(end: End, tags: readonly string[]): void {
    if (this.#count >= kSocketsMax) {
      throw new Error(`only ${kSocketsMax} websockets can be accepted on a single Durable Object instance`);
    }
    const home = new Home(this, this.#next, tags, end);
    keepEnd(end, home);
    this.#next++;
    this.#count++;
    mapSet(this.#own, home.number, home);
    home.attachmentChanged();
  }

  // Those that were there before this instance.
  add(list: Uint8Array, next: number): void {
    if (next > this.#next) this.#next = next;
    const part = new ListPart(list);
    this.#parts[this.#parts.length] = part;
    this.#count += part.count;
  }

  find(number: number): Home | undefined {
    const own = mapGet(this.#own, number);
    if (own !== undefined) return own;
    const known = mapGet(this.#resumed, number);
    if (known !== undefined) return known ?? undefined;
    for (let i = 0; i < this.#parts.length; i++) {
      const entry = this.#parts[i]!.find(number);
      if (entry !== undefined) return this.#resume(number, entry);
    }
    return undefined;
  }

  #resume(number: number, entry: Entry): Home {
    const end = endForUse(socketOn(kNowhere));
    const home = new Home(this, number, entry.tags, end);
    end.other = home;
    end.owner = this.actor;  // whoever asks for it first
    home.resume(entry);
    this.#attachmentBytes += home.attachmentBytes;
    mapSet(this.#resumed, number, home);
    return home;
  }

  // What the supervisor says of one: it wakes nobody's objects.
  told(number: number, kind: number, value: number): void {
    const home = this.find(number);
    if (home === undefined) return;
    if (kind === kCredit) home.granted(value);
    else home.stamp = value;
  }

  forget(home: Home): void {
    const { number } = home;
    if (mapGet(this.#resumed, number) === home) mapSet(this.#resumed, number, null);
    else if (!mapDelete(this.#own, number)) return;
    this.#count--;
    this.#attachmentBytes -= home.attachmentBytes;
  }

  // As the contract lists them: all from the newest, those of a tag from the oldest.
  list(tag: string | undefined): WebSocket[] {
    const homes: Home[] = [];
    const add = (home: Home | undefined): void => {
      if (home !== undefined && !home.end.isBroken && (tag === undefined || has(home.tags, tag))) homes[homes.length] = home;
    };
    for (let i = 0; i < this.#parts.length; i++) {
      const part = this.#parts[i]!;
      for (let index = 0; index < part.count; index++) add(this.find(part.numberAt(index)));
    }
    mapForEach(this.#own, add);
    const sockets: WebSocket[] = [];
    const { length } = homes;
    for (let i = 0; i < length; i++) sockets[i] = homes[tag === undefined ? length - 1 - i : i]!.end.socket;
    return sockets;
  }

  countAttachment(change: number): void {
    if (this.#attachmentBytes + change > kAttachmentsMax) {
      throw new Error(`The attachments of all WebSockets of one Durable Object cannot be larger than ${kAttachmentsMax} ` +
        "bytes together.");
    }
    this.#attachmentBytes += change;
  }
}

const kNowhere: Other = {
  send() {}, connect() {}, accepted() {}, over() {}, bufferedAmount: 0,
};

function has(list: readonly string[], text: string): boolean {
  for (let i = 0; i < list.length; i++) {
    if (list[i] === text) return true;
  }
  return false;
}

function allOf(actor: Actor): ActorSockets {
  return actor.sockets ??= new ActorSockets(actor);
}

// ---- From the host

export function actorSockets(
  number: number, list: Uint8Array, next: number, request: string | undefined, response: string, eventTimeout: number,
): void {
  const actor = parts.actors().findActor(number);
  if (actor === undefined) return;
  const all = allOf(actor);
  all.add(list, next);
  all.auto = request === undefined ? null : new WebSocketRequestResponsePair(request, response);
  all.eventTimeout = eventTimeout;
}

export function socketTold(actor: number, socket: number, kind: number, value: number): void {
  parts.actors().findActor(actor)?.sockets?.told(socket, kind, value);
}

interface Detail {
  readonly socket: number;
  readonly kind: "text" | "bytes" | "close" | "gone" | "failed";
}

// An event of a socket. body: of a message that is too long to come at once.
export function arrived(
  actor: Actor, detail: Detail, payload: Uint8Array | undefined, body: number, letIn: LetIn,
): unknown {
  const home = actor.sockets?.find(detail.socket);
  if (home === undefined) {
    if (body !== 0) native.body_cancel(body);
    return undefined;
  }
  const tell = (bytes: Uint8Array | undefined): unknown =>
    letIn((self) => home.tell(self, arrivalOf(detail.kind, bytes ?? concatBytes([]))));
  const before = home.reading;
  if (body === 0 && before === null) return tell(payload);
  return new SafePromise<unknown>((resolve, reject) => {
    const ready = body === 0 ? promiseResolve(payload) : readAll(body);
    const turn = promiseThen(promiseResolve(before ?? undefined), () => promiseThen(ready, (bytes: Uint8Array | undefined) => {
      if (home.reading === turn) home.reading = null;
      try {
        resolve(tell(bytes));
      } catch (error) {
        reject(error);
      }
    }, (error: unknown) => {
      if (home.reading === turn) home.reading = null;
      reject(error);
    })) as Promise<void>;
    home.reading = turn;
  });
}

async function readAll(body: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = await native.body_pull(body);
    if (chunk === undefined) return concatBytes(chunks);
    chunks[chunks.length] = chunk;
  }
}

function arrivalOf(kind: Detail["kind"], bytes: Uint8Array): Arrival {
  switch (kind) {
    case "text":
      return { kind, text: ops.utf8_decode(bytes, false)! };
    case "bytes":
      return { kind, bytes };
    case "close":
      return { kind, code: bytes[0]! | bytes[1]! << 8, reason: ops.utf8_decode(subarray(bytes, 2), false)! };
    case "failed":
      return { kind, why: ops.utf8_decode(bytes, false)! };
    default:
      return { kind: "gone" };
  }
}

// ---- For ctx

function socketArgument(method: string, value: unknown): End {
  if (!isSocket(value)) throw badArgument(method, kState, 1, "WebSocket");
  return endForUse(value);
}

export function acceptFor(actor: Actor, args: readonly unknown[]): void {
  const end = socketArgument("acceptWebSocket", args[0]);
  allOf(actor).accept(end, tagsArgument(args[1]));
}

function tagsArgument(value: unknown): string[] {
  if (value === undefined) return [];
  if (!isArray(value)) throw badArgument("acceptWebSocket", kState, 2, "Array");
  const given = value as readonly unknown[];
  const { length } = given;
  if (length > kTagsMax) throw new Error(`a Hibernatable WebSocket cannot have more than ${kTagsMax} tags`);
  const tags: string[] = [];
  for (let i = 0; i < length; i++) {
    const tag = toText(given[i]);
    if (tag.length > kTagBytesMax / 3 && byteLengthOf(ops.utf8_encode(tag)) > kTagBytesMax) {
      throw new Error(`"${tag}" is longer than the max tag length (${kTagBytesMax} characters).`);
    }
    if (!has(tags, tag)) tags[tags.length] = tag;
  }
  return tags;
}

export function socketsOf(actor: Actor, tag: string | undefined): WebSocket[] {
  return actor.sockets === null ? [] : actor.sockets.list(tag);
}

export function tagsOf(socket: unknown): string[] {
  const { keeper, isAccepted } = socketArgument("getTags", socket);
  if (keeper instanceof Home) return arraySlice(keeper.tags as string[]);
  throw new Error(isAccepted ? "only hibernatable websockets can have tags."
    : "you must call 'acceptWebSocket()' before attempting to access the tags of a WebSocket.");
}

export function setAutoResponse(actor: Actor, pair: unknown): void {
  if (pair === undefined) {
    if (actor.sockets !== null) actor.sockets.auto = null;
    native.socket_say(actor.number, 0, kNoAutoResponse, undefined, undefined, 0);
    return;
  }
  if (!isAutoPair(pair)) throw badArgument("setWebSocketAutoResponse", kState, 1, "WebSocketRequestResponsePair");
  const request = ops.utf8_encode(pair.request);
  const response = ops.utf8_encode(pair.response);
  checkAuto("Request", "request", byteLengthOf(request));
  checkAuto("Response", "response", byteLengthOf(response));
  allOf(actor).auto = pair;
  native.socket_say(actor.number, 0, kAutoResponse, request, response, 0);
}

function checkAuto(name: string, what: string, size: number): void {
  if (size <= kAutoBytesMax) return;
  throw new RangeError(`${name} cannot be larger than ${kAutoBytesMax} bytes. A ${what} of size ${size} was provided.`);
}

export function autoResponseOf(actor: Actor): WebSocketRequestResponsePair | null {
  return actor.sockets === null ? null : actor.sockets.auto;
}

export function stampOf(socket: unknown): Date | null {
  const { keeper } = socketArgument("getWebSocketAutoResponseTimestamp", socket);
  return keeper instanceof Home && keeper.stamp > 0 ? new Date(keeper.stamp) : null;
}

export function setEventTimeout(actor: Actor, value: unknown): void {
  const millis = timeoutArgument(value);
  if (millis > kTimeoutMax) throw new Error(`Event timeout should not exceed ${kTimeoutMax} ms.`);
  allOf(actor).eventTimeout = millis;
  native.socket_say(actor.number, 0, kEventTimeout, undefined, undefined, millis);
}

// An optional unsigned integer; 0 and nothing: no bound.
function timeoutArgument(value: unknown): number {
  if (value === undefined || value === null) return 0;
  const number = Number(value);
  if (number !== number) throw new TypeError("The value cannot be converted because it is not an integer.");
  if (number <= -1) {
    throw new TypeError("The value cannot be converted because it is negative and this API expects a positive number.");
  }
  if (number > kTimeoutMax) return kTimeoutMax + 1;
  return number | 0;
}

export function eventTimeoutOf(actor: Actor): number | null {
  const { sockets } = actor;
  return sockets === null || sockets.eventTimeout === 0 ? null : sockets.eventTimeout;
}
