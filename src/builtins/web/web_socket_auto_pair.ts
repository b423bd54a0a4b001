// SPDX-License-Identifier: Apache-2.0
//
// WebSocketRequestResponsePair: what ctx.setWebSocketAutoResponse() takes.

import { toUsv } from "../internal/convert.ts";
import { badConstructorArgument } from "../internal/errors.ts";
import { webClass } from "../internal/web_class.ts";

const kName = "WebSocketRequestResponsePair";

export let isAutoPair: (value: unknown) => value is WebSocketRequestResponsePair;

export class WebSocketRequestResponsePair {
  readonly #request: string;
  readonly #response: string;

  static {
    isAutoPair = (value): value is WebSocketRequestResponsePair =>
      typeof value === "object" && value !== null && #request in value;
  }

  constructor(...args: unknown[]) {
    if (args.length < 2) throw badConstructorArgument(kName, args.length + 1, "string");
    this.#request = toUsv(args[0]);
    this.#response = toUsv(args[1]);
  }

  get request(): string { return this.#request; }
  get response(): string { return this.#response; }
}

webClass(WebSocketRequestResponsePair, kName, ({ request, response }) => ({ request, response }));
