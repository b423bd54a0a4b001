// SPDX-License-Identifier: Apache-2.0
//
// The globals as the snapshot will have them: bundled, minified, in a context that has nothing but ECMAScript and ops.
import { host } from "./mock_ops.ts";

import assert from "node:assert/strict";
import { before, test } from "node:test";
import vm from "node:vm";

import { buildSync } from "esbuild";

const kEntry = new URL("../../src/builtins/web/index.ts", import.meta.url).pathname;
const kMostBytes = 160 * 1024;

let source: string;
let context: vm.Context;
const run = (code: string): unknown => vm.runInContext(code, context);

before(() => {
  const result = buildSync({
    stdin: {
      contents: `import { installWebGlobals } from ${JSON.stringify(kEntry)}; installWebGlobals(globalThis);`,
      resolveDir: new URL("../..", import.meta.url).pathname,
    },
    bundle: true, format: "iife", target: "esnext", minify: true, write: false,
  });
  source = result.outputFiles[0]!.text;
  host.calls.length = 0;
  context = vm.createContext({ ops: (globalThis as unknown as { ops: unknown }).ops });
  run("delete globalThis.console");
  run(source);
});

test("importing and installing ask the host for nothing", () => {
  assert.deepEqual(host.calls, []);
});

test("the bundle stays small", (t) => {
  t.diagnostic(`web globals, minified: ${source.length} bytes`);
  assert.equal(source.length < kMostBytes, true, `${source.length} bytes`);
});

test("every global of the list is there, as Web IDL wants it", () => {
  const classes = ["AbortController", "AbortSignal", "Blob", "Body", "ByteLengthQueuingStrategy", "CloseEvent",
    "CountQueuingStrategy", "Crypto", "CustomEvent", "DOMException", "ErrorEvent", "Event", "EventTarget", "File",
    "FixedLengthStream", "FormData", "Headers", "IdentityTransformStream", "MessageEvent", "PromiseRejectionEvent",
    "ReadableStream", "ReadableStreamBYOBReader", "ReadableStreamDefaultReader", "Request", "Response", "TextDecoder",
    "TextDecoderStream", "TextEncoder", "TextEncoderStream", "TransformStream", "URL", "URLSearchParams",
    "WritableStream", "WritableStreamDefaultWriter"];
  for (const name of classes) {
    const shape = run(`(() => { const d = Object.getOwnPropertyDescriptor(globalThis, ${JSON.stringify(name)});
      return JSON.stringify([typeof d.value, d.enumerable, d.writable, d.configurable, d.value.name,
        Object.prototype.hasOwnProperty.call(d.value.prototype, Symbol.toStringTag) &&
          d.value.prototype[Symbol.toStringTag]]); })()`);
    assert.equal(shape, JSON.stringify(["function", false, true, true, name, name]), name);
  }
  for (const name of ["atob", "btoa", "clearInterval", "clearTimeout", "queueMicrotask", "reportError", "setInterval",
    "setTimeout", "structuredClone", "addEventListener", "dispatchEvent", "removeEventListener"]) {
    const shape = run(`(() => { const d = Object.getOwnPropertyDescriptor(globalThis, ${JSON.stringify(name)});
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
