// SPDX-License-Identifier: Apache-2.0
//
// WorkerLoader: the binding that makes Workers out of source text (spec/loader.md). The host caches them; here is only
// what the dispatcher holds: stubs, and the callbacks that give the code when the host asks for it.

import { badArgument, badField, illegalConstructor, illegalInvocation } from "../internal/errors.ts";
import { isObject, toText } from "../internal/convert.ts";
import { gateHere, type Owner } from "../internal/gates.ts";
import {
  mapDelete, mapGet, mapSet, promiseResolve, promiseThen, SafeFinalizationRegistry, SafeMap, watchForEnd,
} from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import { queueMicrotask } from "../web/timers.ts";
import type { Target } from "./calls.ts";
import { describe } from "./errors.ts";
import { type Fetcher, newFetcher } from "./fetcher.ts";
import { adoptLoader } from "./loader_later.ts";
import { native } from "./native.ts";
import { type PackedCode, packCode } from "./worker_code.ts";

interface Source {
  invocation: number;
  owner: Owner | undefined;
  callback: (() => unknown) | null;
  code: PackedCode | null;
  asked: number;  // the request of the host that the callback has not answered yet; 0: none
}

// By number, until the invocation that gave them ends: the host asks with NeedCode. Those of an actor last until no stub
// leads to them, for what it loads may be in use in all its later invocations.
const sources = new SafeMap<number, Source>();
const sourcesOf = new SafeMap<number, number[]>();  // by invocation
let unnamed: FinalizationRegistry<{ owner: Owner; source: number }> | undefined;
let lastSource = 0;
let lastAnonymous = 0;

interface Entry {
  loader: number;
  id: string;
  anonymous: number;
  source: number;
  used: boolean;
}

const token = Symbol("WorkerLoader");

export class WorkerLoader {
  readonly #capability: number;

  constructor(secret: symbol, capability: number) {
    if (secret !== token) throw illegalConstructor();
    this.#capability = capability;
  }

  get(id: unknown, callback: unknown): WorkerStub {
    if (typeof callback !== "function") throw badArgument("get", "WorkerLoader", 2, "function");
    const isAnonymous = id === null || id === undefined;
    const entry: Entry = {
      loader: this.#capability, id: isAnonymous ? "" : toText(id), anonymous: isAnonymous ? ++lastAnonymous : 0,
      source: 0, used: false,
    };
    addSource(entry, callback as () => unknown, null);
    // The callback is asked for even when nobody calls the stub. A call that goes out first asks by itself.
    queueMicrotask(() => {
      if (entry.used) return;
      entry.used = true;
      native.preload(1, entry.loader, entry.id, entry.anonymous, entry.source);
    });
    return new WorkerStub(token, entry);
  }

  load(code: unknown): WorkerStub {
    const packed = packCode(code);
    const entry: Entry = { loader: this.#capability, id: "", anonymous: ++lastAnonymous, source: 0, used: false };
    addSource(entry, null, packed);
    return new WorkerStub(token, entry);
  }
}

webClass(WorkerLoader, "WorkerLoader");

export function newLoader(capability: number): WorkerLoader {
  return new WorkerLoader(token, capability);
}

interface EntrypointOptions {
  props?: unknown;
  limits?: { cpuMs?: number; subRequests?: number };
}

export class WorkerStub {
  readonly #entry: Entry;

  constructor(secret: symbol, entry: Entry) {
    if (secret !== token) throw illegalConstructor();
    this.#entry = entry;
  }

  getEntrypoint(name?: unknown, options?: EntrypointOptions): Fetcher {
    const entry = this.#entry;
    return newFetcher(this.#targetOf(name, options), () => {
      entry.used = true;
    });
  }

  // A class of the Worker's whose instances the engine of objects makes.
  getDurableObjectClass(name?: unknown, options?: EntrypointOptions): DurableObjectClass {
    return new DurableObjectClass(token, this.#targetOf(name, options));
  }

  #targetOf(name: unknown, options: EntrypointOptions | undefined): Target {
    const entry = this.#entry;
    const { props, limits } = options ?? {};
    if (props !== undefined && !isObject(props)) throw badField("props", "EntrypointOptions", "Object");
    const target: Target = {
      kind: 1, capability: entry.loader, id: entry.id, anonymous: entry.anonymous, source: entry.source,
      entrypoint: name === null || name === undefined ? "" : toText(name), props: undefined,
      cpuMs: toLimit(limits?.cpuMs), subRequests: toLimit(limits?.subRequests), keeps: entry,
    };
    if (props !== undefined) target.props = parts.rpc().packKept(target, props);
    return target;
  }
}

webClass(WorkerStub, "WorkerStub");

// A handle: which class, with which props. What uses it is the engine of objects.
export let targetOfClass: (handle: DurableObjectClass) => Target;
export let isEngineClass: (value: unknown) => value is DurableObjectClass;

export class DurableObjectClass {
  readonly #target: Target;

  static {
    isEngineClass = (value): value is DurableObjectClass => isObject(value) && #target in value;
    targetOfClass = (handle) => {
      if (!isEngineClass(handle)) throw illegalInvocation();
      return handle.#target;
    };
  }

  constructor(secret: symbol, target: Target) {
    if (secret !== token) throw illegalConstructor();
    this.#target = target;
  }
}

webClass(DurableObjectClass, "DurableObjectClass");

export function newEngineClass(target: Target): DurableObjectClass {
  return new DurableObjectClass(token, target);
}

// Whole and positive; 0 says "no limit of its own".
export function toLimit(value: unknown): number {
  if (value === undefined || value === null) return 0;
  const number = Number(value);
  return number >= 1 ? Math.min(Math.floor(number), 0x7fffffff) : 1;
}

function addSource(entry: Entry, callback: (() => unknown) | null, code: PackedCode | null): void {
  const invocation = native.invocation();
  const source = ++lastSource;
  const owner = gateHere()?.owner;
  entry.source = source;
  mapSet(sources, source, { invocation, owner, callback, code, asked: 0 });
  if (owner !== undefined) {
    owner.sourceCame(source);
    unnamed ??= new SafeFinalizationRegistry(({ owner, source }) => owner.sourceUnnamed(source));
    watchForEnd(unnamed, entry, { owner, source });
    return;
  }
  if (invocation === 0) return;
  const others = mapGet(sourcesOf, invocation);
  if (others === undefined) {
    mapSet(sourcesOf, invocation, [source]);
    native.keep(invocation);
  } else {
    others.push(source);
  }
}

export function forgetSourcesOf(invocation: number): void {
  const numbers = mapGet(sourcesOf, invocation);
  if (numbers === undefined) return;
  mapDelete(sourcesOf, invocation);
  forgetSources(numbers);
}

function forgetSources(numbers: readonly number[]): void {
  for (let i = 0; i < numbers.length; i++) forgetSource(numbers[i]!);
}

export function forgetSource(number: number): void {
  const source = mapGet(sources, number);
  mapDelete(sources, number);
  // What its callback waits for ends with the invocation: it may never say a word.
  if (source !== undefined && source.asked !== 0) refuseEnded(take(source));
}

// The request that the source has to answer; whatever it says later is not heard.
function take(source: Source): number {
  const request = source.asked;
  source.asked = 0;
  return request;
}

// The supervisor asks the next one who has the code.
function refuseEnded(request: number): void {
  native.refuse_code(request, "ERR_CANCELLED", "Error",
    "The request which initiated this Worker's loading has already completed.");
}

// Called by the host: the code behind a stub is wanted. One source is never asked by two requests at once: a loader has
// one question open for each id.
export function needCode(request: number, number: number): void {
  const source = mapGet(sources, number);
  if (source === undefined) return refuseEnded(request);
  const invocation = source.owner?.invocation ?? source.invocation;
  native.set_current(invocation === 0 ? undefined : invocation);
  if (source.code !== null) return provide(request, source.code);
  source.asked = request;
  try {
    const result = promiseResolve(source.callback!());
    promiseThen(result, (code: unknown) => giveCode(source, code), (error: unknown) => refuse(source, error));
  } catch (error) {
    refuse(source, error);
  }
}

function giveCode(source: Source, code: unknown): void {
  if (source.asked === 0) return;
  try {
    const packed = packCode(code);
    provide(take(source), packed);
  } catch (error) {
    refuse(source, error);
  }
}

function refuse(source: Source, error: unknown): void {
  if (source.asked === 0) return;
  const { fault, name, message } = describe(error);
  native.refuse_code(take(source), fault, name, message);
}

function provide(request: number, code: PackedCode): void {
  native.provide_code(request, code.date, code.flags, code.mainModule, code.names, code.kinds, code.bodies, code.env,
    code.blocked, code.cpuMs, code.subRequests, code.outbound, code.tails);
}

adoptLoader({ forgetSource, forgetSourcesOf, isEngineClass });
