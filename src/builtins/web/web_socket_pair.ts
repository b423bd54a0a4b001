// SPDX-License-Identifier: Apache-2.0
//
// WebSocketPair: two WebSockets, each the other side of the other. One is accepted, the other goes out in a Response; or
// both are accepted, and messages never leave the isolate.

import { defineProperty } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import { makePair, type WebSocket } from "./web_socket.ts";

export class WebSocketPair {
  declare readonly 0: WebSocket;
  declare readonly 1: WebSocket;

  constructor() {
    const ends = makePair();
    defineProperty(this, 0, { value: ends[0], writable: true, enumerable: true, configurable: true });
    defineProperty(this, 1, { value: ends[1], writable: true, enumerable: true, configurable: true });
  }

  *[Symbol.iterator](): Iterator<WebSocket> {
    yield this[0];
    yield this[1];
  }
}

webClass(WebSocketPair, "WebSocketPair");
