// SPDX-License-Identifier: Apache-2.0
//
// A small world for RPC: several isolates, each with the bundle in a context of its own, and a host between them that
// does what the C++ of the runner does: handles, payloads, calls, answers. Values are copied by a serialiser that refuses
// what V8's refuses and asks reduce() and revive() for the rest.
import { host } from "./mock_ops.ts";

import { types } from "node:util";
import vm from "node:vm";

import { bundleBuiltins } from "../../tools/bundle_builtins.mjs";

const { core, parts } = await bundleBuiltins();

// What is behind a handle. `references` counts handles and payloads.
interface Capability {
  isolate: IsolateMock;
  exportId?: number;
  entrypoint?: string;
  props?: Payload;
  references: number;
}
interface Stream {
  chunks: Uint8Array[];
  failure?: string;
}
interface Payload {
  root: Node;
  capabilities: Capability[];
  streams: Stream[];
}
type Node =
  | { is: "value"; value: unknown }
  | { is: "array" | "object"; keys: string[]; items: Node[]; length: number }
  | { is: "map" | "set"; items: Node[] }
  | { is: "host"; tag: number; data: Node }
  | { is: "again"; of: number };

type Function_ = (...args: never[]) => unknown;
type Runtime = Record<string, Function_>;

interface Call {
  caller: IsolateMock;
  number: number;
  callee: IsolateMock | null;
  answer: number;
}

export interface EngineCall {
  call: number;
  capability: number;
  operation: string;
  detail: Record<string, unknown>;
  payload: Uint8Array | undefined;
  done(answer: object, ...payloads: Uint8Array[]): void;
}

let lastNumber = 0;

function release(capability: Capability): void {
  if (--capability.references > 0 || capability.exportId === undefined) return;
  const { isolate, exportId } = capability;
  setImmediate(() => (isolate.runtime["releaseExport"] as Function_)(...([exportId, false] as never[])));
}

export class IsolateMock {
  readonly context = vm.createContext();
  readonly runtime: Runtime;
  readonly handles = new Map<number, Capability>();
  // Calls by their number at the caller.
  readonly calls = new Map<number, Call>();
  readonly reports: string[] = [];
  readonly packed = new Map<number, Payload>();
  finished: number[] = [];
  // In which invocation code runs now, and in which each export was given away.
  invocation = 0;
  readonly givenIn = new Map<number, number>();
  // Instead of the shared log.
  onLog: ((...line: unknown[]) => void) | null = null;
  // The engine that is asked by engine_call().
  onEngineCall: ((asked: EngineCall) => void) | null = null;
  // Told of each answer that is an error.
  onFail: ((message: string) => void) | null = null;
  #writing: Payload | null = null;
  #reading: Payload | null = null;
  readonly #bodies = new Map<number, Stream>();
  readonly #writers = new Map<number, Stream>();

  // `source`: the text of a module without imports: what it needs stands in `workers`.
  constructor(
    source = "",
    options: { date?: string; flags?: string[]; env?: Record<string, unknown>; bindings?: readonly (readonly unknown[])[] } = {},
  ) {
    const made = new Map<string, unknown>();
    const base = (globalThis as unknown as { ops: Record<string, Function_> }).ops;
    vm.runInContext("delete globalThis.console", this.context);
    const lazy = (target: object, name: string): void => {
      const become = (value: unknown): void => {
        Object.defineProperty(target, name, { value, writable: true, enumerable: false, configurable: true });
      };
      Object.defineProperty(target, name, {
        get: () => {
          become((this.runtime["lazyGlobal"] as (name: string) => unknown)(name));
          return (target as Record<string, unknown>)[name];
        },
        set: become, configurable: true,
      });
    };
    const native = {
      ...base, ...this.#ops(), lazy_global: lazy,
      part: (name: string, ...handed: unknown[]): unknown => {
        if (!made.has(name)) {
          made.set(name, (this.run(parts[name as keyof typeof parts]) as (...all: unknown[]) => unknown)(...handed));
        }
        return made.get(name);
      },
    };
    this.runtime = (this.run(core) as (native: object) => Runtime)(native);
    const env = Object.entries(options.env ?? {});
    (this.runtime["prepare"] as Function_)(...([
      [...env.map(([name, target]) => [name, 3, "", this.addHandle(target as Capability)]), ...(options.bindings ?? [])], undefined, options.flags ?? [], false,
      options.date ?? "2026-06-01"] as never[]));
    const workers = (this.runtime["builtinModule"] as (name: string) => object)("cloudflare:workers");
    (this.context as Record<string, unknown>)["workers"] = workers;
    (this.context as Record<string, unknown>)["workflows"] =
      (this.runtime["builtinModule"] as (name: string) => object)("cloudflare:workflows");
    const namespace = this.run(`(() => { const exported = {}; ${source}; return exported; })()`);
    const complaint = (this.runtime["adopt"] as (namespace: unknown) => string | undefined)(namespace);
    if (complaint !== undefined) throw new Error(complaint);
  }

  run(code: string): unknown {
    return vm.runInContext(code, this.context);
  }

  // Runs the text of a function of `env`, as in an event of this isolate's.
  ask(code: string): Promise<unknown> {
    const run = this.run(`(${code})`) as (env: unknown) => unknown;
    const env = this.run("workers.env");
    return Promise.resolve(run(env));
  }

  entrypoint(name = "default"): Capability {
    return { isolate: this, entrypoint: name, references: 1 };
  }

  addHandle(capability: Capability): number {
    capability.references++;
    const handle = ++lastNumber;
    this.handles.set(handle, capability);
    return handle;
  }

  // ---- Values

  #write(value: unknown, mode: number): Payload {
    const outer = this.#writing;
    const payload: Payload = { root: { is: "value", value: undefined }, capabilities: [], streams: [] };
    this.#writing = payload;
    const seen = new Map<object, number>();
    const plain = this.run("Object.prototype") as object;
    const clone = (text: string): unknown => (this.runtime["newDataCloneError"] as (text: string) => unknown)(text);
    const write = (item: unknown): Node => {
      if (typeof item === "symbol") throw clone(`${String(item)} could not be cloned.`);
      if (typeof item === "function") throw clone(`${types.isProxy(item) ? "#<Object>" : String(item)} could not be cloned.`);
      if (typeof item !== "object" || item === null) return { is: "value", value: item };
      if (types.isProxy(item)) throw clone("#<Object> could not be cloned.");
      const known = seen.get(item);
      if (known !== undefined) return { is: "again", of: known };
      seen.set(item, seen.size);
      if (Array.isArray(item) || Object.getPrototypeOf(item) === plain) {
        const keys = Object.keys(item);
        const items = keys.map((key) => write((item as Record<string, unknown>)[key]));
        return { is: Array.isArray(item) ? "array" : "object", keys, items, length: (item as unknown[]).length };
      }
      if (types.isMap(item)) return { is: "map", items: [...item].flat().map(write) };
      if (types.isSet(item)) return { is: "set", items: [...item].map(write) };
      if (types.isDate(item) || types.isRegExp(item) || types.isAnyArrayBuffer(item) || ArrayBuffer.isView(item)) {
        return { is: "value", value: structuredClone(item) };
      }
      if (types.isWeakMap(item) || types.isPromise(item)) throw clone(`#<${types.isPromise(item) ? "Promise" : "WeakMap"}> could not be cloned.`);
      if (mode === 0) {
        const items = Object.keys(item).map((key) => write((item as Record<string, unknown>)[key]));
        return { is: "object", keys: Object.keys(item), items, length: 0 };
      }
      const [tag, data] = (this.runtime["reduce"] as (object: object, mode: number) => [number, unknown])(item, mode);
      return { is: "host", tag, data: write(data) };
    };
    try {
      payload.root = write(value);
      return payload;
    } catch (error) {
      payload.capabilities.forEach(release);
      throw error;
    } finally {
      this.#writing = outer;
    }
  }

  // The value behind bytes that this isolate has packed.
  take(bytes: Uint8Array): unknown {
    return this.read(kept.get(bytes)!);
  }

  // Reads a payload into this isolate's world; its references become handles.
  read(payload: Payload): unknown {
    const outer = this.#reading;
    this.#reading = payload;
    const seen: unknown[] = [];
    const read = (node: Node): unknown => {
      switch (node.is) {
        case "value":
          if (typeof node.value === "object" && node.value !== null) {
            const value = this.#local(node.value);
            seen.push(value);
            return value;
          }
          return node.value;
        case "again":
          return seen[node.of];
        case "array":
        case "object": {
          const into = this.run(node.is === "array" ? "[]" : "({})") as Record<string, unknown>;
          seen.push(into);
          if (node.is === "array") (into as unknown as unknown[]).length = node.length;
          node.keys.forEach((key, index) => {
            into[key] = read(node.items[index]!);
          });
          return into;
        }
        case "map": {
          const map = this.run("new Map()") as Map<unknown, unknown>;
          seen.push(map);
          for (let i = 0; i < node.items.length; i += 2) map.set(read(node.items[i]!), read(node.items[i + 1]!));
          return map;
        }
        case "set": {
          const set = this.run("new Set()") as Set<unknown>;
          seen.push(set);
          for (const item of node.items) set.add(read(item));
          return set;
        }
        case "host": {
          const place = seen.push(undefined) - 1;
          const made = (this.runtime["revive"] as (tag: number, data: unknown) => unknown)(node.tag, read(node.data));
          seen[place] = made;
          return made;
        }
      }
    };
    try {
      return read(payload.root);
    } finally {
      this.#reading = outer;
    }
  }

  // A copy whose prototypes are this isolate's.
  #local(value: object): unknown {
    if (types.isDate(value)) return (this.run("(time) => new Date(time)") as (time: number) => unknown)(value.getTime());
    if (types.isRegExp(value)) return (this.run("(s, f) => new RegExp(s, f)") as Function_)(...([value.source, value.flags] as never[]));
    const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      : new Uint8Array(value as ArrayBuffer);
    const name = ArrayBuffer.isView(value) ? value.constructor.name : "ArrayBuffer";
    return (this.run(`(list) => { const all = Uint8Array.from(list); return ${name === "ArrayBuffer" ? "all.buffer"
      : name === "Uint8Array" ? "all" : `new ${name}(all.buffer)`}; }`) as Function_)(...([[...bytes]] as never[]));
  }

  // ---- Calls

  #start(kind: number, capability: number, entrypoint: string, props: Payload | undefined, path: readonly string[],
    args: Payload | undefined): number {
    const call: Call = { caller: this, number: ++lastNumber, callee: null, answer: ++lastNumber };
    this.calls.set(call.number, call);
    const deliver = (callee: IsolateMock, on: number, target: number, name: string, with_: Payload | undefined): void => {
      call.callee = callee;
      setImmediate(() => {
        callee.#answers.set(call.answer, call);
        callee.invocation = on === 0 ? call.answer : on === 1 ? callee.givenIn.get(target)! : 0;
        (callee.runtime["dispatchRpc"] as Function_)(...([call.answer, on, name,
          with_ === undefined ? undefined : callee.read(with_), target, [...path],
          args === undefined ? undefined : callee.read(args)] as never[]));
      });
    };
    if (kind === 3) {
      deliver(this, 0, 0, entrypoint, props);
    } else if (kind === 4) {
      const base = this.calls.get(capability);
      if (base?.callee === null || base === undefined) throw new Error("a call on what is no call in flight");
      deliver(base.callee, 2, base.answer, "", undefined);
    } else {
      const found = this.handles.get(capability);
      if (found === undefined) throw new Error(`There is no handle ${capability}.`);
      if (found.exportId !== undefined) deliver(found.isolate, 1, found.exportId, "", undefined);
      else deliver(found.isolate, 0, 0, found.entrypoint!, found.props);
    }
    return call.number;
  }

  readonly #answers = new Map<number, Call>();

  #answer(answer: number, tell: (caller: IsolateMock, number: number) => void): void {
    const call = this.#answers.get(answer);
    if (call === undefined) return;  // Answered before: as by ctx.abort().
    this.#answers.delete(answer);
    setImmediate(() => {
      call.caller.calls.delete(call.number);
      tell(call.caller, call.number);
      setImmediate(() => {
        this.finished.push(answer);
        (this.runtime["finishAnswer"] as Function_)(...([answer] as never[]));
      });
    });
  }

  #ops(): Record<string, unknown> {
    const writing = (): Payload => {
      if (this.#writing === null) throw new Error("payload_* outside reduce()");
      return this.#writing;
    };
    const add = (capability: Capability): number => {
      capability.references++;
      return writing().capabilities.push(capability) - 1;
    };
    const handle = (number: number): Capability => {
      const found = this.handles.get(number);
      if (found === undefined) throw new Error(`There is no handle ${number}.`);
      return found;
    };
    const unpack = (packed: unknown): Payload | undefined => (packed === undefined ? undefined
      : typeof packed === "number" ? this.packed.get(packed)! : kept.get(packed as Uint8Array)!);
    return {
      invocation: (): number => this.invocation,
      log: (...line: unknown[]): void => this.onLog?.(...line),
      rpc_call: (kind: number, capability: number, _id: string, _anonymous: number, _source: number, entrypoint: string,
        props: unknown, _cpu: number, _sub: number, path: readonly string[], args: unknown[] | undefined) =>
        this.#start(kind, capability, entrypoint, unpack(props), path, args === undefined ? undefined : this.#write(args, 1)),
      rpc_return: (answer: number, value: unknown): void => {
        const payload = this.#write(value, 1);
        this.#answer(answer, (caller, number) =>
          (caller.runtime["rpcDone"] as Function_)(...([number, caller.read(payload)] as never[])));
      },
      rpc_fail: (answer: number, fault: string, name: string, message: string, _stack: string, remote: boolean,
        properties: Uint8Array | undefined): void => {
        this.onFail?.(message);
        this.#answer(answer, (caller, number) => (caller.runtime["callFailed"] as Function_)(...([
          number, fault, name, message, remote, properties] as never[])));
      },
      abort_invocation: (invocation: number, _fault: string, name: string, message: string, _stack: string, remote: boolean): void => {
        if (this.#answers.has(invocation)) {
          this.#answer(invocation, (caller, number) =>
            (caller.runtime["callFailed"] as Function_)(...([number, "", name, message, remote, undefined] as never[])));
        }
      },
      payload_capability: (number: number) => add(handle(number)),
      payload_export: (exportId: number) => {
        this.givenIn.set(exportId, this.invocation);
        return add({ isolate: this, exportId, references: 0 });
      },
      payload_entrypoint: (entrypoint: string, props: unknown) =>
        add({ isolate: this, entrypoint, props: unpack(props), references: 0 }),
      payload_stream: (kind: number, body: unknown) => {
        const stream: Stream = kind === 4 ? this.#writers.get(body as number)!
          : { chunks: [kind === 1 ? new TextEncoder().encode(body as string) : kind === 2 ? body as Uint8Array
            : Buffer.concat(host.bodies.get(body as number)!.chunks)] };
        return writing().streams.push(stream) - 1;
      },
      payload_take_capability: (index: number) => {
        const capability = this.#reading!.capabilities[index]!;
        const number = ++lastNumber;
        this.handles.set(number, capability);  // the payload's reference becomes the handle's
        return number;
      },
      payload_take_stream: (index: number) => {
        const stream = this.#reading!.streams[index]!;
        const body = host.body(stream.chunks, false, stream.failure === undefined ? undefined : new Error(stream.failure));
        this.#bodies.set(body, stream);
        return body;
      },
      capability_export: (exportId: number) => this.addHandle({ isolate: this, exportId, references: 0 }),
      capability_entrypoint: (entrypoint: string, props: unknown) =>
        this.addHandle({ isolate: this, entrypoint, props: unpack(props), references: 0 }),
      capability_dup: (number: number) => this.addHandle(handle(number)),
      capability_drop: (number: number): void => {
        const found = this.handles.get(number);
        if (found === undefined) return;
        this.handles.delete(number);
        release(found);
      },
      is_proxy: (value: unknown) => types.isProxy(value),
      pack: (value: unknown, mode: number) => {
        const payload = this.#write(value, mode);
        if (payload.capabilities.length === 0) {
          const bytes = new Uint8Array(1);
          kept.set(bytes, payload);
          return bytes;
        }
        this.packed.set(++lastNumber, payload);
        return lastNumber;
      },
      deserialize: (bytes: Uint8Array) => this.read(kept.get(bytes)!),
      pack_drop: (number: number) => this.packed.delete(number),
      pack_size: () => 100,
      serialize: (value: unknown) => {
        const bytes = new Uint8Array(1);
        kept.set(bytes, this.#write(value, 0));
        return bytes;
      },
      engine_call: (_kind: number, capability: number, _actor: number, operation: string, detail: string,
        payload: Uint8Array | undefined): number => {
        const call = ++lastNumber;
        const done = (answer: object, ...payloads: Uint8Array[]): void => {
          setImmediate(() => (this.runtime["engineDone"] as Function_)(...([call, JSON.stringify(answer), payloads] as never[])));
        };
        const asked = { call, capability, operation, detail: JSON.parse(detail) as Record<string, unknown>, payload, done };
        setImmediate(() => this.onEngineCall!(asked));
        return call;
      },
      hold: () => {},
      hold_stream: () => false,
      release: () => {},
      stream_open: () => {
        this.#writers.set(++lastNumber, { chunks: [] });
        return lastNumber;
      },
      stream_write: (writer: number, bytes: Uint8Array) => {
        this.#writers.get(writer)!.chunks.push(bytes.slice());
        return true;
      },
      stream_end: (writer: number, error: string | undefined): void => {
        const stream = this.#writers.get(writer)!;
        if (error !== undefined) stream.failure = error;
      },
      report_exception: (text: string) => this.reports.push(text),
      report_failure: (_answer: number, _fault: string, text: string) => this.reports.push(text),
    };
  }
}

const kept = new WeakMap<Uint8Array, Payload>();
