// SPDX-License-Identifier: Apache-2.0
//
// console (https://console.spec.whatwg.org/). Each call is one record for the host, which caps the sum.

import { formatLog, inspect, type InspectOptions } from "../internal/inspect.ts";
import {
  byteLengthOf, defineProperty, mapDelete, mapGet, mapSet, objectCreate, repeat, replaceAll, SafeMap, SafeUint8Array,
  slice,
} from "../internal/intrinsics.ts";
import { adoptConsole, tails } from "./console_later.ts";
import { messageOf } from "./console_messages.ts";
import { formatTable } from "./console_table.ts";

type Level = "debug" | "info" | "log" | "warn" | "error";

const kMostBytes = 65536;
const kMostLabels = 1000;
const kMostGroups = 64;

const counts = new SafeMap<string, number>();
const timers = new SafeMap<string, number>();
const groups = new SafeMap<number, number>();  // open ones, by invocation

function write(level: Level, text: string, args?: readonly unknown[]): void {
  const depth = groups.size === 0 ? 0 : mapGet(groups, ops.invocation()) ?? 0;
  let line = depth === 0 ? text : repeat("  ", depth) + replaceAll(text, "\n", `\n${repeat("  ", depth)}`);
  if (line.length * 3 > kMostBytes && byteLengthOf(ops.utf8_encode(line)) > kMostBytes) {
    ops.utf8_encode_into(line, new SafeUint8Array(kMostBytes));
    line = slice(line, 0, ops.text_result[0]!);
  }
  ops.log(level, line, args === undefined || !tails.areThere ? undefined : messageOf(args));
}

function labelOf(label: unknown): string {
  return label === undefined ? "default" : `${label as string}`;
}

function elapsed(label: string): string | undefined {
  const start = mapGet(timers, label);
  if (start === undefined) {
    write("warn", `No such label '${label}' for console.time()`);
    return undefined;
  }
  const ms = ops.performance_now() - start;
  return ms >= 1000 ? `${(ms / 1000).toFixed(3)}s` : `${Number(ms.toFixed(3))}ms`;
}

const methods = {
  debug(...args: unknown[]): void { write("debug", formatLog(args), args); },
  error(...args: unknown[]): void { write("error", formatLog(args), args); },
  info(...args: unknown[]): void { write("info", formatLog(args), args); },
  log(...args: unknown[]): void { write("log", formatLog(args), args); },
  warn(...args: unknown[]): void { write("warn", formatLog(args), args); },

  dir(value: unknown, options?: InspectOptions): void { write("log", inspect(value, options ?? {})); },
  dirxml(...args: unknown[]): void { write("log", formatLog(args)); },

  table(data: unknown, columns?: readonly string[]): void {
    write("log", formatTable(data, columns) ?? formatLog([data]));
  },

  trace(...args: unknown[]): void {
    const message = formatLog(args);
    const error = new Error(message);
    error.name = "Trace";
    (Error as unknown as { captureStackTrace(target: object, above: unknown): void })
      .captureStackTrace(error, methods.trace);
    write("log", `${error.stack}`);
  },

  assert(condition?: unknown, ...args: unknown[]): void {
    if (condition) return;
    if (args.length === 0) return write("error", "Assertion failed");
    const [first, ...rest] = args;
    write("error", formatLog(typeof first === "string" ? [`Assertion failed: ${first}`, ...rest]
      : ["Assertion failed:", ...args]));
  },

  clear(): void {
    endGroups(ops.invocation());
  },

  count(label?: unknown): void {
    const name = labelOf(label);
    const count = (mapGet(counts, name) ?? 0) + 1;
    if (counts.size < kMostLabels || count > 1) mapSet(counts, name, count);
    write("log", `${name}: ${count}`);
  },

  countReset(label?: unknown): void {
    const name = labelOf(label);
    if (!mapDelete(counts, name)) write("warn", `Count for '${name}' does not exist`);
  },

  time(label?: unknown): void {
    const name = labelOf(label);
    if (mapGet(timers, name) !== undefined) return write("warn", `Label '${name}' already exists for console.time()`);
    if (timers.size < kMostLabels) mapSet(timers, name, ops.performance_now());
  },

  timeEnd(label?: unknown): void {
    const name = labelOf(label);
    const text = elapsed(name);
    if (text === undefined) return;
    mapDelete(timers, name);
    write("log", `${name}: ${text}`);
  },

  timeLog(label?: unknown, ...args: unknown[]): void {
    const name = labelOf(label);
    const text = elapsed(name);
    if (text !== undefined) write("log", `${name}: ${text}${args.length === 0 ? "" : ` ${formatLog(args)}`}`);
  },

  group(...args: unknown[]): void {
    if (args.length > 0) write("log", formatLog(args));
    const invocation = ops.invocation();
    const depth = mapGet(groups, invocation) ?? 0;
    if (depth === 0 && invocation !== 0) ops.keep(invocation);
    if (depth < kMostGroups) mapSet(groups, invocation, depth + 1);
  },

  groupCollapsed(...args: unknown[]): void {
    methods.group(...args);
  },

  groupEnd(): void {
    const invocation = ops.invocation();
    const depth = mapGet(groups, invocation) ?? 0;
    if (depth > 1) mapSet(groups, invocation, depth - 1);
    else mapDelete(groups, invocation);
  },
};

// A namespace object: its prototype is an empty object of its own, its methods need no `this`.
export const console = objectCreate({}) as typeof methods;
for (const name of Object.keys(methods) as (keyof typeof methods)[]) {
  defineProperty(console, name, { value: methods[name], writable: true, enumerable: true, configurable: true });
}
defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });

export function endGroups(invocation: number): void {
  mapDelete(groups, invocation);
}

adoptConsole(endGroups);
