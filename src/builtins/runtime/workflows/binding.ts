// SPDX-License-Identifier: Apache-2.0
//
// Workflow: the binding, and WorkflowInstance: the handle of one instance. All they know is a capability and an id.

import { isObject, toText } from "../../internal/convert.ts";
import { illegalConstructor } from "../../internal/errors.ts";
import {
  byteLengthOf, defineProperty, isArray, jsonStringify, mapGet, mapSet, SafeMap, SafeUint8Array, setBytes,
} from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import { type EngineAnswer, engineCall } from "../engine_calls.ts";
import { native } from "../native.ts";
import { propsOfCaller } from "../caller_props.ts";
import { packDuration } from "./config.ts";
import { refusalOf } from "./failures.ts";
import { newSubscription, type WorkflowSubscription } from "./subscription.ts";
import { pack, unpack } from "./values.ts";

const kCapability = 0;
const kBatchMax = 100;
const kBatchBytesMax = 1048576;
const kOriginTextMax = 1024;
const token = Symbol("Workflow");

// Asks the engine; a refusal becomes the error that it is.
async function ask(capability: number, operation: string, detail: object, payload?: Uint8Array): Promise<EngineAnswer> {
  const answer = await engineCall(kCapability, capability, 0, operation, detail, payload);
  if (answer.detail["error"] !== undefined && operation !== "status") throw refusalOf(answer.detail["error"]);
  return answer;
}

interface NewInstance {
  id: string;
  params: Uint8Array;
  retention: object | undefined;
}

function workflowError(message: string): Error {
  return refusalOf({ name: "WorkflowError", message });
}

function packInstance(options: unknown): NewInstance {
  const { id, params, retention } = isObject(options)
    ? (options as { id?: unknown; params?: unknown; retention?: unknown }) : {};
  return {
    id: id === undefined ? native.random_uuid() : toText(id),
    params: pack(params === undefined ? {} : params),
    retention: packRetention(retention),
  };
}

function packRetention(retention: unknown): object | undefined {
  if (!isObject(retention)) return undefined;
  const { successRetention, errorRetention } = retention as { successRetention?: unknown; errorRetention?: unknown };
  const read = (value: unknown): unknown => (value === undefined ? undefined : packDuration(value) ?? String(value));
  return { success: read(successRetention), error: read(errorRetention) };
}

// Who is asking, for an entrypoint that was given to somebody with props: what the engine is fair by.
function origin(): string | undefined {
  const props = propsOfCaller();
  if (!isObject(props)) return undefined;
  try {
    const text = jsonStringify(props);
    return text !== undefined && text.length <= kOriginTextMax ? text : undefined;
  } catch {
    return undefined;
  }
}

export class Workflow {
  readonly #capability: number;

  constructor(secret: unknown = undefined, capability: unknown = undefined) {
    if (secret !== token) throw illegalConstructor();
    this.#capability = capability as number;
  }

  async get(id: unknown): Promise<WorkflowInstance> {
    const { detail } = await ask(this.#capability, "get", { id: toText(id) });
    return newInstance(this.#capability, detail["id"] as string);
  }

  async create(options?: unknown): Promise<WorkflowInstance> {
    const { id, params, retention } = packInstance(options);
    const { detail } = await ask(this.#capability, "create", { id, retention, origin: origin() }, params);
    return newInstance(this.#capability, detail["id"] as string);
  }

  async createBatch(given: unknown): Promise<unknown> {
    if (isArray(given)) {
      const { created } = await this.#createAll(given);
      return created;
    }
    const { count, instances, params, retention } = isObject(given) ? (given as Record<string, unknown>) : {};
    if (count === undefined) return this.#createAll(isArray(instances) ? instances : []);
    const length = Number(count);
    if (!(length >= 1 && length <= kBatchMax)) throw badBatch(length);
    const all: unknown[] = [];
    for (let i = 0; i < length; i++) all[i] = { params, retention };
    return this.#createAll(all);
  }

  async #createAll(given: readonly unknown[]): Promise<{ created: WorkflowInstance[]; errors: object[] }> {
    if (given.length < 1 || given.length > kBatchMax) throw badBatch(given.length);
    const all: NewInstance[] = [];
    let bytes = 0;
    for (let i = 0; i < given.length; i++) {
      all[i] = packInstance(given[i]);
      bytes += byteLengthOf(all[i]!.params);
    }
    if (bytes > kBatchBytesMax) throw workflowError("batchCreate is limited to 1MiB of params");
    const payload = new SafeUint8Array(bytes);
    const instances: object[] = [];
    for (let i = 0, at = 0; i < all.length; i++) {
      const { id, params, retention } = all[i]!;
      setBytes(payload, params, at);
      at += byteLengthOf(params);
      instances[i] = { id, bytes: byteLengthOf(params), retention };
    }
    const { detail } = await ask(this.#capability, "createBatch", { instances, origin: origin() }, payload);
    const created: WorkflowInstance[] = [];
    const errors: object[] = [];
    const results = detail["results"] as { id?: string; error?: { message?: string } }[];
    for (let index = 0; index < results.length; index++) {
      const { error } = results[index]!;
      const { id } = all[index]!;
      if (error === undefined) {
        created[created.length] = newInstance(this.#capability, id);
      } else {
        errors[errors.length] = { index, id, ...errorEntry(error) };
      }
    }
    return { created, errors };
  }

  async deleteBatch(ids: unknown): Promise<unknown> {
    if (!isArray(ids) || ids.length < 1 || ids.length > kBatchMax) {
      throw workflowError(`deleteBatch takes 1 to ${kBatchMax} instance ids`);
    }
    const wanted: string[] = [];
    const places = new SafeMap<string, number>();  // a duplicate is deleted once and reported at every position
    const positions: number[] = [];
    for (let i = 0; i < ids.length; i++) {
      const id = toText(ids[i]);
      let place = mapGet(places, id);
      if (place === undefined) {
        place = wanted.length;
        wanted[place] = id;
        mapSet(places, id, place);
      }
      positions[i] = place;
    }
    const { detail } = await ask(this.#capability, "deleteBatch", { ids: wanted });
    const results = detail["results"] as { error?: { message?: string } }[];
    const deleted: object[] = [];
    const errors: object[] = [];
    for (let i = 0; i < positions.length; i++) {
      const id = wanted[positions[i]!]!;
      const { error } = results[positions[i]!]!;
      if (error === undefined) deleted[deleted.length] = { id };
      else errors[errors.length] = { id, ...errorEntry(error) };
    }
    return { deleted, errors };
  }
}

webClass(Workflow, "Workflow");

function badBatch(length: number): Error {
  return workflowError(length > kBatchMax
    ? `batchCreate is limited to ${kBatchMax} instances at a time`
    : "batchCreate should have at least 1 instance");
}

// Codes of the contract, by what the engine says.
function errorEntry(error: { message?: string }): { code: number; message: string } {
  const message = error.message ?? "";
  if (message.includes("instance.not_found")) return { code: 10400, message: "workflows.api.error.instance.not_found" };
  if (message.includes("instance.already_exists")) {
    return { code: 10405, message: "workflows.api.error.instance.already_exists" };
  }
  if (message.includes("invalid id")) return { code: 10402, message };
  if (message.startsWith("(instance.")) return { code: 10403, message };
  return { code: 10001, message: "workflows.api.error.internal_server" };
}

export function newWorkflow(capability: number): Workflow {
  return new Workflow(token, capability);
}

export class WorkflowInstance {
  readonly #capability: number;
  declare readonly id: string;

  constructor(secret: unknown = undefined, capability: unknown = undefined, id: unknown = undefined) {
    if (secret !== token) throw illegalConstructor();
    this.#capability = capability as number;
    defineProperty(this, "id", { value: id, writable: true, enumerable: true, configurable: true });
  }

  async #do(operation: string, more?: object, payload?: Uint8Array): Promise<void> {
    await ask(this.#capability, operation, { id: this.id, ...more }, payload);
  }

  pause(): Promise<void> {
    return this.#do("pause");
  }

  resume(): Promise<void> {
    return this.#do("resume");
  }

  terminate(options?: unknown): Promise<void> {
    return this.#do("terminate", { rollback: isObject(options) && (options as { rollback?: unknown }).rollback === true });
  }

  async restart(options?: unknown): Promise<void> {
    const from: unknown = isObject(options) ? (options as { from?: unknown }).from : undefined;
    if (from === undefined) return this.#do("restart");
    const { name, count = 1, type = "do" } = isObject(from) ? (from as Record<string, unknown>) : {};
    if (typeof name !== "string") throw new TypeError("restart() wants the name of the step in from.name.");
    return this.#do("restart", { from: { name, count: Number(count), type: toText(type) } });
  }

  delete(): Promise<void> {
    return this.#do("delete");
  }

  async status(): Promise<object> {
    const { detail, payloads } = await ask(this.#capability, "status", { id: this.id });
    if (detail["status"] === undefined) throw refusalOf(detail["error"]);
    const output = detail["hasOutput"] === true ? unpack(payloads[0]) : null;
    return { status: detail["status"], error: detail["error"] ?? null, output: output ?? null };
  }

  async sendEvent(event: unknown): Promise<void> {
    const { type, payload } = isObject(event) ? (event as { type?: unknown; payload?: unknown }) : {};
    await this.#do("sendEvent", { type: type === undefined ? "" : toText(type) },
      payload === undefined ? undefined : pack(payload));
  }

  async subscribe(options?: unknown): Promise<WorkflowSubscription> {
    const { cursor = 0, filter } = isObject(options) ? (options as { cursor?: unknown; filter?: unknown }) : {};
    const { id } = this;
    await ask(this.#capability, "get", { id });
    const read = (after: number): Promise<EngineAnswer> => ask(this.#capability, "events", { id, cursor: after });
    return newSubscription(read, Number(cursor), filter);
  }
}

webClass(WorkflowInstance, "WorkflowInstance", (instance) => ({ id: instance.id }));

function newInstance(capability: number, id: string): WorkflowInstance {
  return new WorkflowInstance(token, capability, id);
}
