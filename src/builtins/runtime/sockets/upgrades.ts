// SPDX-License-Identifier: Apache-2.0
//
// Upgrades, in the core: requests that ask for a WebSocket, in both directions. The body of such a request is the stream
// in which the one side's messages come; no handler sees it.

import { indexOf, mapDelete, mapGet, mapSet, SafeMap, split, toLowerCase } from "../../internal/intrinsics.ts";
import { type Response, setWebSocket, webSocketOf } from "../../web/response.ts";
import { native } from "../native.ts";

// By the number under which the request will be answered: its body.
const upgrades = new SafeMap<number, number>();

export function isUpgrade(method: string, block: string): boolean {
  if (method !== "GET" || indexOf(block, "upgrade\0") < 0) return false;
  const parts = split(block, "\0");
  for (let i = 0; i + 1 < parts.length; i += 2) {
    if (parts[i] === "upgrade") return toLowerCase(parts[i + 1]!) === "websocket";
  }
  return false;
}

// A request has come in. Returns the body that its handler sees.
export function takeUpgrade(answer: number, method: string, block: string, body: number): number {
  if (body === 0 || !isUpgrade(method, block)) return body;
  mapSet(upgrades, answer, body);
  native.keep(native.invocation());
  return 0;
}

// True: the response has a WebSocket, and the request is answered with it, now or later; `fail` says that it cannot be.
export function answerUpgrade(answer: number, response: Response, fail: (error: unknown) => void): boolean {
  const body = mapGet(upgrades, answer) ?? 0;
  if (body !== 0) mapDelete(upgrades, answer);
  if (webSocketOf(response) !== null) {
    parts.sockets().answerWith(answer, response, body, fail);
    return true;
  }
  if (body !== 0) native.body_cancel(body);
  return false;
}

// The request will not be answered any more.
export function dropUpgrade(answer: number): void {
  mapDelete(upgrades, answer);
}

// A 101 response to an upgrade of ours, whose body was `writer`: `body` is what the other side sends.
export function addWebSocket(response: Response, writer: number, body: number): void {
  setWebSocket(response, parts.sockets().socketOfCall(writer, body));
}
