// SPDX-License-Identifier: Apache-2.0
//
// What `cloudflare:workers` exports.

import { waitUntil } from "./context.ts";
import { settings } from "./settings.ts";

export class WorkerEntrypoint {
  protected readonly ctx: unknown;
  protected readonly env: unknown;

  constructor(ctx: unknown, env: unknown) {
    this.ctx = ctx;
    this.env = env;
  }
}

// Marks "pass me by reference".
export class RpcTarget {}

export function builtinModule(name: string): object | undefined {
  if (name !== "cloudflare:workers") return undefined;
  return { WorkerEntrypoint, RpcTarget, waitUntil, env: settings.env };
}
