// SPDX-License-Identifier: Apache-2.0
import { host } from "./mock_ops.ts";

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { AbortController, AbortSignal } from "../../src/builtins/web/abort.ts";
import { DOMException } from "../../src/builtins/web/dom_exception.ts";
import { CloseEvent, CustomEvent, ErrorEvent, MessageEvent, PromiseRejectionEvent }
  from "../../src/builtins/web/event_classes.ts";
import { Event, EventTarget } from "../../src/builtins/web/events.ts";
import { fireTimer } from "../../src/builtins/web/timers.ts";

beforeEach(() => {
  host.inInvocation = true;
  host.takeLogs();
});

test("listeners run in order, once each, with the right this", () => {
  const target = new EventTarget();
  const log: string[] = [];
  const first = function (this: unknown, event: Event): void {
    assert.equal(this, target);
    assert.equal(event.currentTarget, target);
    assert.equal(event.eventPhase, Event.AT_TARGET);
    assert.deepEqual(event.composedPath(), [target]);
    log.push("first");
  };
  target.addEventListener("x", first);
  target.addEventListener("x", first);
  target.addEventListener("x", { handleEvent: () => log.push("object") });
  target.addEventListener("x", () => log.push("once"), { once: true });
  target.addEventListener("x", () => log.push("capture"), true);
  target.addEventListener("x", null);
  const event = new Event("x");
  assert.equal(target.dispatchEvent(event), true);
  assert.deepEqual(log, ["capture", "first", "object", "once"]);
  assert.equal(event.target, target);
  assert.equal(event.currentTarget, null);
  target.removeEventListener("x", first);
  log.length = 0;
  target.dispatchEvent(event);
  assert.deepEqual(log, ["capture", "object"]);
});

test("preventDefault, passive, stopImmediatePropagation, removal and addition on the way", () => {
  const target = new EventTarget();
  const log: string[] = [];
  target.addEventListener("p", (event) => event.preventDefault());
  assert.equal(target.dispatchEvent(new Event("p", { cancelable: true })), false);
  assert.equal(target.dispatchEvent(new Event("p")), true);
  const passive = new EventTarget();
  passive.addEventListener("p", (event) => event.preventDefault(), { passive: true });
  assert.equal(passive.dispatchEvent(new Event("p", { cancelable: true })), true);

  const removed = (): number => log.push("removed");
  target.addEventListener("s", (event) => {
    target.removeEventListener("s", removed);
    target.addEventListener("s", () => log.push("added"));
    if (log.length > 0) event.stopImmediatePropagation();
  });
  target.addEventListener("s", removed);
  target.dispatchEvent(new Event("s"));
  assert.deepEqual(log, []);
  target.dispatchEvent(new Event("s"));
  assert.deepEqual(log, ["added"]);
  target.dispatchEvent(new Event("s"));
  assert.deepEqual(log, ["added"]);
});

test("a listener that throws is reported and the others run", () => {
  const target = new EventTarget();
  let ran = false;
  target.addEventListener("x", () => { throw new Error("boom"); });
  target.addEventListener("x", () => { ran = true; });
  assert.equal(target.dispatchEvent(new Event("x")), true);
  assert.equal(ran, true);
  assert.match(host.takeLogs()[0]!.text, /^Uncaught Error: boom\n/);
});

test("errors of events and targets", () => {
  const target = new EventTarget();
  const event = new Event("x");
  let nested: unknown;
  target.addEventListener("x", () => {
    try { target.dispatchEvent(event); } catch (error) { nested = error; }
  });
  target.dispatchEvent(event);
  assert.equal(String(nested), "InvalidStateError: The event is already being dispatched.");
  assert.throws(() => target.dispatchEvent({} as never), {
    message: "Failed to execute 'dispatchEvent' on 'EventTarget': parameter 1 is not of type 'Event'.",
  });
  assert.throws(() => target.addEventListener("x", 1 as never), {
    message: "Failed to execute 'addEventListener' on 'EventTarget': parameter 2 is not of type 'function or HandlerObject'.",
  });
  assert.throws(() => new (Event as unknown as new () => Event)(), {
    message: "Failed to construct 'Event': constructor parameter 1 is not of type 'string'.",
  });
  assert.throws(() => EventTarget.prototype.addEventListener.call({} as never, "x", null), /Illegal invocation/);
});

test("a listener leaves with its signal", () => {
  const target = new EventTarget();
  const controller = new AbortController();
  let count = 0;
  target.addEventListener("x", () => count++, { signal: controller.signal });
  target.dispatchEvent(new Event("x"));
  controller.abort();
  target.dispatchEvent(new Event("x"));
  target.addEventListener("x", () => count++, { signal: controller.signal });
  target.dispatchEvent(new Event("x"));
  assert.equal(count, 1);
});

test("the events that carry data", () => {
  assert.equal(new CustomEvent("x", { detail: 4 }).detail, 4);
  assert.equal(new CustomEvent("x").detail, null);
  const error = new ErrorEvent("error", { message: "m", filename: "f", lineno: 1, colno: 2, error: 3 });
  assert.deepEqual([error.message, error.filename, error.lineno, error.colno, error.error], ["m", "f", 1, 2, 3]);
  assert.equal(new MessageEvent("m", { data: 1 }).data, 1);
  assert.equal(new MessageEvent("m").data, null);
  assert.deepEqual(new MessageEvent("m").ports, []);
  const close = new CloseEvent("close", { code: 1000, reason: "r", wasClean: true });
  assert.deepEqual([close.code, close.reason, close.wasClean], [1000, "r", true]);
  const promise = Promise.resolve();
  const rejection = new PromiseRejectionEvent("unhandledrejection", { promise, reason: 2 });
  assert.deepEqual([rejection.promise, rejection.reason], [promise, 2]);
  assert.equal(close instanceof Event, true);
  assert.equal(Object.prototype.toString.call(close), "[object CloseEvent]");
});

test("AbortController", () => {
  const controller = new AbortController();
  const { signal } = controller;
  assert.equal(controller.signal, signal);
  const log: unknown[] = [];
  signal.onabort = (event: Event): void => { log.push(event.type); };
  signal.addEventListener("abort", () => log.push("listener"));
  controller.abort();
  controller.abort("again");
  assert.deepEqual(log, ["abort", "listener"]);
  assert.equal(String(signal.reason), "AbortError: The operation was aborted");
  assert.equal((signal.reason as DOMException).code, 20);
  assert.throws(() => signal.throwIfAborted(), { name: "AbortError" });
  assert.equal(AbortSignal.abort(5).reason, 5);
  assert.throws(() => new AbortSignal(), { name: "TypeError", message: "Illegal constructor" });
});

test("onabort can be replaced and taken away", () => {
  const controller = new AbortController();
  const log: string[] = [];
  controller.signal.onabort = (): void => { log.push("one"); };
  const two = (): void => { log.push("two"); };
  controller.signal.onabort = two;
  assert.equal(controller.signal.onabort, two);
  controller.abort();
  assert.deepEqual(log, ["two"]);
  const other = new AbortController();
  other.signal.onabort = two;
  other.signal.onabort = null;
  other.abort();
  assert.deepEqual(log, ["two"]);
});

test("AbortSignal.timeout", () => {
  const before = new Set(host.timers.keys());
  const signal = AbortSignal.timeout(50);
  const id = [...host.timers.keys()].find((each) => !before.has(each))!;
  assert.equal(host.timers.get(id), 50);
  assert.equal(signal.aborted, false);
  fireTimer(id);
  assert.equal(signal.aborted, true);
  assert.equal((signal.reason as DOMException).name, "TimeoutError");
});

test("AbortSignal.any", () => {
  const one = new AbortController();
  const two = new AbortController();
  const any = AbortSignal.any([one.signal, two.signal]);
  const nested = AbortSignal.any([any]);
  const log: string[] = [];
  one.signal.addEventListener("abort", () => log.push(`one ${nested.aborted}`));
  any.addEventListener("abort", () => log.push("any"));
  nested.addEventListener("abort", () => log.push("nested"));
  one.abort("r");
  two.abort("s");
  assert.deepEqual(log, ["one true", "any", "nested"]);
  assert.equal(any.reason, "r");
  assert.equal(nested.reason, "r");
  assert.equal(AbortSignal.any([AbortSignal.abort(1), one.signal]).reason, 1);
  assert.equal(AbortSignal.any([]).aborted, false);
  assert.throws(() => AbortSignal.any([1 as never]), {
    message: "Incorrect type for array element 0: the provided value is not of type 'AbortSignal'.",
  });
});

test("DOMException", () => {
  const error = new DOMException("m", "AbortError");
  assert.deepEqual([error.name, error.message, error.code], ["AbortError", "m", 20]);
  assert.match(error.stack!, /^AbortError: m\n    at .*events\.test\.ts/);
  assert.equal(error instanceof Error, true);
  assert.equal(String(error), "AbortError: m");
  assert.equal(Object.prototype.toString.call(error), "[object DOMException]");
  assert.deepEqual([new DOMException().name, new DOMException().message, new DOMException().code], ["Error", "", 0]);
  assert.equal(new DOMException("m", "Custom").code, 0);
  assert.equal(DOMException.prototype.name, "Error");
  assert.equal((DOMException as unknown as { ABORT_ERR: number }).ABORT_ERR, 20);
  assert.equal((error as unknown as { DATA_CLONE_ERR: number }).DATA_CLONE_ERR, 25);
  assert.equal(new DOMException("m", { name: "X", cause: 3 }).cause, 3);
  assert.equal("cause" in error, false);
});
