// SPDX-License-Identifier: Apache-2.0
//
// WebSockets, for the core: the part "sockets" is made when a Worker first names one of its classes, or is given a
// WebSocket. Until then no value can be one. And what the part needs to know of the runtime around it.

import type { Response } from "./response.ts";
import type { WebSocket } from "./web_socket.ts";

// What the runtime decides or does for WebSockets.
export interface SocketHost {
  readonly repliesToClose: boolean;  // of itself, when the other side closes
  readonly givesBlobs: boolean;      // binaryType of a fresh WebSocket is "blob", else "arraybuffer"
  readonly limitsReasons: boolean;   // to 123 bytes
  // Whose a WebSocket is that is made now: an invocation's, or the actor's that runs.
  ownerHere(): unknown;
  // Throws when the running code may not use what belongs to that owner.
  requireOwner(owner: unknown): void;
  // Asks a server for a WebSocket, by the Worker's global fetch(). protocols: "" for none.
  connect(url: string, protocols: string): Promise<Response>;
  pack(value: unknown): Uint8Array;
  unpack(bytes: Uint8Array): unknown;
}

export interface SocketFunctions {
  isWebSocket(value: unknown): value is WebSocket;
}

let made: SocketFunctions | undefined;
let host: SocketHost;

// The part says that it is there.
export function adoptSockets(functions: SocketFunctions): void {
  made = functions;
}

export function adoptSocketHost(one: SocketHost): void {
  host = one;
}

export function socketHost(): SocketHost {
  return host;
}

export function isWebSocket(value: unknown): value is WebSocket {
  return made !== undefined && made.isWebSocket(value);
}
