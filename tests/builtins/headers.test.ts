// SPDX-License-Identifier: Apache-2.0
import "./mock_ops.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import { blockOf, Headers, headersFromBlock } from "../../src/builtins/web/headers.ts";

const kBlock = "host\0a.example\0accept\0*/*\0x-n\x001\0x-n\x002\0";

test("a block that nobody changes goes out as the very same string", () => {
  const headers = headersFromBlock(kBlock, "immutable");
  assert.equal(headers.get("ACCEPT"), "*/*");
  assert.equal(headers.get("x-n"), "1, 2");
  assert.equal(headers.get("absent"), null);
  assert.equal(blockOf(headers), kBlock);
  assert.equal(blockOf(new Headers(headers)), kBlock);
});

test("incoming headers are immutable, their copy is not", () => {
  const headers = headersFromBlock(kBlock, "immutable");
  const refused = { name: "TypeError", message: "Can't modify immutable headers." };
  assert.throws(() => headers.set("a", "b"), refused);
  assert.throws(() => headers.append("a", "b"), refused);
  assert.throws(() => headers.delete("host"), refused);
  const copy = new Headers(headers);
  copy.set("X-N", "3");
  assert.equal(blockOf(copy), "host\0a.example\0accept\0*/*\0x-n\x003\0");
  assert.equal(headers.get("x-n"), "1, 2");
});

test("set, append, delete, has", () => {
  const headers = new Headers();
  headers.append("A", " 1\t");
  headers.append("a", "2");
  assert.equal(headers.get("a"), "1, 2");
  headers.set("a", "3");
  assert.equal(headers.get("A"), "3");
  assert.equal(headers.has("a"), true);
  headers.delete("A");
  assert.equal(headers.has("a"), false);
  assert.equal(blockOf(headers), "");
});

test("iteration is sorted, lower case, and keeps set-cookie apart", () => {
  const headers = new Headers([["set-cookie", "a"], ["b", "1"], ["Set-Cookie", "b"], ["B", "2"], ["a", "0"]]);
  assert.deepEqual([...headers], [["a", "0"], ["b", "1, 2"], ["set-cookie", "a"], ["set-cookie", "b"]]);
  assert.deepEqual([...headers.keys()], ["a", "b", "set-cookie", "set-cookie"]);
  assert.deepEqual([...headers.values()], ["0", "1, 2", "a", "b"]);
  assert.deepEqual(headers.getSetCookie(), ["a", "b"]);
  assert.deepEqual(headers.getAll("Set-Cookie"), ["a", "b"]);
  assert.throws(() => headers.getAll("b"), { message: 'getAll() can only be used with the header name "Set-Cookie".' });
  const seen: string[] = [];
  headers.forEach(function (this: unknown, value, name, all) {
    assert.equal(this, seen);
    assert.equal(all, headers);
    seen.push(`${name}=${value}`);
  }, seen);
  assert.deepEqual(seen, ["a=0", "b=1, 2", "set-cookie=a", "set-cookie=b"]);
});

test("every form of init", () => {
  assert.equal(new Headers({ a: "1", A: "2" }).get("a"), "1, 2");
  assert.equal(new Headers(new Map([["x", "y"]])).get("x"), "y");
  assert.equal(new Headers({ a: 1 as unknown as string }).get("a"), "1");
  assert.equal(new Headers(undefined).get("a"), null);
  const bad = "Failed to construct 'Headers': constructor parameter 1 is not of type 'Headers or Sequence or object'.";
  for (const value of [null, 1, "x"]) {
    assert.throws(() => new Headers(value as never), { name: "TypeError", message: bad });
  }
  assert.throws(() => new Headers([["a"]]), {
    message: "To initialize a Headers object from a sequence, each inner sequence must have exactly two elements.",
  });
  assert.throws(() => new Headers([1] as never), {
    message: "Incorrect type: the provided value is not of type 'Sequence'.",
  });
});

test("names and values", () => {
  assert.equal(new Headers({ "": "x" }).get(""), "x");
  assert.equal(new Headers({ "ü": "x" }).get("ü"), "x");
  assert.throws(() => blockOf(new Headers({ "ü": "x" })), /Invalid header name: "ü" cannot be sent/);
  assert.throws(() => new Headers({ "a b": "x" }), { name: "TypeError", message: "Invalid header name." });
  for (const value of ["x\ny", "x\0y", "x\x01y"]) {
    assert.throws(() => new Headers({ a: value }), { name: "TypeError", message: "Invalid header value." });
  }
  assert.equal(new Headers({ a: "x\ty" }).get("a"), "x\ty");
  assert.equal(new Headers({ a: "\r\n x \n" }).get("a"), "x");
});

test("a method on something else is an illegal invocation", () => {
  assert.throws(() => Headers.prototype.get.call({} as never, "a"), {
    name: "TypeError",
    message: /^Illegal invocation: function called with incorrect `this` reference\./,
  });
});

test("the shape of the interface", () => {
  assert.equal(Object.prototype.toString.call(new Headers()), "[object Headers]");
  assert.equal(Object.prototype.toString.call(new Headers().keys()), "[object Headers Iterator]");
  assert.equal(Headers.length, 0);
  assert.equal(Headers.prototype[Symbol.iterator], Headers.prototype.entries);
  assert.equal(Object.getOwnPropertyDescriptor(Headers.prototype, "get")!.enumerable, true);
  assert.equal("fromBlock" in Headers, false);
});

test("patched prototypes do not change what goes out", () => {
  const { split, toLowerCase } = String.prototype;
  const { join, push } = Array.prototype;
  const { exec } = RegExp.prototype;
  try {
    String.prototype.split = () => ["evil"];
    String.prototype.toLowerCase = () => "evil";
    Array.prototype.join = () => "evil";
    Array.prototype.push = () => 0;
    RegExp.prototype.exec = () => null;
    const headers = new Headers(headersFromBlock(kBlock, "none"));
    headers.set("X-Custom-One", "1");
    const block = blockOf(headers);
    const { length } = block;
    assert.equal(length, kBlock.length + "x-custom-one".length + 3);
  } finally {
    String.prototype.split = split;
    String.prototype.toLowerCase = toLowerCase;
    Array.prototype.join = join;
    Array.prototype.push = push;
    RegExp.prototype.exec = exec;
  }

});

test("names are checked and lowered alike, known, learned or beyond what is learned", () => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 400; i++) {
      const headers = new Headers({ [`X-Name-${i}`]: "v" });
      assert.equal(blockOf(headers), `x-name-${i}\0v\0`);
      assert.throws(() => headers.set(`X Name ${i}`, "v"), { message: "Invalid header name." });
    }
  }
});

test("many fields go out in order", () => {
  const headers = new Headers();
  let expected = "";
  for (let i = 0; i < 40; i++) {
    headers.append("n", `${i}`);
    expected += `n\0${i}\0`;
    assert.equal(blockOf(headers), expected);
  }
});
