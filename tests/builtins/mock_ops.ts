// SPDX-License-Identifier: Apache-2.0
//
// A stand-in for the native operations, made of Node's own facilities: what ops.d.ts says, for one process. Import it
// before any built-in. `host` is the test's side of it.

import { createRequire } from "node:module";

const { URL: NodeUrl, structuredClone: nodeClone, TextDecoder: NodeDecoder, TextEncoder: NodeEncoder } = globalThis;
const { crypto: nodeCrypto } = globalThis;

const kNone = 0xffffffff;
const encoder = new NodeEncoder();
const components = new Uint32Array(8);
const textResult = new Uint32Array(1);

type NativeBody = { chunks: Uint8Array[]; complete: boolean; failure?: unknown };

export interface LogLine {
  level: string;
  text: string;
}

export const host = {
  // False: as at the top level of modules.
  inInvocation: true,
  invocation: 1,
  // What the running code belongs to, as continuations carry it.
  current: 1 as unknown,
  now: 1_700_000_000_000,
  logs: [] as LogLine[],
  // Timers that were started and neither fired nor cancelled: id to delay.
  timers: new Map<number, number>(),
  bodies: new Map<number, NativeBody>(),
  cancelled: [] as number[],
  // The names of operations in the order of their calls.
  calls: [] as string[],
  // `complete`: all bytes are here, as of a small request.
  body(chunks: (string | Uint8Array)[], complete: boolean, failure?: unknown): number {
    const handle = ++lastBody;
    const bytes = chunks.map((chunk) => (typeof chunk === "string" ? encoder.encode(chunk) : chunk));
    this.bodies.set(handle, { chunks: bytes, complete, failure });
    return handle;
  },
  takeLogs(): LogLine[] {
    return this.logs.splice(0);
  },
};

let lastBody = 0;

function cut(url: InstanceType<typeof NodeUrl>): string {
  const { href, protocol, username, password, host: hostPort, port, pathname } = url;
  let at = protocol.length;
  components[0] = at;
  const authority = href.startsWith("//", at) && (hostPort !== "" || protocol === "file:" || !pathname.startsWith("//"));
  if (authority) at += 2;
  components[1] = at += username.length;
  if (password !== "") at += 1 + password.length;
  components[2] = at;
  if (username !== "" || password !== "") at += 1;
  const hostname = port === "" ? hostPort : hostPort.slice(0, hostPort.length - port.length - 1);
  components[3] = at += hostname.length;
  components[4] = port === "" ? kNone : Number(port);
  if (port !== "") at += 1 + port.length;
  if (href.startsWith("/.", at) && pathname.startsWith("//")) at += 2;
  components[5] = at;
  at += pathname.length;
  const query = href.indexOf("?", at);
  const fragment = href.indexOf("#", at);
  components[6] = query >= 0 && (fragment < 0 || query < fragment) ? query : kNone;
  components[7] = fragment >= 0 ? fragment : kNone;
  return href;
}

const fields = ["href", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

function view(value: ArrayBufferView | ArrayBuffer): Uint8Array {
  return ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}

function takeAll(body: number): Uint8Array | null {
  const native = host.bodies.get(body);
  if (native === undefined) throw new Error(`There is no body ${body}.`);
  if (!native.complete) return null;
  host.bodies.delete(body);
  return new Uint8Array(Buffer.concat(native.chunks));
}

const table = {
  url_parse(input: string, base: string | undefined): string | undefined {
    const url = NodeUrl.parse(input, base);
    return url === null ? undefined : cut(url);
  },
  url_can_parse(input: string, base: string | undefined): boolean {
    return NodeUrl.canParse(input, base);
  },
  url_set(href: string, field: number, value: string): string | undefined {
    const url = NodeUrl.parse(href);
    if (url === null) return undefined;
    (url as unknown as Record<string, string>)[fields[field]!] = value;
    return cut(url);
  },
  utf8_encode: (text: string): Uint8Array => encoder.encode(text),
  utf8_encode_into(text: string, into: Uint8Array): number {
    const { read, written } = encoder.encodeInto(text, into);
    textResult[0] = read;
    return written;
  },
  utf8_decode(bytes: ArrayBufferView | ArrayBuffer, fatal: boolean): string | undefined {
    try {
      return new NodeDecoder("utf-8", { fatal, ignoreBOM: true }).decode(bytes);
    } catch {
      return undefined;
    }
  },
  latin1_decode: (bytes: ArrayBufferView | ArrayBuffer): string => Buffer.from(view(bytes)).toString("latin1"),
  latin1_encode(text: string): Uint8Array | undefined {
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) > 255) return undefined;
    }
    return new Uint8Array(Buffer.from(text, "latin1"));
  },
  random_fill(bytes: ArrayBufferView): void {
    nodeCrypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
  },
  random_uuid: (): string => nodeCrypto.randomUUID(),
  now: (): number => (host.inInvocation ? host.now : 0),
  performance_now: (): number => (host.inInvocation ? host.now : 0),
  timer_start(id: number, delay: number): void {
    host.timers.set(id, delay);
  },
  timer_cancel(id: number): void {
    host.timers.delete(id);
  },
  in_invocation: (): boolean => host.inInvocation,
  invocation: (): number => (host.inInvocation ? host.invocation : 0),
  keep(): void {},
  get_current: (): unknown => host.current,
  set_current(value: unknown): void {
    host.current = value;
  },
  structured_clone: (value: unknown, transfer: ArrayBuffer[]): unknown => nodeClone(value, { transfer }),
  promise_state: (value: unknown): number => (value instanceof Promise ? 0 : -1),
  log(level: string, text: string): void {
    host.logs.push({ level, text });
  },
  body_take_bytes: (body: number): Uint8Array | null => takeAll(body),
  body_take_text(body: number): string | null {
    const bytes = takeAll(body);
    return bytes === null ? null : new NodeDecoder().decode(bytes);
  },
  async body_pull(body: number): Promise<Uint8Array | undefined> {
    const native = host.bodies.get(body);
    if (native === undefined) throw new Error(`There is no body ${body}.`);
    const chunk = native.chunks.shift();
    if (chunk === undefined && native.failure !== undefined) throw native.failure;
    return chunk?.slice();  // A fresh one each time: a stream detaches what it is given.
  },
  body_cancel(body: number): void {
    host.cancelled.push(body);
    host.bodies.delete(body);
  },
  body_copy(body: number): number {
    const native = host.bodies.get(body);
    return native === undefined || !native.complete ? 0 : host.body(native.chunks, true);
  },
};

// Each call leaves its name, so that a test can say what the hot path must not do.
const recorded: Record<string, unknown> = { url_components: components, text_result: textResult };
for (const [name, operation] of Object.entries(table)) {
  recorded[name] = (...args: unknown[]): unknown => {
    host.calls.push(name);
    return (operation as (...all: unknown[]) => unknown)(...args);
  };
}
(globalThis as unknown as { ops: unknown }).ops = recorded;

// Parts are modules like any other here.
const require = createRequire(import.meta.url);
(globalThis as unknown as { parts: unknown }).parts = {
  console: () => require("../../src/builtins/web/console_part.ts"),
  encoding: () => require("../../src/builtins/web/encoding_part.ts"),
  events: () => require("../../src/builtins/web/events_part.ts"),
  forms: () => require("../../src/builtins/web/forms_part.ts"),
  params: () => require("../../src/builtins/web/params_part.ts"),
  sockets: () => require("../../src/builtins/runtime/sockets/sockets_part.ts"),
  rpc: () => require("../../src/builtins/runtime/rpc/rpc_part.ts"),
  streams: () => require("../../src/builtins/web/streams_part.ts"),
};
