// SPDX-License-Identifier: Apache-2.0
//
// What the runtime decides for WebSockets: by date and flags, and whose they are.

import { gateHere } from "../../internal/gates.ts";
import type { SocketHost } from "../../web/sockets_later.ts";
import { fetch } from "../fetcher.ts";
import { native } from "../native.ts";
import { isEnabled } from "../settings.ts";

export const socketHost: SocketHost = {
  get repliesToClose() {
    return isEnabled("web_socket_auto_reply_to_close", "web_socket_manual_reply_to_close", "2026-04-07");
  },
  get givesBlobs() {
    return isEnabled("websocket_standard_binary_type", "no_websocket_standard_binary_type", "2026-03-17");
  },
  get limitsReasons() {
    return isEnabled("websocket_close_reason_byte_limit", "no_websocket_close_reason_byte_limit", "2026-03-03");
  },
  // All events of an actor share what is its own.
  ownerHere: () => gateHere()?.owner ?? native.invocation(),
  requireOwner(owner) {
    if (owner === (gateHere()?.owner ?? native.invocation())) return;
    throw new Error(
      "Cannot perform I/O on behalf of a different request. I/O objects (such as streams, request/response bodies, " +
        "and others) created in the context of one request handler cannot be accessed from a different request's " +
        "handler. This is a limitation of Cloudflare Workers which allows us to improve overall performance. " +
        "(I/O type: Native)",
    );
  },
  connect(url, protocols) {
    const headers: Record<string, string> = { upgrade: "websocket" };
    if (protocols !== "") headers["sec-websocket-protocol"] = protocols;
    return fetch(url, { headers, redirect: "manual" });
  },
  pack: (value) => native.serialize(value),
  unpack: (bytes) => native.deserialize(bytes),
};
