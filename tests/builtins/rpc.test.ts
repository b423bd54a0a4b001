// SPDX-License-Identifier: Apache-2.0
//
// RPC between isolates, as the built-ins see it: members, promises, ownership, values and errors. The host is a stand-in;
// the differential tests ask the same of the real one and of the peer.
import assert from "node:assert/strict";
import { test } from "node:test";

import { IsolateMock } from "./rpc_world.ts";

const kTarget = `
const { WorkerEntrypoint, RpcTarget, RpcStub } = workers;
let log = [];
class Counter extends RpcTarget {
  #n;
  constructor(n) { super(); this.#n = n; this.own = 1; }
  next(by = 1) { return new Counter(this.#n + by); }
  get value() { return this.#n; }
  [Symbol.dispose]() { log.push("disposed " + this.#n); }
}
exported.Class = class extends WorkerEntrypoint {
  constructor(ctx, env) { super(ctx, env); this.ownField = 1; }
  list(...args) { return args; }
  id(value) { return value; }
  get getter() { return Promise.resolve("got"); }
  get deep() { return { a: { b: { c: (n) => n * 2, d: "deep" } } }; }
  counter(n) { return new Counter(n); }
  two() { return { a: new Counter(1), b: new Counter(2), text: "x" }; }
  fn() { return Object.assign((a, b) => a + b, { property: "p" }); }
  call(fn, ...args) { return fn(...args); }
  keep(stub) { this.constructor.kept = stub; }
  useKept() { return this.constructor.kept.next(); }
  fails(kind) { throw kind === "string" ? "text" : kind === "none" ? undefined : kind === "dom" ? new DOMException("m", "AbortError")
    : kind === "object" ? { a: 1 } : kind === "function" ? Object.assign(new Error("f"), { f() {}, code: 1 })
    : Object.assign(new TypeError("thrown", { cause: new RangeError("why") }), { code: 42 }); }
  take() { const taken = log; log = []; return taken; }
  props() { return this.ctx.props; }
  response() { return new Response("body", { status: 201, headers: { a: "b" } }); }
  async echo(request) { return [request.method, request.url, await request.text()]; }
  async read(stream) { return await new Response(stream).text(); }
  async write(stream) { const writer = stream.getWriter(); await writer.write(new TextEncoder().encode("hi")); await writer.close(); }
  target() { return new (class Ordinary {})(); }
  abort(reason) { this.ctx.abort(reason); return "went on"; }
  session() { const { ctx } = this; return { abort() { ctx.abort(new TypeError("by an object")); } }; }
  proxy() { return new Proxy(new (class extends RpcTarget { get value() { return 7; } })(), {}); }
};
exported.object = { one(a, env, ctx) { return [a, typeof ctx.waitUntil]; }, four(a, b, c, d) {}, value: 5, nested: { call: () => 1 } };
exported.tails = { tail(events, env, ctx) { log.push(events, typeof ctx.waitUntil, events[0].event.request.getUnredacted().url); } };
exported.default = { fetch() {} };
exported.Actor = class extends workers.DurableObject { hi() { return "hi"; } };
`;

function world(options: { date?: string } = {}): { caller: IsolateMock; callee: IsolateMock } {
  const callee = new IsolateMock(kTarget, options);
  const caller = new IsolateMock("", {
    ...options,
    env: { T: callee.entrypoint("Class"), O: callee.entrypoint("object"), NO: callee.entrypoint("Nothing"), ACTOR: callee.entrypoint("Actor") },
  });
  caller.run(`globalThis.caught = async (run) => { try { return { none: await run() }; } catch (error) { return error; } };
    globalThis.textOf = async (run) => { const e = await caught(run); return e.name + ": " + e.message + (e.remote ? " (remote)" : ""); };`);
  return { caller, callee };
}

const settled = (): Promise<void> => new Promise((resolve) => {
  let turns = 0;
  const next = (): void => {
    if (++turns < 20) setImmediate(next);
    else resolve();
  };
  next();
});

const { caller, callee } = world();
// The answer, as an object of this realm.
const ask = async (code: string): Promise<unknown> => structuredClone(await caller.ask(code));

test("a method gets its arguments and gives its result", async () => {
  assert.deepEqual(await ask("async (env) => [await env.T.list(), await env.T.list(1, 'two', [3])]"), [[], [1, "two", [3]]]);
});

test("members that can be reached, and those that cannot", async () => {
  assert.deepEqual(await ask("async (env) => [await env.T.getter, await env.T.deep.a.b.d, await env.T.deep.a.b.c(4)]"), ["got", "deep", 8]);
  for (const name of ["ownField", "env", "ctx", "absent", "#secret"]) {
    assert.equal(await ask(`(env) => textOf(() => env.T["${name}"])`),
      `TypeError: The RPC receiver does not implement the method "${name}". (remote)`);
  }
  assert.equal(await ask("(env) => textOf(() => env.T.alarm())"),
    "TypeError: 'alarm' is a reserved method and cannot be called over RPC. (remote)");
  assert.equal(await ask("(env) => textOf(() => env.T.deep.a.b.d())"), 'TypeError: "deep.a.b.d" is not a function. (remote)');
  assert.equal(await ask("(env) => textOf(() => env.NO.x())"), "Error: Worker has no such entrypoint: Nothing");
  assert.equal(await ask("(env) => textOf(() => env.ACTOR.hi())"), "Error: Worker has no such entrypoint: Actor");
});

test("functions of an exported object have their own rule", async () => {
  assert.deepEqual(await ask("(env) => env.O.one('a')"), ["a", "function"]);
  assert.match(await ask("(env) => textOf(() => env.O.one())") as string, /^TypeError: Attempted to call RPC function "one" with the wrong/);
  assert.match(await ask("(env) => textOf(() => env.O.four(1))") as string, /^TypeError: Cannot call handler function "four" over RPC/);
  assert.equal(await ask("(env) => env.O.nested.call(1)"), 1);
});

test("what a service stub looks like", async () => {
  assert.deepEqual(await ask(`async (env) => [String(env.T), typeof env.T, typeof env.T.any, typeof env.T.then, typeof env.T[1],
    env.T instanceof workers.ServiceStub, (await env.T) === env.T, Object.keys(env.T), "x" in env.T, env.T instanceof Object]`),
  ["[object Fetcher]", "object", "function", "undefined", "undefined", true, true, [], true, true]);
});

test("promises and properties", async () => {
  assert.deepEqual(await ask(`async (env) => { const p = env.T.counter(1); const q = env.T.getter;
    const all = [p instanceof workers.RpcPromise, q instanceof workers.RpcProperty, p instanceof Promise, typeof p, String(p)];
    const s = await p; return [...all, s instanceof workers.RpcStub, typeof s.then, String(s), await s.next().next(5).value]; }`),
  [true, true, false, "function", "[object JsRpcPromise]", true, "undefined", "[object JsRpcStub]", 7]);
});

test("calls on a promise before and after it has settled", async () => {
  assert.deepEqual(await ask(`async (env) => { const p = env.T.deepest ? env.T.two() : null; const early = await p.a.value; await p;
    return [early, await p.b.value, await p.text, await textOf(() => p.absent), await textOf(() => p.text())]; }`),
  [1, 2, "x", 'TypeError: The RPC receiver does not implement the method "absent". (remote)', 'TypeError: "text" is not a function. (remote)']);
  assert.equal(await ask("async (env) => { const p = env.T.list(1); const q = env.T.id(5); await q; return textOf(() => q.foo); }"),
    "TypeError: Can't pipeline on RPC that did not return an object.");
});

test("66 names are too many, at once", async () => {
  assert.deepEqual(await ask("(env) => { let at = env.T; for (let n = 1; n < 80; n++) { try { at = at.x; } catch (e) { return [n, e.message]; } } }"),
    [66, "RPC pipelined property path is too deep (max 64)."]);
});

test("the failure of a call is that of all that depend on it", async () => {
  assert.deepEqual(await ask(`async (env) => { const p = env.T.fails(); return Promise.all([textOf(() => p), textOf(() => p.a()), textOf(() => p.a.b().c)]); }`),
    Array(3).fill("TypeError: thrown (remote)"));
});

test("functions and targets cross as stubs, wherever they stand", async () => {
  assert.equal(await ask("async (env) => env.T.call((a, b) => a + b, 1, 2)"), 3);
  assert.equal(await ask("async (env) => { const [{ f }] = await env.T.list({ f: () => 'deep' }); return f(); }"), "deep");
  assert.equal(await ask("async (env) => { const [m] = await env.T.list(new Map([['k', [() => 'in a map']]])); return m.get('k')[0](); }"), "in a map");
  assert.deepEqual(await ask("async (env) => { const f = await env.T.fn(); return [await f(1, 2), await f.property]; }"), [3, "p"]);
  assert.equal(await ask("async (env) => (await env.T.proxy()).value"), 7);
  assert.deepEqual(await ask(`async (env) => { const c = { n: 1, f: () => 2 }; c.self = c; const r = await env.T.id(c); return [r.self === r, await r.self.f()]; }`), [true, 2]);
});

test("a service stub crosses and stays one", async () => {
  assert.deepEqual(await ask("async (env) => { const s = await env.T.id(env.T); return [s instanceof workers.ServiceStub, await s.list(4), typeof s[Symbol.dispose]]; }"),
    [true, [4], "function"]);
});

test("what cannot cross is refused by name, in a rejection", async () => {
  const refused: [string, string][] = [
    ["new (class Own {})()", 'Could not serialize object of type "Own". This type does not support serialization.'],
    ["Object.create(null)", 'Could not serialize object of type "Object". This type does not support serialization.'],
    ["new URL('http://a')", 'Could not serialize object of type "URL". This type does not support serialization.'],
    ["new File(['x'], 'f')", 'Could not serialize object of type "File". This type does not support serialization.'],
    ["AbortSignal.abort()", "AbortSignal serialization is not enabled."],
    ["Symbol('a')", "Symbol(a) could not be cloned."],
    ["env.T.counter(1)", 'Could not serialize object of type "RpcPromise". This type does not support serialization.'],
    ["{ a: env.T.getter }", 'Could not serialize object of type "RpcProperty". This type does not support serialization.'],
  ];
  for (const [value, text] of refused) {
    assert.equal(await ask(`(env) => textOf(() => env.T.id(${value}))`), `DataCloneError: ${text}`, value);
  }
  assert.match(await ask("(env) => textOf(() => env.T.id(new Proxy(new (class {})(), {})))") as string, /^DataCloneError: Proxy could not be/);
  assert.equal(await ask("(env) => textOf(() => env.T.target())"),
    'DataCloneError: Could not serialize object of type "Ordinary". This type does not support serialization. (remote)');
});

test("errors keep class, message, properties and cause", async () => {
  assert.deepEqual(await ask(`async (env) => { const e = await caught(() => env.T.fails());
    return [e instanceof TypeError, e.message, e.code, e.cause instanceof RangeError, e.cause.message, e.remote]; }`),
  [true, "thrown", 42, true, "why", true]);
  assert.equal(await ask("(env) => textOf(() => env.T.fails('string'))"), "Error: text (remote)");
  assert.equal(await ask("(env) => textOf(() => env.T.fails('none'))"), "Error: undefined (remote)");
  assert.deepEqual(await ask("async (env) => { const e = await caught(() => env.T.fails('dom')); return [e instanceof DOMException, e.name, e.message, e.remote]; }"),
    [true, "AbortError", "m", true]);
  assert.deepEqual(await ask("async (env) => ({ ...await caught(() => env.T.fails('object')) })"), { a: 1, remote: true });
  assert.deepEqual(await ask("async (env) => { const e = await caught(() => env.T.fails('function')); return [e.message, e.code, typeof e.f]; }"), ["f", undefined, "undefined"]);
  assert.deepEqual(await ask(`async (env) => { const e = await env.T.id(Object.assign(new RangeError("v"), { n: 1, name: "Mine" })); return [e.constructor.name, e.name, e.n, e.remote]; }`),
    ["Error", "Mine", 1, null].map((item) => item ?? undefined));
});

test("errors of older dates fold their name into the message", async () => {
  const old = world({ date: "2026-02-01" });
  const thrown = await old.caller.ask("async (env) => { const e = await caught(() => env.T.fails()); return [e.name, e.message, typeof e.code]; }");
  assert.deepEqual([...(thrown as unknown[])], ["TypeError", "thrown", "undefined"]);
});

test("a result is disposed of with the stubs in it, and targets are told once", async () => {
  await ask("(env) => env.T.take()");
  assert.deepEqual(await ask(`async (env) => { const r = await env.T.two(); const own = [Object.keys(r), Object.hasOwn(r, Symbol.dispose)];
    const alive = await r.a.value; r[Symbol.dispose](); r[Symbol.dispose]();
    return [own, alive, await textOf(() => r.a.value)]; }`),
  [[["a", "b", "text"], true], 1, "Error: RPC stub used after being disposed."]);
  await settled();
  assert.deepEqual((await ask("(env) => env.T.take()") as string[]).sort(), ["disposed 1", "disposed 2"]);
});

test("a parameter ends with its call, a dup and the sender's own stub do not", async () => {
  assert.equal(await ask(`async (env) => { class Mine extends workers.RpcTarget { next() { return "n"; } }
    await env.T.keep(new Mine()); return textOf(() => env.T.useKept()); }`), "Error: RPC stub used after being disposed. (remote)");
  assert.deepEqual(await ask(`async (env) => { const stub = await env.T.counter(3); await env.T.keep(stub); const copy = stub.dup();
    stub[Symbol.dispose](); return [await copy.value, await textOf(() => stub.value)]; }`), [3, "Error: RPC stub used after being disposed."]);
});

test("stubs in parameters move at older dates", async () => {
  const old = world({ date: "2025-12-01" });
  assert.equal(await old.caller.ask("async (env) => { const stub = await env.T.counter(3); await env.T.keep(stub); return textOf(() => stub.value); }"),
    "Error: RPC stub used after being disposed.");
});

test("a target is told once for each time it was sent", async () => {
  assert.deepEqual(await ask(`async (env) => { globalThis.told = []; class Mine extends workers.RpcTarget { [Symbol.dispose]() { told.push("x"); } }
    const mine = new Mine(); await env.T.list(mine).then(() => {}); const r = await env.T.list(mine, mine); r[Symbol.dispose](); }`), undefined);
  await settled();
  assert.equal(await ask("() => told.length"), 1);  // The first result was never disposed of.
});

test("a target's own dup() is asked for what is sent", async () => {
  assert.equal(await ask(`(env) => { class D extends workers.RpcTarget { constructor(n) { super(); this.n = n; } dup() { return new D(this.n + 1); } get v() { return this.n; } get value() { return this.n; } }
    return env.T.call.call === undefined ? 0 : textOf(() => env.T.id(new (class extends workers.RpcTarget { dup() { return 5; } })())); }`),
  "DataCloneError: Couldn't create a stub for the RcpTarget because it has a dup() method which did not return another RpcTarget. Either remove the dup() method or make sure it returns an RpcTarget.");
});

test("stubs of one's own", async () => {
  assert.deepEqual(await ask(`async () => { const { RpcStub, RpcTarget } = workers;
    class Mine extends RpcTarget { hi(n) { return n + 1; } }
    const names = [];
    for (const make of [() => new RpcStub(5), () => new RpcStub(), () => RpcStub(new Mine())]) names.push((await caught(make)).name);
    const stub = new RpcStub(new Mine());
    return [await stub.hi(1), await new RpcStub((n) => n + 3)(1), await new RpcStub({ hi: (n) => n + 2 }).hi(1), stub instanceof RpcStub, names, await textOf(() => stub())]; }`),
  [2, 4, 3, true, ["TypeError", "TypeError", "TypeError"], 'TypeError: "(this)" is not a function. (remote)']);
});

test("props, with a stub in them", async () => {
  const worker = new IsolateMock(`exported.default = class extends workers.WorkerEntrypoint {
    async props() { return [this.ctx.props.n, this.ctx.props.svc === undefined ? null : await this.ctx.props.svc.list(1)]; } };`,
  { env: { T: callee.entrypoint("Class") } });
  const result = await worker.ask(`async (env) => [await workers.exports.default.props(), await workers.exports.default({ props: { n: 1, svc: env.T } }).props()]`);
  assert.deepEqual(structuredClone(result), [[undefined, null], [1, [1]]]);
  const refused = await worker.ask(`async (env) => { const all = [];
    for (const value of [() => 1, new workers.RpcStub({}), new (class extends workers.RpcTarget {})(), workers.exports.default, new Proxy({}, {})]) {
      try { workers.exports.default({ props: { value } }); all.push("taken"); } catch (error) { all.push(error.message); }
    } return all; }`);
  assert.deepEqual(structuredClone(refused), ["() => 1 could not be cloned.",
    "RpcStub cannot be serialized in this context because it is not a persistent stub.", "Remote RPC references can only be serialized for RPC.",
    'Could not serialize object of type "LoopbackServiceStub". This type does not support serialization.', "#<Object> could not be cloned."]);
});

test("requests, responses, headers and blobs", async () => {
  assert.deepEqual(await ask(`async (env) => { const r = await env.T.response(); return [r.status, r.headers.get("a"), await r.text(), r instanceof Response]; }`),
    [201, "b", "body", true]);
  assert.deepEqual(await ask("(env) => env.T.echo(new Request('http://a/x', { method: 'POST', body: 'sent' }))"), ["POST", "http://a/x", "sent"]);
  assert.deepEqual(await ask("async (env) => { const h = await env.T.id(new Headers([['set-cookie', 'a'], ['set-cookie', 'b']])); return h.getSetCookie(); }"), ["a", "b"]);
  assert.deepEqual(await ask("async (env) => { const b = await env.T.id(new Blob(['xy'], { type: 'text/plain' })); return [b.type, await b.text()]; }"), ["text/plain", "xy"]);
});

test("streams", async () => {
  assert.equal(await ask("(env) => env.T.read(new Blob(['from a stream']).stream())"), "from a stream");
  assert.equal(await ask("(env) => { const s = new ReadableStream(); s.getReader(); return textOf(() => env.T.read(s)); }"),
    "TypeError: The ReadableStream has been locked to a reader.");
  assert.deepEqual(await ask(`async (env) => { const got = []; await env.T.write(new WritableStream({ write(c) { got.push(new TextDecoder().decode(c)); }, close() { got.push("closed"); } })); return got; }`),
    ["hi", "closed"]);
  assert.equal(await ask("(env) => { const s = new WritableStream(); s.getWriter(); return textOf(() => env.T.write(s)); }"),
    "TypeError: This WritableStream is currently locked to a writer.");
});

test("ctx.abort() fails the call, and calls on objects of the invocation", async () => {
  assert.equal(await ask("(env) => textOf(() => env.T.abort(new RangeError('own')))"), "RangeError: own");
  assert.equal(await ask("(env) => textOf(() => env.T.abort())"), "Error: Worker execution was aborted due to call to ctx.abort().");
  assert.equal(await ask("async (env) => { const session = await env.T.session(); return textOf(() => session.abort()); }"),
    "TypeError: by an object (remote)");
});

test("a tail handler gets the events", async () => {
  const dispatch = callee.runtime["dispatchRuntimeEvent"] as unknown as (...args: unknown[]) => void;
  await ask("(env) => env.T.take()");
  dispatch(999999, "tails", undefined, "tail", JSON.stringify([{ event: { request: { url: "http://a/" } }, logs: [] }]));
  await settled();
  const [events, typeOfWait, url] = await ask("(env) => env.T.take()") as [{ logs: unknown[] }[], string, string];
  assert.deepEqual([events.length, events[0]!.logs, typeOfWait, url], [1, [], "function", "http://a/"]);
});

test("JSON of a stub asks nobody", async () => {
  await settled();
  const before = callee.finished.length;
  assert.equal(await ask("(env) => JSON.stringify({ svc: env.T, property: env.T.x })"), '{"svc":{}}');
  await settled();
  assert.equal(callee.finished.length, before);
});

test("console arguments as tails hear of them", () => {
  const tailed = new IsolateMock();
  (tailed.runtime["prepare"] as unknown as (...args: unknown[]) => void)([], undefined, [], false, "2026-06-01", true);
  const lines: unknown[][] = [];
  tailed.onLog = (...line) => lines.push(line);
  tailed.run(`const cyclic = {}; cyclic.self = cyclic;
    console.warn("text", 1, undefined, null, 5n, Symbol("s"), [undefined], { a: { b: 1 }, u: undefined }, new Map(), new (class Own { x = 1 })(),
      new Error("e"), new Date(0), cyclic, { get thrown() { throw 1; } });
    console.table([1]);`);
  assert.equal(lines[0]![0], "warn");
  assert.deepEqual(JSON.parse(lines[0]![2] as string), ["text", 1, null, null, "5", {}, [null], { a: { b: 1 } }, "[object Map]",
    "[object Object]", "Error: e", "1970-01-01T00:00:00.000Z", {}, {}]);
  assert.equal(lines[1]![2], undefined);
});

test("streams and targets do not go into props, by their own texts", async () => {
  const worker = new IsolateMock("exported.default = { fetch() {} };");
  const texts = await worker.ask(`async () => { const all = [];
    for (const value of [new ReadableStream(), new WritableStream(), AbortSignal.abort()]) {
      try { workers.exports.default({ props: { value } }); all.push("taken"); } catch (error) { all.push(error.message); }
    } return all; }`);
  assert.deepEqual(structuredClone(texts), ["ReadableStream can only be serialized for RPC.",
    "WritableStream can only be serialized for RPC.", "AbortSignal serialization is not enabled."]);
});

test("hostile values harm nobody else", async () => {
  assert.match(await ask("(env) => textOf(() => env.T.id({ get a() { throw new RangeError('mine'); } }))") as string, /^RangeError: mine$/);
  const trapped = "{ getPrototypeOf() { throw new Error('trap'); }, get() { throw new Error('get'); } }";
  assert.equal(await ask(`(env) => textOf(() => env.T.id(new Proxy({}, ${trapped})))`), "Error: trap");
  assert.equal(await ask(`async (env) => typeof await env.T.id(new Proxy(() => 1, ${trapped}))`), "function");
  assert.equal(callee.reports.length, 0);
});

test("nothing is kept of calls that are over", async () => {
  await settled();
  const before = callee.finished.length;
  await ask("async (env) => { for (let n = 0; n < 50; n++) await env.T.id(n); }");
  await settled();
  assert.equal(callee.finished.length, before + 50);
  assert.equal(caller.calls.size, 0);
});
