// SPDX-License-Identifier: Apache-2.0
//
// The globals as the snapshot will have them: bundled, minified, in a context that has nothing but ECMAScript and ops.
import { host } from "./mock_ops.ts";

import assert from "node:assert/strict";
import { before, test } from "node:test";
import vm from "node:vm";

import { bundleBuiltins } from "../../tools/bundle_builtins.mjs";

const kMostBytes = 160 * 1024;
const kMostCoreBytes = 56 * 1024;

let source: string;
let context: vm.Context;
const run = (code: string): unknown => vm.runInContext(code, context);

const made: string[] = [];  // the parts that somebody asked for

before(async () => {
  const { core, parts } = await bundleBuiltins("web/index.ts");
  source = core + parts.streams;  // The other parts belong to the runtime.
  host.calls.length = 0;
  context = vm.createContext();
  run("delete globalThis.console");
  const native = {
    ...(globalThis as unknown as { ops: object }).ops,
    part: (name: string, ...handed: unknown[]) => {
      made.push(name);
      return (run(parts[name as keyof typeof parts]) as (...handed: unknown[]) => unknown)(...handed);
    },
    lazy_global(target: object, name: string, enumerable: boolean) {
      const become = (value: unknown): void => {
        Object.defineProperty(target, name, { value, writable: true, enumerable, configurable: true });
      };
      const get = (): unknown => {
        become(runtime.lazyGlobal(name));
        return (target as Record<string, unknown>)[name];
      };
      Object.defineProperty(target, name, { get, set: become, enumerable, configurable: true });
    },
  };
  const runtime = (run(core) as (native: object) => {
    installWebGlobals(target: object): void;
    lazyGlobal(name: string): unknown;
  })(native);
  runtime.installWebGlobals(run("globalThis") as object);
});

test("importing and installing ask the host for nothing", () => {
  assert.deepEqual(host.calls, []);
});

test("an isolate makes the parts that it uses, and no others", async () => {
  assert.equal(await run(`new Response("text").text()`), "text");
  assert.equal(await run(`new Request(new URL("https://a/?b"), {method: "POST", headers: {a: "b"}, body: "1"}).json()`), 1);
  assert.deepEqual(made, []);
  assert.equal(await run(`new Request("https://a/", {method: "POST", body: new URLSearchParams({a: 1})}).text()`), "a=1");
  assert.deepEqual(made.splice(0), ["params"]);
  assert.equal(run("typeof new Response('x').body.getReader"), "function");
  assert.equal(run("ReadableStream === ReadableStream && new Response('x').body instanceof ReadableStream"), true);
  assert.deepEqual(made.splice(0), ["streams"]);
  assert.equal(run("new Request('https://a/').signal instanceof AbortSignal"), true);
  assert.deepEqual(made.splice(0), ["events"]);
  assert.equal(run("performance.now() >= 0 && new Blob(['x']).size"), 1);
  assert.deepEqual(made.splice(0), ["forms"]);
  assert.equal(run("atob('YQ==') + crypto.subtle"), "aundefined");
  assert.deepEqual(made.splice(0), ["extras"]);
});

test("the bundle stays small", async (t) => {
  t.diagnostic(`web globals, minified: ${source.length} bytes`);
  assert.equal(source.length < kMostBytes, true, `${source.length} bytes`);
  // Of the core each kilobyte of text is three to four of memory in every isolate.
  const { core } = await bundleBuiltins();
  t.diagnostic(`the core: ${core.length} bytes`);
  assert.equal(core.length < kMostCoreBytes, true, `${core.length} bytes`);
});

test("every global of the list is there, as Web IDL wants it", () => {
  const classes = ["AbortController", "AbortSignal", "Blob", "Body", "ByteLengthQueuingStrategy", "CloseEvent",
    "CountQueuingStrategy", "Crypto", "CustomEvent", "DOMException", "ErrorEvent", "Event", "EventTarget", "File",
    "FixedLengthStream", "FormData", "Headers", "IdentityTransformStream", "MessageEvent", "PromiseRejectionEvent",
    "ReadableStream", "ReadableStreamBYOBReader", "ReadableStreamDefaultReader", "Request", "Response", "TextDecoder",
    "TextDecoderStream", "TextEncoder", "TextEncoderStream", "TransformStream", "URL", "URLSearchParams",
    "WritableStream", "WritableStreamDefaultWriter"];
  for (const name of classes) {
    const shape = run(`(() => { void globalThis[${JSON.stringify(name)}];
      const d = Object.getOwnPropertyDescriptor(globalThis, ${JSON.stringify(name)});
      return JSON.stringify([typeof d.value, d.enumerable, d.writable, d.configurable, d.value.name,
        Object.prototype.hasOwnProperty.call(d.value.prototype, Symbol.toStringTag) &&
          d.value.prototype[Symbol.toStringTag]]); })()`);
    assert.equal(shape, JSON.stringify(["function", false, true, true, name, name]), name);
  }
  for (const name of ["atob", "btoa", "clearInterval", "clearTimeout", "queueMicrotask", "reportError", "setInterval",
    "setTimeout", "structuredClone", "addEventListener", "dispatchEvent", "removeEventListener"]) {
    const shape = run(`(() => { void globalThis[${JSON.stringify(name)}];
      const d = Object.getOwnPropertyDescriptor(globalThis, ${JSON.stringify(name)});
      return JSON.stringify([typeof d.value, d.enumerable, d.value.name]); })()`);
    assert.equal(shape, JSON.stringify(["function", true, name]), name);
  }
  assert.equal(run("self === globalThis && origin === 'null' && typeof console.log"), "function");
  for (const name of ["window", "document", "Worker", "XMLHttpRequest", "localStorage", "importScripts"]) {
    assert.equal(run(`typeof ${name}`), "undefined");
  }
});

test("members of prototypes are enumerable, constructors are not", () => {
  assert.equal(run("Object.keys(Response.prototype).join()"),
    "clone,status,statusText,headers,ok,redirected,url,webSocket,cf,type");
  assert.equal(run("Object.keys(Request.prototype).join()"),
    "clone,method,url,headers,redirect,fetcher,signal,cf,integrity,keepalive,cache");
  assert.equal(run("Object.keys(Body.prototype).join()"), "body,bodyUsed,arrayBuffer,bytes,text,json,formData,blob");
  assert.equal(run("Object.keys(Response).join()"), "json,redirect,error");
});

test("a whole exchange works there", async () => {
  assert.equal(await run(`(async () => {
    const request = new Request("https://a/x", {method: "POST", body: JSON.stringify({n: 1})});
    const {n} = await request.json();
    const response = new Response(new ReadableStream({start(c) { c.enqueue(new TextEncoder().encode("n=" + n)); c.close(); }}));
    return response.clone().body.pipeThrough(new TextDecoderStream()).getReader().read().then((r) => r.value);
  })()`), "n=1");
});

test("streams use our AbortController and our DOMException", async () => {
  assert.equal(await run(`(async () => {
    const controller = new AbortController();
    const pipe = new ReadableStream().pipeTo(new WritableStream(), {signal: controller.signal});
    controller.abort();
    try { await pipe; } catch (error) { return error instanceof DOMException && error.name; }
  })()`), "AbortError");
  assert.equal(run(`let signal; new WritableStream({start(c) { signal = c.signal; }}); signal instanceof AbortSignal`), true);
});
