// SPDX-License-Identifier: Apache-2.0
//
// The globals of the web platform, in one list.

import { badArgument } from "../internal/errors.ts";
import { defineProperty } from "../internal/intrinsics.ts";
import { reportException } from "../internal/report.ts";
import { Body } from "./body.ts";
import { DOMException } from "./dom_exception.ts";
import { Headers } from "./headers.ts";
import { Request } from "./request.ts";
import { Response } from "./response.ts";
import { clearInterval, clearTimeout, queueMicrotask, setInterval, setTimeout } from "./timers.ts";
import { URL } from "./url.ts";

const classes = { Body, DOMException, Headers, Request, Response, URL };

// Those that a part brings, made when somebody first names one of them: not enumerable ones, and enumerable ones.
interface Lazy {
  readonly made: () => object;
  readonly classes: readonly string[];
  readonly values: readonly string[];
}
const lazy: readonly Lazy[] = [
  {
    made: () => parts.streams(),
    classes: [
      "ByteLengthQueuingStrategy", "CountQueuingStrategy", "FixedLengthStream", "IdentityTransformStream",
      "ReadableByteStreamController", "ReadableStream", "ReadableStreamBYOBReader", "ReadableStreamBYOBRequest",
      "ReadableStreamDefaultController", "ReadableStreamDefaultReader", "TextDecoderStream", "TextEncoderStream",
      "TransformStream", "TransformStreamDefaultController", "WritableStream", "WritableStreamDefaultController",
      "WritableStreamDefaultWriter",
    ],
    values: [],
  },
  { made: () => parts.sockets(), classes: ["WebSocket", "WebSocketPair", "WebSocketRequestResponsePair"], values: [] },
  {
    made: () => parts.events(),
    classes: [
      "AbortController", "AbortSignal", "CloseEvent", "CustomEvent", "ErrorEvent", "Event", "EventTarget", "MessageEvent",
      "Performance", "PromiseRejectionEvent",
    ],
    values: ["addEventListener", "dispatchEvent", "performance", "removeEventListener"],
  },
  { made: () => parts.forms(), classes: ["Blob", "File", "FormData"], values: [] },
  { made: () => parts.params(), classes: ["URLSearchParams"], values: [] },
  { made: () => parts.encoding(), classes: ["TextDecoder", "TextEncoder"], values: [] },
  {
    made: () => parts.extras(),
    classes: ["Crypto", "Navigator", "Scheduler"],
    values: ["atob", "btoa", "crypto", "navigator", "scheduler", "structuredClone"],
  },
  { made: () => parts.console(), classes: ["console"], values: [] },
];

// For the host: the value of a global that ops.lazy_global() has defined.
export function lazyGlobal(name: string): unknown {
  for (let i = 0; i < lazy.length; i++) {
    const { made, classes: hidden, values } = lazy[i]!;
    if (!has(hidden, name) && !has(values, name)) continue;
    const value = (made() as Record<string, unknown>)[name];
    if (typeof value === "function") setName(value, name);
    return value;
  }
  return undefined;
}

function has(names: readonly string[], name: string): boolean {
  for (let i = 0; i < names.length; i++) {
    if (names[i] === name) return true;
  }
  return false;
}

// The bundler may have shortened it.
function setName(made: object, name: string): void {
  defineProperty(made, "name", { value: name, configurable: true });
}

function reportError(error: unknown): void {
  if (arguments.length === 0) throw badArgument("reportError", "ServiceWorkerGlobalScope", 1, "Value");
  reportException(error);
}

const functions = { clearInterval, clearTimeout, queueMicrotask, reportError, setInterval, setTimeout };

// Defines every global on `target`: classes as Web IDL wants them, not enumerable; operations and attributes enumerable.
export function installWebGlobals(target: object): void {
  define(target, classes, false);
  define(target, functions, true);
  for (const { classes: hidden, values } of lazy) {
    for (const name of hidden) ops.lazy_global(target, name, false);
    for (const name of values) ops.lazy_global(target, name, true);
  }
  define(target, { self: target }, true);
  defineProperty(target, "origin", { value: "null", writable: false, enumerable: true, configurable: true });
}

function define(target: object, values: Readonly<Record<string, unknown>>, enumerable: boolean): void {
  for (const name of Object.keys(values)) {
    const value = values[name];
    if (typeof value === "function") setName(value, name);
    defineProperty(target, name, { value, writable: true, enumerable, configurable: true });
  }
}
