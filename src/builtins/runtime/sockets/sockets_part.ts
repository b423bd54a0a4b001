// SPDX-License-Identifier: Apache-2.0
//
// The part "sockets": WebSockets. Made when a Worker first names one of these classes, or is given one.

export { answerWith, socketOfCall } from "./wire.ts";
export {
  acceptFor, actorSockets, arrived, eventTimeoutOf, setAutoResponse, setEventTimeout, socketTold, socketsOf, stampOf, tagsOf,
  autoResponseOf,
} from "./home.ts";
export { WebSocketRequestResponsePair } from "../../web/web_socket_auto_pair.ts";
export { WebSocket } from "../../web/web_socket.ts";
export { WebSocketPair } from "../../web/web_socket_pair.ts";
