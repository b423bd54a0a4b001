// SPDX-License-Identifier: Apache-2.0
//
// The globals of the web platform, in one list.

import { badArgument } from "../internal/errors.ts";
import { defineProperty } from "../internal/intrinsics.ts";
import { reportException } from "../internal/report.ts";
import { AbortController, AbortSignal } from "./abort.ts";
import { atob, btoa } from "./base64.ts";
import { Blob, File } from "./blob.ts";
import { Body } from "./body.ts";
import { console } from "./console.ts";
import { Crypto, crypto } from "./crypto.ts";
import { DOMException } from "./dom_exception.ts";
import { TextDecoder, TextEncoder } from "./encoding.ts";
import { CloseEvent, CustomEvent, ErrorEvent, MessageEvent, PromiseRejectionEvent } from "./event_classes.ts";
import { Event, EventTarget } from "./events.ts";
import { FormData } from "./form_data.ts";
import { Headers } from "./headers.ts";
import { Navigator, navigator } from "./navigator.ts";
import { Performance, performance } from "./performance.ts";
import { Request } from "./request.ts";
import { Response } from "./response.ts";
import { Scheduler, scheduler } from "./scheduler.ts";
import { structuredClone } from "./structured_clone.ts";
import { clearInterval, clearTimeout, queueMicrotask, setInterval, setTimeout } from "./timers.ts";
import { URL } from "./url.ts";
import { URLSearchParams } from "./url_search_params.ts";

const classes = {
  AbortController,
  AbortSignal,
  Blob,
  Body,
  CloseEvent,
  Crypto,
  CustomEvent,
  DOMException,
  ErrorEvent,
  Event,
  EventTarget,
  File,
  FormData,
  Headers,
  MessageEvent,
  Navigator,
  Performance,
  PromiseRejectionEvent,
  Request,
  Response,
  Scheduler,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
};

// Classes of the part "streams", made when somebody first names one of them.
const streamClasses = [
  "ByteLengthQueuingStrategy",
  "CountQueuingStrategy",
  "FixedLengthStream",
  "IdentityTransformStream",
  "ReadableByteStreamController",
  "ReadableStream",
  "ReadableStreamBYOBReader",
  "ReadableStreamBYOBRequest",
  "ReadableStreamDefaultController",
  "ReadableStreamDefaultReader",
  "TextDecoderStream",
  "TextEncoderStream",
  "TransformStream",
  "TransformStreamDefaultController",
  "WritableStream",
  "WritableStreamDefaultController",
  "WritableStreamDefaultWriter",
] as const;

// Classes of the part "sockets", likewise.
const socketClasses = ["WebSocket", "WebSocketPair"] as const;

// For the host: the value of a global that ops.lazy_global() has defined.
export function lazyGlobal(name: string): unknown {
  if (name === "WebSocket" || name === "WebSocketPair") return parts.sockets()[name];
  return parts.streams()[name as (typeof streamClasses)[number]];
}

function reportError(error: unknown): void {
  if (arguments.length === 0) throw badArgument("reportError", "ServiceWorkerGlobalScope", 1, "Value");
  reportException(error);
}

const functions = {
  atob,
  btoa,
  clearInterval,
  clearTimeout,
  queueMicrotask,
  reportError,
  setInterval,
  setTimeout,
  structuredClone,
};

const objects = { crypto, navigator, performance, scheduler };

// The events of the isolate itself, such as unhandledrejection: the runtime dispatches them here.
export const globalEvents = new EventTarget();

// Defines every global on `target`: classes as Web IDL wants them, not enumerable; operations and attributes enumerable.
export function installWebGlobals(target: object): void {
  define(target, classes, false);
  for (const name of streamClasses) ops.lazy_global(target, name);
  for (const name of socketClasses) ops.lazy_global(target, name);
  define(target, functions, true);
  define(target, objects, true);
  define(target, { console }, false);
  define(target, { self: target }, true);
  defineProperty(target, "origin", { value: "null", writable: false, enumerable: true, configurable: true });
  define(target, {
    addEventListener: globalEvents.addEventListener.bind(globalEvents),
    removeEventListener: globalEvents.removeEventListener.bind(globalEvents),
    dispatchEvent: globalEvents.dispatchEvent.bind(globalEvents),
  }, true);
}

// Names come from the lists above: the bundler may have shortened those of the functions.
function define(target: object, values: Readonly<Record<string, unknown>>, enumerable: boolean): void {
  for (const name of Object.keys(values)) {
    const value = values[name];
    if (typeof value === "function") defineProperty(value, "name", { value: name, configurable: true });
    defineProperty(target, name, { value, writable: true, enumerable, configurable: true });
  }
}
