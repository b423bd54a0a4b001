// SPDX-License-Identifier: Apache-2.0
//
// What `cloudflare:workers` exports, and which other built-in modules there are.

import { defineProperty } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import { abortIsolate, waitUntil } from "./context.ts";
import { Fetcher } from "./fetcher.ts";
import { importableEnv, importableExports, withEnv, withEnvAndExports, withExports } from "./importable.ts";
import { RpcPromise, RpcProperty, RpcStub, RpcTarget } from "./rpc/classes.ts";
import { workflows } from "./workflows/module.ts";

// What the instances of all three have. Each class stands alone: which one a class extends decides what it is.
interface Instance {
  readonly ctx: unknown;
  readonly env: unknown;
}
type BaseClass = new (ctx?: unknown, env?: unknown) => Instance;

function baseClass(name: string, tag: string): BaseClass {
  const made = class {
    protected readonly ctx: unknown;
    protected readonly env: unknown;

    constructor(ctx: unknown = undefined, env: unknown = undefined) {
      this.ctx = ctx;
      this.env = env;
    }
  };
  webClass(made, name);
  defineProperty(made.prototype, Symbol.toStringTag, { value: tag, configurable: true });
  return made as unknown as BaseClass;
}

export const WorkerEntrypoint = baseClass("WorkerEntrypoint", "WorkerEntrypoint");
export const DurableObject = baseClass("DurableObject", "DurableObjectBase");
export const WorkflowEntrypoint = baseClass("WorkflowEntrypoint", "WorkflowEntrypoint");

const functions = { abortIsolate, waitUntil, withEnv, withEnvAndExports, withExports };
for (const [name, value] of Object.entries(functions)) defineProperty(value, "name", { value: name, configurable: true });

const workers = {
  ...functions, DurableObject, env: importableEnv, exports: importableExports, RpcPromise, RpcProperty, RpcStub, RpcTarget,
  ServiceStub: Fetcher, WorkerEntrypoint, WorkflowEntrypoint,
};

export function builtinModule(name: string): object | undefined {
  if (name === "cloudflare:workflows") return workflows;
  return name === "cloudflare:workers" ? workers : undefined;
}
