// SPDX-License-Identifier: Apache-2.0
//
// WorkerCode, checked and packed for the host (spec/loader.md sections 1, 3, 4 and 7). All texts are the contract's.

import { isObject, toText } from "../internal/convert.ts";
import { badField } from "../internal/errors.ts";
import { copyBytes, isBytes, jsonStringify } from "../internal/intrinsics.ts";
import { kDynamicStub, newDataCloneError } from "./errors.ts";
import { isFetcher, targetForGiving } from "./fetcher.ts";
import { toLimit } from "./loader.ts";
import { native } from "./native.ts";
import { settings } from "./settings.ts";

export interface PackedCode {
  date: string;
  flags: string[];
  mainModule: string;
  names: string[];
  kinds: number[];
  bodies: (string | Uint8Array)[];
  env: Packed | undefined;
  blocked: boolean;
  outbound: number;  // a handle, 0: none
  tails: number[];  // handles
  cpuMs: number;
  subRequests: number;
}

const kCodeBytesMax = 67108864;
const kEnvBytesMax = 1048576;
const kModulesMax = 1000;
const kNameBytesMax = 255;
const kinds = { js: 0, cjs: 1, text: 2, data: 3, json: 4, wasm: 5 } as const;
const kindNames = [...Object.keys(kinds), "py"];

export function packCode(code: unknown): PackedCode {
  if (!isObject(code)) {
    throw new TypeError("The Worker's code must be an object with compatibilityDate, mainModule and modules.");
  }
  const given = code as Record<string, unknown>;
  const packed: PackedCode = {
    date: "", flags: [], mainModule: "", names: [], kinds: [], bodies: [], env: undefined, blocked: false, outbound: 0,
    tails: [], cpuMs: 0, subRequests: 0,
  };
  packCompatibility(given, packed);
  packModules(given, packed);
  packAuthority(given, packed);
  const limits = given["limits"];
  if (limits !== undefined && limits !== null) {
    if (!isObject(limits)) throw badField("limits", "WorkerCode", "Object");
    packed.cpuMs = toLimit((limits as Record<string, unknown>)["cpuMs"]);
    packed.subRequests = toLimit((limits as Record<string, unknown>)["subRequests"]);
  }
  return packed;
}

function packCompatibility(given: Record<string, unknown>, packed: PackedCode): void {
  const allowExperimental = given["allowExperimental"] === true;
  if (allowExperimental && !settings.flags.includes("experimental")) {
    throw new Error("'allowExperimental' is only allowed when the calling worker has the 'experimental' compat flag set.");
  }
  if (given["streamingTails"] !== undefined && !allowExperimental) {
    throw new Error("Streaming tail workers are experimental. You must pass the option 'allowExperimental: true' to " +
      "the worker loader to use them");
  }
  packed.date = toText(given["compatibilityDate"]);
  const flags = given["compatibilityFlags"];
  if (flags !== undefined) {
    if (!Array.isArray(flags)) throw badField("compatibilityFlags", "WorkerCode", "Array");
    for (const flag of flags) packed.flags.push(toText(flag));
  }
  const complaint = native.check_compatibility(packed.date, packed.flags, allowExperimental);
  if (complaint !== undefined) throw new Error(complaint);
}

function packModules(given: Record<string, unknown>, packed: PackedCode): void {
  packed.mainModule = toText(given["mainModule"]);
  const modules = given["modules"];
  if (!isObject(modules)) throw badField("modules", "WorkerCode", "Object");
  const names = Object.keys(modules);
  if (names.length === 0) throw new TypeError("Dynamic Worker code must contain at least one module.");
  if (names.length > kModulesMax) {
    throw new Error(`Dynamic Worker code has ${names.length} modules, but at most ${kModulesMax} are allowed.`);
  }
  let bytes = 0;
  for (const name of names) {
    checkName(name);
    const { kind, body } = packModule(name, (modules as Record<string, unknown>)[name]);
    packed.names.push(name);
    packed.kinds.push(kind);
    packed.bodies.push(body);
    bytes += typeof body === "string" ? utf8Length(body) : body.byteLength;
  }
  if (bytes > kCodeBytesMax) {
    throw new Error(`Dynamic Worker code size (${bytes} bytes) exceeds the maximum allowed size of ${kCodeBytesMax} bytes.`);
  }
}

// Names are keys of a map and never paths, but a name that looks like a way out is a mistake or an attack.
function checkName(name: string): void {
  const parts = name.split("/");
  const bad = name === "" || name.startsWith("/") || name.length > kNameBytesMax || parts.includes("..") ||
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f\\]/.test(name) || name !== name.normalize("NFC");
  if (bad) throw new Error(`Module name ${JSON.stringify(name.slice(0, 64))} is not valid: names are relative, ` +
    `at most ${kNameBytesMax} characters, without "..", backslashes and control characters.`);
}

function packModule(name: string, value: unknown): { kind: number; body: string | Uint8Array } {
  if (typeof value === "string") {
    if (name.endsWith(".js")) return { kind: kinds.js, body: value };
    if (name.endsWith(".py")) {
      throw new TypeError(`Module "${name}" is a Python module, but the main module isn't a Python module.`);
    }
    throw new TypeError("Module name must end with '.js' or '.py' (or the content must be an object indicating the " +
      `type explicitly). Got: ${name}${/\.[jt]sx?$/.test(name) ? ". TypeScript and JSX must be bundled to JavaScript first." : ""}`);
  }
  const compiled = isObject(value) ? native.wasm_bytes(value) : undefined;
  if (compiled !== undefined) return { kind: kinds.wasm, body: compiled };
  const given = isObject(value) ? (value as Record<string, unknown>) : {};
  const present = kindNames.filter((key) => given[key] !== undefined);
  const kind = present[0];
  if (present.length !== 1 || kind === undefined) {
    throw new TypeError("Each module must contain exactly one of 'js', 'cjs', 'text', 'data', 'json', 'py', or 'wasm'. " +
      `Module '${name}' contained ${present.length} properties.`);
  }
  return packContent(name, kind, given[kind]);
}

function packContent(name: string, kind: string, content: unknown): { kind: number; body: string | Uint8Array } {
  switch (kind) {
    case "js":
    case "cjs":
    case "text":
      return { kind: kinds[kind], body: toText(content) };
    case "json":
      return { kind: kinds.json, body: jsonStringify(content) ?? "null" };
    case "data":
      if (typeof content === "string") return { kind: kinds.data, body: encode(content) };
      if (isBytes(content)) return { kind: kinds.data, body: copyBytes(content) };
      throw badField("data", "Module", "ArrayBuffer or ArrayBufferView");
    case "wasm": {
      if (isBytes(content)) return { kind: kinds.wasm, body: copyBytes(content) };
      const compiled = native.wasm_bytes(content);
      if (compiled !== undefined) return { kind: kinds.wasm, body: compiled };
      throw badField("wasm", "Module", "ArrayBuffer, ArrayBufferView or WebAssembly.Module");
    }
    default:
      throw new TypeError(`Module "${name}" is a Python module, but the main module isn't a Python module.`);
  }
}

function packAuthority(given: Record<string, unknown>, packed: PackedCode): void {
  const env = given["env"];
  if (env !== undefined) {
    if (!isObject(env)) throw badField("env", "WorkerCode", "Object");
    packed.env = parts.rpc().packKept(packed, env);
    const size = parts.rpc().packedSize(packed.env);
    if (size > kEnvBytesMax) {
      throw new Error(`Dynamic Worker env size (${size} bytes) exceeds the maximum allowed size of ${kEnvBytesMax} bytes.`);
    }
  }
  const outbound = given["globalOutbound"];
  if (outbound === null) {
    packed.blocked = true;
  } else if (outbound !== undefined) {
    if (!isFetcher(outbound)) throw badField("globalOutbound", "WorkerCode", "Fetcher");
    packed.outbound = handleOf(outbound);
  }
  const tails = given["tails"];
  if (tails === undefined || tails === null) return;
  if (!isObject(tails) || typeof (tails as Partial<Iterable<unknown>>)[Symbol.iterator] !== "function") {
    throw badField("tails", "WorkerCode", "Array");
  }
  for (const tail of tails as Iterable<unknown>) {
    if (!isFetcher(tail)) throw badField("tails", "WorkerCode", "Fetcher");
    packed.tails.push(handleOf(tail));
  }
}

// A handle for a service stub. One of ctx.exports need not be called before: it has empty props then.
function handleOf(fetcher: object): number {
  const target = targetForGiving(fetcher);
  if (target.kind === 1) throw newDataCloneError(kDynamicStub);
  return target.kind === 3 ? native.capability_entrypoint(target.entrypoint, target.props) : target.capability;
}

function utf8Length(text: string): number {
  // Three bytes a unit at most: count only what may matter.
  return text.length * 3 <= kCodeBytesMax / 2 && text.length < 65536 ? text.length : encode(text).byteLength;
}

function encode(text: string): Uint8Array {
  return native.utf8_encode(text);
}
