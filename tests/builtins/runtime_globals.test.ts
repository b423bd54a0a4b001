// SPDX-License-Identifier: Apache-2.0
import { host } from "./mock_ops.ts";

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { AbortController, AbortSignal } from "../../src/builtins/web/abort.ts";
import { Crypto, crypto } from "../../src/builtins/web/crypto.ts";
import { navigator } from "../../src/builtins/web/navigator.ts";
import { performance } from "../../src/builtins/web/performance.ts";
import { scheduler } from "../../src/builtins/web/scheduler.ts";
import { structuredClone } from "../../src/builtins/web/structured_clone.ts";
import { clearInterval, clearTimeout, fireTimer, queueMicrotask, setInterval, setTimeout }
  from "../../src/builtins/web/timers.ts";

const kDisallowed = { name: "Error", message: /^Disallowed operation called within global scope\./ };

beforeEach(() => {
  host.inInvocation = true;
  host.invocation = 1;
  host.current = 1;
  host.timers.clear();
});

test("setTimeout fires once, with its arguments", () => {
  const seen: unknown[] = [];
  const id = setTimeout((...args: unknown[]) => seen.push(...args), 10.9, 1, "b");
  assert.equal(typeof id, "number");
  assert.equal(host.timers.get(id), 10);
  fireTimer(id);
  fireTimer(id);
  assert.deepEqual(seen, [1, "b"]);
});

test("delays are whole and not negative", () => {
  for (const [delay, expected] of [[undefined, 0], [-5, 0], ["7", 7], [NaN, 0], [2 ** 31, 0], [2 ** 31 - 1, 2 ** 31 - 1]]) {
    assert.equal(host.timers.get(setTimeout(() => {}, delay as number)), expected, String(delay));
  }
});

test("setInterval starts again, also after an error, until it is cleared", () => {
  let count = 0;
  const id = setInterval(() => {
    count++;
    if (count === 1) throw new Error("boom");
    if (count === 3) clearInterval(id);
  }, 5);
  host.timers.clear();
  assert.throws(() => fireTimer(id), { message: "boom" });
  assert.equal(host.timers.get(id), 5);
  fireTimer(id);
  host.timers.clear();
  fireTimer(id);
  assert.equal(host.timers.size, 0);
  fireTimer(id);
  assert.equal(count, 3);
});

test("clearTimeout cancels, whatever it is given", () => {
  let fired = false;
  const id = setTimeout(() => { fired = true; }, 1);
  clearTimeout(id);
  assert.equal(host.timers.has(id), false);
  fireTimer(id);
  assert.equal(fired, false);
  clearTimeout(undefined);
  clearTimeout("a" as never);
  clearTimeout(99999);
});

test("a timer's callback runs in the frame that started it", () => {
  const seen: unknown[] = [];
  const callback = (): void => { seen.push(host.current); };
  const plain = setTimeout(callback, 1);
  host.current = [1, {}, "value"];
  const framed = setTimeout(callback, 1);
  host.current = 1;
  fireTimer(plain);
  fireTimer(framed);
  assert.deepEqual(seen, [1, [1, {}, "value"]]);
});

test("callbacks must be functions", () => {
  for (const value of ["x", {}, undefined]) {
    assert.throws(() => setTimeout(value as never, 1), {
      name: "TypeError",
      message: "Failed to execute 'setTimeout' on 'ServiceWorkerGlobalScope': parameter 1 is not of type 'function'.",
    });
    assert.throws(() => setInterval(value as never, 1), { name: "TypeError" });
    assert.throws(() => queueMicrotask(value as never), { name: "TypeError" });
  }
});

test("nothing of this in global scope", async () => {
  host.inInvocation = false;
  assert.throws(() => setTimeout(() => {}, 1), kDisallowed);
  assert.throws(() => setInterval(() => {}, 1), kDisallowed);
  assert.throws(() => AbortSignal.timeout(1), kDisallowed);
  assert.throws(() => crypto.randomUUID(), kDisallowed);
  assert.throws(() => crypto.getRandomValues(new Uint8Array(1)), kDisallowed);
  await assert.rejects(scheduler.wait(1), kDisallowed);
  assert.equal(performance.now(), 0);
  let ran = false;
  queueMicrotask(() => { ran = true; });
  await null;
  await null;
  assert.equal(ran, true);
});

test("scheduler.wait", async () => {
  const waiting = scheduler.wait(7);
  const [[id, delay]] = [...host.timers] as [[number, number]];
  assert.equal(delay, 7);
  fireTimer(id);
  assert.equal(await waiting, undefined);
  host.timers.clear();

  await assert.rejects(scheduler.wait(1, { signal: AbortSignal.abort() }), { name: "AbortError" });
  const controller = new AbortController();
  const aborted = scheduler.wait(1, { signal: controller.signal });
  controller.abort("why");
  await assert.rejects(aborted, (error) => error === "why");
  assert.equal(host.timers.size, 0);

  const quiet = new AbortController();
  const done = scheduler.wait(1, { signal: quiet.signal });
  fireTimer([...host.timers.keys()][0]!);
  await done;
  quiet.abort();
  await assert.rejects((scheduler.wait as () => Promise<void>)(), {
    message: "Failed to execute 'wait' on 'Scheduler': parameter 1 is not of type 'number'.",
  });
});

test("crypto", () => {
  const bytes = new Uint8Array(64);
  assert.equal(crypto.getRandomValues(bytes), bytes);
  assert.equal(bytes.some((byte) => byte !== 0), true);
  crypto.getRandomValues(new BigUint64Array(2));
  assert.match(crypto.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.throws(() => crypto.getRandomValues(new Uint8Array(65537)), {
    name: "QuotaExceededError",
    code: 22,
    message: "getRandomValues() only accepts buffers of size <= 64K but provided 65537 bytes.",
  });
  for (const view of [new Float32Array(1), new DataView(new ArrayBuffer(3))]) {
    assert.throws(() => crypto.getRandomValues(view), {
      name: "TypeMismatchError",
      message: "ArrayBufferView argument to getRandomValues() must be an integer-typed view.",
    });
  }
  assert.throws(() => crypto.getRandomValues([] as never), {
    message: "Failed to execute 'getRandomValues' on 'Crypto': parameter 1 is not of type 'ArrayBufferView'.",
  });
  assert.throws(() => new Crypto(), { message: "Illegal constructor" });
  assert.equal("subtle" in crypto, false);
});

test("structuredClone", () => {
  const value = { a: [1, new Map([[1, 2]])] };
  const copy = structuredClone(value);
  assert.deepEqual(copy, value);
  assert.notEqual(copy.a, value.a);
  const buffer = new ArrayBuffer(4);
  const moved = structuredClone({ buffer }, { transfer: [buffer] });
  assert.equal(moved.buffer.byteLength, 4);
  assert.equal(buffer.detached, true);
  assert.throws(() => structuredClone(1, { transfer: [buffer] }), { name: "DataCloneError", code: 25 });
  const twice = new ArrayBuffer(1);
  assert.throws(() => structuredClone(1, { transfer: [twice, twice] }), { name: "DataCloneError" });
  assert.throws(() => structuredClone(1, { transfer: [1] }), { name: "TypeError", message: "Object is not transferable" });
  assert.throws(() => (structuredClone as () => void)(), { name: "TypeError" });
});

test("navigator and performance", () => {
  assert.equal(navigator.userAgent, "Cloudflare-Workers");
  assert.equal(performance.now(), host.now);
  assert.equal(performance.timeOrigin, 0);
});
