// SPDX-License-Identifier: Apache-2.0
//
// The native calls: what C++ offers is what TypeScript declares, no more and no less (the two are written by hand).
import { host } from "./mock_ops.ts";

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

// Not calls: arrays that the bundle's first lines make, for second results.
const kArrays = ["url_components", "text_result"];
// Called by the bundle's first lines only.
const kOfTheBundle = ["part"];
// Where a whole context is at hand only: the test of the bundle has its own.
const kOfTheContext = ["lazy_global"];

function implemented(): string[] {
  const names: string[] = [];
  for (const file of readdirSync(new URL("src/runner/bindings/", root))) {
    if (!file.endsWith("_ops.cc")) continue;
    const table = /kOps = (?:\{\{|std::to_array<Op>\(\{)\n([^]*?)\n\}[})];?/.exec(read(`src/runner/bindings/${file}`));
    assert.ok(table, `${file} has no table of operations`);
    for (const [, name] of table[1]!.matchAll(/\{"(\w+)", \w+\}/g)) names.push(name!);
  }
  return names.sort();
}

function declared(path: string): string[] {
  return [...read(path).matchAll(/^  (?:readonly )?(\w+)(?:\(|: Uint32Array)/gm)].map(([, name]) => name!);
}

test("what is declared is what is implemented", () => {
  const names = [...declared("src/builtins/internal/ops.d.ts"), ...declared("src/builtins/runtime/ops.d.ts"),
    ...declared("src/builtins/runtime/storage/ops.d.ts")];
  assert.equal(new Set(names).size, names.length, "a name is declared twice");
  assert.deepEqual(names.filter((name) => !kArrays.includes(name)).sort(), implemented().filter((name) => !kOfTheBundle.includes(name)));
});

test("no name is implemented twice", () => {
  const names = implemented();
  assert.equal(new Set(names).size, names.length, names.join());
  assert.ok(names.length > 40, `${names.length} operations: were the tables read?`);
});

test("the stand-in of these tests has every call of the web classes", () => {
  const standIn = (globalThis as unknown as { ops: Record<string, unknown> }).ops;
  const missing = declared("src/builtins/internal/ops.d.ts").filter((name) => !(name in standIn));
  assert.deepEqual(missing, kOfTheContext);
  assert.equal(typeof host.takeLogs, "function");
});
