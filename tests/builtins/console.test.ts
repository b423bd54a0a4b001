// SPDX-License-Identifier: Apache-2.0
import { host } from "./mock_ops.ts";

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { formatLog, inspect } from "../../src/builtins/internal/inspect.ts";
import { console, endGroups } from "../../src/builtins/web/console.ts";
import { Headers } from "../../src/builtins/web/headers.ts";
import { Response } from "../../src/builtins/web/response.ts";

beforeEach(() => {
  endGroups(host.invocation);
  host.takeLogs();
});

const texts = (): string[] => host.takeLogs().map((line) => line.text);

test("values as Node shows them", () => {
  class Point { x = 1; }
  class Named extends Map {}
  const shown: [unknown, string][] = [
    ["a'b", '"a\'b"'], ["a\n", "'a\\n'"], [-0, "-0"], [5n, "5n"], [Symbol("s"), "Symbol(s)"], [null, "null"],
    [undefined, "undefined"], [true, "true"], [[], "[]"], [{}, "{}"], [[1, "a"], "[ 1, 'a' ]"],
    [{ a: 1, "b-c": 2, [Symbol("k")]: 3 }, "{ a: 1, 'b-c': 2, [Symbol(k)]: 3 }"],
    [[1, , 3], "[ 1, <1 empty item>, 3 ]"], [new Point(), "Point { x: 1 }"], [class Foo {}, "[class Foo]"],
    [class Bar extends Point {}, "[class Bar extends Point]"], [function named() {}, "[Function: named]"],
    [() => {}, "[Function (anonymous)]"], [async function later() {}, "[AsyncFunction: later]"],
    [new Map([["k", { v: 1 }]]), "Map(1) { 'k' => { v: 1 } }"], [new Set([1, "b"]), "Set(2) { 1, 'b' }"],
    [new Named(), "Named(0) [Map] {}"], [new Uint8Array([1, 2]), "Uint8Array(2) [ 1, 2 ]"],
    [new Date(0), "1970-01-01T00:00:00.000Z"], [/a/g, "/a/g"], [Object.create(null), "[Object: null prototype] {}"],
    [new Number(3), "[Number: 3]"], [new String("s"), "[String: 's']"], [new WeakMap(), "WeakMap { <items unknown> }"],
    [Promise.resolve(), "Promise { <pending> }"], [[undefined, null], "[ undefined, null ]"],
    [{ get a() { return 1; }, set b(_: number) {}, get c() { return 1; }, set c(_: number) {} },
      "{ a: [Getter], b: [Setter], c: [Getter/Setter] }"],
    [{ f() {} }, "{ f: [Function: f] }"], [Math, "Object [Math] {}"],
    [new ArrayBuffer(2), "ArrayBuffer { [Uint8Contents]: <00 00>, byteLength: 2 }"],
    [new Headers({ b: "2", a: "1" }), "Headers { a: '1', b: '2' }"],
  ];
  for (const [value, text] of shown) assert.equal(inspect(value), text);
});

test("depth, cycles, errors", () => {
  assert.equal(inspect({ a: { b: { c: { d: 1 } } } }), "{ a: { b: { c: [Object] } } }");
  assert.equal(inspect({ a: { b: { c: { d: 1 } } } }, { depth: 4 }), "{ a: { b: { c: { d: 1 } } } }");
  assert.equal(inspect({ a: [[[[]]]] }, { depth: 0 }), "{ a: [Array] }");
  const cycle: Record<string, unknown> = { n: 1 };
  cycle.self = cycle;
  assert.equal(inspect(cycle), "<ref *1> { n: 1, self: [Circular *1] }");
  const error = new TypeError("bad", { cause: new Error("why") });
  assert.match(inspect(error), /^TypeError: bad\n    at [^]*\[cause\]: Error: why\n/);
  assert.match(inspect(Object.assign(new Error("e"), { code: 7 })), /\n\} ?$|code: 7\n\}$/);
  assert.match(inspect(new AggregateError([new Error("one")], "all")), /\[errors\]: \[\n[^]*Error: one/);
  const bare = new Error("no stack");
  delete bare.stack;
  assert.equal(inspect(bare), "[Error: no stack]");
});

test("long things go over several lines and end", () => {
  const wide = { first: "x".repeat(30), second: "y".repeat(30), third: "z".repeat(30) };
  assert.equal(inspect(wide).split("\n").length, 5);
  assert.match(inspect(Array.from({ length: 150 }, (_, i) => i)), /\.\.\. 50 more items\n\]$/);
  assert.equal(inspect(new Array(2 ** 32 - 1)), "[ <4294967295 empty items> ]");
  const sparse: number[] = [];
  sparse[1e9] = 1;
  assert.equal(inspect(sparse), "[ <1000000000 empty items>, 1 ]");
  const long = inspect("x".repeat(1_000_000));
  assert.equal(long.length < 17000, true);
  const huge = Array.from({ length: 100 }, () => ({ a: "x".repeat(1000), b: ["y".repeat(1000)] }));
  assert.equal(inspect(huge).length < 17000, true);
  let deep: unknown[] = [];
  for (let i = 0; i < 100000; i++) deep = [deep];
  assert.equal(inspect(deep, { depth: null }).length < 100, true);
});

test("no getter runs and a proxy that throws is survived", () => {
  let ran = 0;
  const tricky = { get a() { ran++; return 1; }, nested: { get constructor() { ran++; return Object; } } };
  inspect(tricky);
  assert.equal(ran, 0);
  const proxy = new Proxy({}, { ownKeys() { throw new Error("trap"); } });
  assert.equal(inspect(proxy), "[value that cannot be shown: trap]");
});

test("patched prototypes do not break logging", () => {
  const { toString } = Function.prototype;
  const { replaceAll } = String.prototype;
  try {
    Function.prototype.toString = () => { throw new Error("patched"); };
    String.prototype.replaceAll = () => "patched";
    assert.equal(inspect({ f() {}, s: "a" }), "{ f: [Function: f], s: 'a' }");
  } finally {
    Function.prototype.toString = toString;
    String.prototype.replaceAll = replaceAll;
  }
});

test("format specifiers", () => {
  assert.equal(formatLog(["%s %d %i %f %%|%c|%j", "a", "4.5", "4.5", "4.5", "css", { a: 1 }, "rest"]),
    'a 4.5 4 4.5 %||{"a":1} rest');
  assert.equal(formatLog(["%s"]), "%s");
  assert.equal(formatLog(["100%", 1]), "100% 1");
  assert.equal(formatLog(["%x %s", 1]), "%x 1");
  assert.equal(formatLog(["%O", { a: { b: { c: { d: 1 } } } }]), "{ a: { b: { c: { d: 1 } } } }");
  assert.equal(formatLog(["%d %i", 5n, Symbol()]), "5n NaN");
  assert.equal(formatLog(["%s", Symbol("x")]), "Symbol(x)");
  assert.equal(formatLog([1, "a", null, { a: "b" }]), "1 a null { a: 'b' }");
  assert.equal(formatLog([]), "");
  const cycle: Record<string, unknown> = {};
  cycle.c = cycle;
  assert.match(formatLog(["%j", cycle]), /^\[Converting circular structure/);
});

test("levels", () => {
  console.debug("a");
  console.info("b");
  console.log("c");
  console.warn("d");
  console.error("e");
  console.dir({ a: { b: { c: { d: 1 } } } }, { depth: 0 });
  assert.deepEqual(host.takeLogs(), [
    { level: "debug", text: "a" }, { level: "info", text: "b" }, { level: "log", text: "c" },
    { level: "warn", text: "d" }, { level: "error", text: "e" }, { level: "log", text: "{ a: [Object] }" },
  ]);
});

test("assert, count, time, trace", () => {
  console.assert(true, "no");
  console.assert(false);
  console.assert(0, "%s!", "x");
  console.assert(false, { a: 1 });
  assert.deepEqual(texts(), ["Assertion failed", "Assertion failed: x!", "Assertion failed: { a: 1 }"]);
  console.count();
  console.count();
  console.count("n");
  console.countReset();
  console.count();
  console.countReset("absent");
  assert.deepEqual(texts(), ["default: 1", "default: 2", "n: 1", "default: 1", "Count for 'absent' does not exist"]);
  const { now } = host;
  console.time("t");
  console.time("t");
  host.now += 12.5;
  console.timeLog("t", "x", 1);
  host.now += 1500.5;
  console.timeEnd("t");
  console.timeEnd("t");
  host.now = now;
  assert.deepEqual(texts(), ["Label 't' already exists for console.time()", "t: 12.5ms x 1", "t: 1.513s",
    "No such label 't' for console.time()"]);
  console.trace("here %d", 1);
  assert.match(texts()[0]!, /^Trace: here 1\n    at .*console\.test\.ts/);
});

test("groups indent, table draws", () => {
  console.group("g");
  console.log("a\nb");
  console.groupCollapsed();
  console.log("c");
  console.groupEnd();
  console.groupEnd();
  console.groupEnd();
  console.log("d");
  assert.deepEqual(texts(), ["g", "  a\n  b", "    c", "d"]);
  console.table([{ a: 1, b: "x" }, { a: 2 }]);
  assert.equal(texts()[0], [
    "┌─────────┬───┬─────┐", "│ (index) │ a │ b   │", "├─────────┼───┼─────┤", "│ 0       │ 1 │ 'x' │",
    "│ 1       │ 2 │     │", "└─────────┴───┴─────┘",
  ].join("\n"));
  console.table([{ a: 1, b: 2 }], ["b"]);
  assert.equal(texts()[0]!.includes("a"), false);
  console.table(5);
  assert.equal(texts()[0], "5");
});

test("a line has at most 64 KiB, cut between characters", () => {
  console.log("€".repeat(40000));
  const [line] = texts();
  assert.equal(line, "€".repeat(21845));
});

test("methods work on their own, a response shows what it is", () => {
  const { log } = console;
  log(new Response(null, { status: 204 }));
  assert.match(texts()[0]!, /^Response \{\n  status: 204,/);
});
