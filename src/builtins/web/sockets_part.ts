// SPDX-License-Identifier: Apache-2.0
//
// The part "sockets": WebSockets. Made when a Worker first names one of these classes.

export { WebSocket } from "./web_socket.ts";
export { WebSocketPair } from "./web_socket_pair.ts";
