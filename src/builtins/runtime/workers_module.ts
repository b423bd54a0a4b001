// SPDX-License-Identifier: Apache-2.0
//
// What `cloudflare:workers` exports.

import { defineProperty } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import { waitUntil } from "./context.ts";
import { Fetcher } from "./fetcher.ts";
import { importableEnv, importableExports, withEnv, withEnvAndExports, withExports } from "./importable.ts";

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

webClass(WorkerEntrypoint, "WorkerEntrypoint");
webClass(RpcTarget, "RpcTarget");

const functions = { waitUntil, withEnv, withEnvAndExports, withExports };
for (const [name, value] of Object.entries(functions)) defineProperty(value, "name", { value: name, configurable: true });

const workers = {
  ...functions, env: importableEnv, exports: importableExports, RpcTarget, ServiceStub: Fetcher, WorkerEntrypoint,
};

export function builtinModule(name: string): object | undefined {
  return name === "cloudflare:workers" ? workers : undefined;
}
