// SPDX-License-Identifier: Apache-2.0
//
// Workflows as the built-ins see them: what step and the binding ask of the engine, and what they make of its answers.
// The engine is a stand-in that keeps nothing.
import assert from "node:assert/strict";
import { test } from "node:test";

import { host } from "./mock_ops.ts";
import { type EngineCall, IsolateMock } from "./rpc_world.ts";

type Answerer = (asked: EngineCall) => void;
type Runtime = Record<string, (...args: unknown[]) => unknown>;

const kConfig = { retries: { limit: 5, delay: 1000, backoff: "exponential" }, timeout: "10 minutes" };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const runOf = (attempt: number, { detail }: EngineCall): object =>
  ({ how: "run", name: detail["name"] ?? "s", count: 1, attempt, config: kConfig, timeoutMs: 600000 });

// Runs each step once, and gives back what it has returned.
const simple: Answerer = (asked) => {
  const { operation, done, detail } = asked;
  if (operation === "do") done(runOf(1, asked));
  else if (operation === "attempt") {
    if (detail["how"] === "returned") done({ how: "value" });
    else done({ how: "throw", name: detail["name"], message: detail["message"] }, ...(asked.payload ? [asked.payload] : []));
  } else if (operation === "sleep" || operation === "sleepUntil") done({ how: "nothing" });
};

interface Played {
  isolate: IsolateMock;
  asked: EngineCall[];
  end: EngineCall;
  returned: unknown;
}

// Plays one run of the class W, whose run() has this body.
async function play(body: string, answer: Answerer = simple, options: { env?: Record<string, unknown>; keepOpen?: boolean } = {}):
Promise<Played> {
  const isolate = new IsolateMock(`
    exported.default = { fetch() {} };
    exported.W = class extends workers.WorkflowEntrypoint { async run(event, step) { ${body} } };`, { env: options.env });
  const asked: EngineCall[] = [];
  fire = (id) => {
    host.timers.delete(id);
    (isolate.runtime as Runtime)["fireTimer"]!(id);
  };
  const end = await new Promise<EngineCall>((resolve) => {
    isolate.onEngineCall = (call) => {
      asked.push(call);
      if (call.operation === "end") resolve(call);
      else answer(call);
    };
    const detail = JSON.stringify({ instanceId: "i1", workflowName: "wf", timestamp: 1000 });
    isolate.invocation = 77;
    (isolate.runtime as Runtime)["dispatchRuntimeEvent"]!(77, "W", undefined, "workflow", detail, undefined, 5);
  });
  const returned = end.payload !== undefined && end.detail["how"] === "returned" ? isolate.take(end.payload) : undefined;
  if (options.keepOpen !== true) {
    end.done({});
    await turn();
    await turn();
  }
  return { isolate, asked, end, returned };
}

// Fires a timer of the isolate that plays.
let fire: (id: number) => void = () => {};

const operations = (asked: EngineCall[]): string[] => asked.map(({ operation }) => operation);

test("a step costs two calls, and its callback gets the context", async () => {
  const { asked, returned } = await play(`
    const got = await step.do("a", async (ctx) => ({ ctx, event }));
    return { got, same: await step.do("b", { timeout: 5 }, () => 1) };`);
  assert.deepEqual(operations(asked), ["do", "attempt", "do", "attempt", "end"]);
  assert.equal(asked[2]!.detail["name"], "b");
  assert.deepEqual(asked[2]!.detail["config"], { timeout: 5 });
  assert.deepEqual(JSON.parse(JSON.stringify(returned)), {
    got: {
      ctx: { step: { name: "a", count: 1 }, attempt: 1, config: kConfig },
      event: { timestamp: "1970-01-01T00:00:01.000Z", instanceId: "i1", workflowName: "wf" },
    },
    same: 1,
  });
});

test("a failed attempt is told, and the next one runs", async () => {
  const { asked, returned } = await play(`
    let n = 0;
    return step.do("a", () => { if (++n < 3) throw new TypeError("no " + n); return n; });`, (call) => {
    const { detail } = call;
    if (call.operation === "attempt" && detail["how"] === "threw") call.done(runOf((detail["attempt"] as number) + 1, call));
    else simple(call);
  });
  assert.equal(returned, 3);
  const told = asked.filter(({ operation }) => operation === "attempt")
    .map(({ detail: { attempt, how, name, message } }) => [attempt, how, name, message]);
  assert.deepEqual(told, [[1, "threw", "TypeError", "no 1"], [2, "threw", "TypeError", "no 2"], [3, "returned", undefined, undefined]]);
});

test("an error of a step keeps its class and properties, also when it ends the run", async () => {
  const { end, returned } = await play(`
    const error = await step.do("a", () => { throw Object.assign(new RangeError("m"), { code: 7 }); }).catch((e) => e);
    return [error instanceof RangeError, error.message, error.code];`);
  assert.equal(end.detail["how"], "returned");
  assert.deepEqual([...(returned as unknown[])], [true, "m", 7]);
  const failed = await play(`throw new workflows.NonRetryableError("final");`);
  assert.deepEqual([failed.end.detail["how"], failed.end.detail["name"], failed.end.detail["message"]],
    ["threw", "NonRetryableError", "final"]);
});

test("what has no copy is told as such", async () => {
  const { asked } = await play(`await step.do("a", () => () => {});`, (call) => {
    if (call.operation === "attempt") call.done({ how: "throw", name: "Error", message: "x" });
    else simple(call);
  });
  assert.equal(asked[1]!.detail["how"], "notSerialisable");
});

test("sleeps, waits and their arguments", async () => {
  const { asked, returned } = await play(`
    await step.sleep("s", "1 hour");
    await step.sleep("n", Infinity);
    await step.sleepUntil("u", new Date(5));
    const got = await step.waitForEvent("w", { type: "t", timeout: "2 days" });
    const bad = await step.sleepUntil("u", "soon").catch((e) => e.name);
    return [got.type, got.timestamp.getTime(), got.payload, bad];`, (call) => {
    if (call.operation === "waitForEvent") call.done({ how: "event", type: "t", timestamp: 9 });
    else simple(call);
  });
  const { call: _, ...wait } = asked[3]!.detail;
  assert.deepEqual([asked[0]!.detail["length"], asked[1]!.detail["length"], asked[2]!.detail["until"], wait],
    ["1 hour", -1, 5, { name: "w", type: "t", timeout: "2 days" }]);
  assert.deepEqual([...(returned as unknown[])], ["t", 9, undefined, "TypeError"]);
});

test("configurations are typed, and what is wrong with them is told", async () => {
  const { asked } = await play(`
    const f = () => 1;
    await step.do("1", { retries: { limit: Infinity, delay: () => 5, backoff: "linear" }, sensitive: "output" }, f);
    await step.do("2", { retry: 1 }, f);
    await step.do("3", { retries: { limit: "2", delay: 1 } }, f);
    await step.do("4", 17, f);
    await step.do("5", { timeout: {} }, f);
    await step.do("6").catch(() => {});
    await step.do("7", f, 5);
    await step.do("8", f, {});
    await step.do("9", f, { rollback: f, rollbackConfig: { timeout: "1 second" } });`,
  (call) => (call.operation === "do" ? call.done({ how: "nothing" }) : simple(call)));
  const told = asked.filter(({ operation }) => operation === "do").map(({ detail: { call, name, ...more } }) => more);
  assert.deepEqual(told, [
    { hasCallback: true, config: { retries: { limit: 4294967295, delay: { function: true }, backoff: "linear" }, sensitive: "output" } },
    { hasCallback: true, problem: 'unknown key "retry"' },
    { hasCallback: true, problem: "retries.limit must be a number" },
    { hasCallback: true, problem: "it must be an object" },
    { hasCallback: true, problem: "timeout must be a duration" },
    { hasCallback: false },
    { hasCallback: true, rollbackProblem: "must be an object" },
    { hasCallback: true, rollbackProblem: "must be a function" },
    { hasCallback: true, rollback: true, rollbackConfig: { timeout: "1 second" } },
  ]);
});

test("a delay function is asked with context and error, and what it throws is told", async () => {
  const delays: unknown[] = [];
  await play(`
    const config = (delay) => ({ retries: { limit: 1, delay } });
    await step.do("a", config(({ ctx, error }) => ctx.attempt * 10 + error.message.length), () => { throw new Error("four"); });
    await step.do("b", config(() => { throw new Error("no idea"); }), () => { throw new Error("x"); });
    await step.do("c", config(async () => ({})), () => { throw new Error("x"); });`, (call) => {
    const { operation, detail, done } = call;
    if (operation === "attempt") {
      done({ how: "delay", name: "a", count: 1, attempt: 1, config: {}, error: { name: "Error", message: detail["message"] } });
    } else if (operation === "delay") {
      delays.push(detail["delay"] ?? detail["problem"]);
      done({ how: "nothing" });
    } else simple(call);
  });
  assert.deepEqual(delays, [14, "threw an error: no idea", "returned a value that is no duration"]);
});

test("an attempt that takes too long is let go, and its late result means nothing", async () => {
  host.timers.clear();
  const { asked, returned } = await play(`
    let release;
    const first = new Promise((resolve) => { release = resolve; });
    let n = 0;
    const value = await step.do("a", { timeout: 20 }, () => (++n === 1 ? first : "second"));
    release("first");
    return value;`, (call) => {
    if (call.operation === "do") {
      call.done({ ...runOf(1, call), timeoutMs: 20 });
      setImmediate(() => setImmediate(() => {
        host.now += 30;
        for (const id of [...host.timers.keys()]) fire(id);
      }));
    } else if (call.operation === "attempt" && call.detail["how"] === "late") call.done(runOf(2, call));
    else simple(call);
  });
  assert.deepEqual(asked.map(({ detail }) => detail["how"]), [undefined, "late", "returned", "returned"]);
  assert.equal(returned, "second");
});

test("idleness is reported while steps wait, and not while a callback runs", async () => {
  host.timers.clear();
  let waiting: EngineCall | undefined;
  const { asked } = await play(`await step.sleep("s", 5);`, (call) => {
    if (call.operation === "sleep") {
      waiting = call;
      setImmediate(() => {
        host.now += 60;
        for (const id of [...host.timers.keys()]) fire(id);
      });
    } else if (call.operation === "idle") {
      call.done({});
      waiting!.done({ how: "nothing" });
    }
  });
  assert.deepEqual(operations(asked), ["sleep", "idle", "end"]);
  assert.equal(asked[1]!.detail["answers"], 0);
});

test("a run that the engine does not answer any more fails, and its code learns nothing", async () => {
  const isolate = new IsolateMock(`
    exported.default = { fetch() {} };
    globalThis.learned = "nothing";
    exported.W = class extends workers.WorkflowEntrypoint {
      async run(event, step) { try { learned = await step.do("a", () => 1); } catch (e) { learned = e.message; } }
    };`);
  const failed: string[] = [];
  isolate.onFail = (message) => failed.push(message);
  isolate.onEngineCall = ({ call }) => {
    (isolate.runtime as Runtime)["callFailed"]!(call, "ERR_X", "Error", "This Workflow run is over.", false, undefined);
  };
  isolate.invocation = 77;
  (isolate.runtime as Runtime)["dispatchRuntimeEvent"]!(77, "W", undefined, "workflow", "{}", undefined, 5);
  for (let i = 0; i < 10; i++) await turn();
  assert.deepEqual(failed, ["This Workflow run is over."]);
  assert.equal(isolate.run("learned"), "nothing");
});

test("rollback handlers are run when the engine says so", async () => {
  let serving: EngineCall | undefined;
  let ended: EngineCall | undefined;
  const { asked } = await play(`
    await step.do("a", () => 1, { rollback: ({ error, output, stepName, ctx }) => { throw new TypeError([error.message, output, stepName, ctx.attempt].join()); } });
    throw new Error("run failed");`, (call) => {
    if (call.operation === "rollback") serving = call;
    else if (call.operation === "rollbackEnded") ended = call;
    else simple(call);
  }, { keepOpen: true });
  assert.equal(asked.at(-1)!.operation, "end");
  serving!.done({ call: asked.find(({ operation }) => operation === "do")!.detail["call"], name: "a", count: 1, attempt: 1, config: kConfig,
    error: { name: "Error", message: "run failed" }, hasOutput: false });
  while (ended === undefined) await turn();
  assert.deepEqual([ended.detail["ok"], ended.detail["name"], ended.detail["message"]], [false, "TypeError", "run failed,,a-1,1"]);
});

test("callbacks of a tenant run there, and nothing of them is left after ten thousand steps", async () => {
  const tenant = new IsolateMock(`
    globalThis.mine = 0;
    exported.default = { fetch() {} };
    exported.T = class extends workers.WorkflowEntrypoint {
      async run(event, step) {
        for (let i = 0; i < event.n; i++) await step.do("s" + i, async ({ attempt }) => ({ n: globalThis.mine += attempt }));
        const error = await step.do("last", () => { throw new TypeError("in the tenant"); }).catch((e) => e);
        return [globalThis.mine, error.name, error.message];
      }
    };`);
  const { isolate, returned } = await play(`return await workers.env.TENANT.run({ n: 10000 }, step);`, simple,
    { env: { TENANT: tenant.entrypoint("T") } });
  assert.deepEqual([...(returned as unknown[])], [10000, "TypeError", "in the tenant"]);
  assert.ok(isolate.handles.size <= 2, `${isolate.handles.size} handles are left in the dispatcher`);
  assert.ok(tenant.handles.size <= 1, `${tenant.handles.size} handles are left in the tenant`);
});

// ---- The binding

function binding(answer: (asked: EngineCall) => void): { isolate: IsolateMock; asked: EngineCall[] } {
  const isolate = new IsolateMock("exported.default = { fetch() {} };", { bindings: [["WF", 5, "", 9]] });
  const asked: EngineCall[] = [];
  isolate.onEngineCall = (call) => {
    asked.push(call);
    answer(call);
  };
  return { isolate, asked };
}

test("create, get and the operations of a handle", async () => {
  const { isolate, asked } = binding((call) => {
    if (call.operation === "get" && call.detail["id"] === "none") call.done({ error: { name: "Error", message: "instance.not_found" } });
    else if (call.operation === "status") call.done({ status: "errored", error: { name: "TypeError", message: "why" } });
    else call.done({ id: call.detail["id"] });
  });
  const result = await isolate.ask(`async ({ WF }) => {
    const made = await WF.create({ id: "x", params: { a: 1 }, retention: { successRetention: "3 days" } });
    const anonymous = await WF.create();
    const none = await WF.get("none").catch((e) => e.name + ": " + e.message);
    await made.terminate({ rollback: true });
    await made.restart({ from: { name: "s" } });
    await made.sendEvent({ type: "t", payload: 5 });
    return [made.id, anonymous.id.length, none, JSON.stringify(await made.status())];
  }`);
  assert.deepEqual([...(result as unknown[])],
    ["x", 36, "Error: instance.not_found", '{"status":"errored","error":{"name":"TypeError","message":"why"},"output":null}']);
  const details = asked.map(({ operation, detail: { id, ...more } }) => [operation, more]);
  assert.deepEqual(details, [
    ["create", { retention: { success: "3 days" } }], ["create", {}], ["get", {}], ["terminate", { rollback: true }],
    ["restart", { from: { name: "s", count: 1, type: "do" } }], ["sendEvent", { type: "t" }], ["status", {}],
  ]);
  assert.equal(asked[0]!.capability, 9);
});

test("batches: both forms, their bounds, and an entry for every position", async () => {
  const { isolate } = binding((call) => {
    const ids = (call.detail["instances"] as { id: string }[] | undefined)?.map(({ id }) => id) ?? (call.detail["ids"] as string[]);
    call.done({ results: ids.map((id) => (id === "old" ? { error: { name: "Error", message: "instance.already_exists" } }
      : id === "gone" ? { error: { name: "Error", message: "instance.not_found" } } : { id })) });
  });
  const result = await isolate.ask(`async ({ WF }) => {
    const text = async (promise) => { try { return await promise; } catch (e) { return e.name + ": " + e.message; } };
    return JSON.stringify([
      (await WF.createBatch([{ id: "a" }, { id: "old" }])).map(({ id }) => id),
      await WF.createBatch({ instances: [{ id: "a" }, { id: "old" }] }),
      (await WF.createBatch({ count: 3 })).created.length,
      await text(WF.createBatch([])),
      await text(WF.createBatch({ count: 101 })),
      await WF.deleteBatch(["a", "gone", "a"]),
      await text(WF.deleteBatch([])),
    ]);
  }`);
  assert.deepEqual(JSON.parse(result as string), [
    ["a"],
    { created: [{ id: "a" }], errors: [{ index: 1, id: "old", code: 10405, message: "workflows.api.error.instance.already_exists" }] },
    3,
    "WorkflowError: batchCreate should have at least 1 instance",
    "WorkflowError: batchCreate is limited to 100 instances at a time",
    { deleted: [{ id: "a" }, { id: "a" }], errors: [{ id: "gone", code: 10400, message: "workflows.api.error.instance.not_found" }] },
    "WorkflowError: deleteBatch takes 1 to 100 instance ids",
  ]);
});

test("a subscription replays, filters and ends", async () => {
  const { isolate, asked } = binding((call) => {
    const { cursor } = call.detail as { cursor?: number };
    if (call.operation === "get") call.done({ id: "x" });
    else if (cursor === 3) call.done({ events: [4, 5].map((eventId) => ({ eventId, type: eventId === 4 ? "kept" : "other" })), end: false });
    else call.done({ events: [{ eventId: 6, type: "kept" }], end: true });
  });
  const result = await isolate.ask(`async ({ WF }) => {
    const events = await (await WF.get("x")).subscribe({ cursor: 3, filter: ["kept"] });
    const all = [];
    for (let next = await events.next(); ; next = await events.next()) { if (next.done) break; all.push(next.value.eventId); }
    return JSON.stringify([all, await events.next()]);
  }`);
  assert.equal(result, '[[4,6],{"done":true}]');
  assert.deepEqual(operations(asked), ["get", "get", "events", "events"]);
});
