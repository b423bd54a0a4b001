// SPDX-License-Identifier: Apache-2.0
import "./mock_ops.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import { atob, btoa } from "../../src/builtins/web/base64.ts";
import { TextDecoder, TextEncoder } from "../../src/builtins/web/encoding.ts";

const NodeDecoder = globalThis.TextDecoder;

test("TextEncoder", () => {
  const encoder = new TextEncoder();
  assert.equal(encoder.encoding, "utf-8");
  assert.deepEqual(encoder.encode("aü€😀\ud800"), new globalThis.TextEncoder().encode("aü€😀\ud800"));
  assert.equal(encoder.encode().length, 0);
  assert.equal(encoder.encode(undefined).length, 0);
  const into = new Uint8Array(4);
  assert.deepEqual(encoder.encodeInto("aü€", into), { read: 2, written: 3 });
  assert.throws(() => encoder.encodeInto("x", new Uint16Array(2) as never), {
    message: "Failed to execute 'encodeInto' on 'TextEncoder': parameter 2 is not of type 'Uint8Array'.",
  });
  assert.throws(() => TextEncoder.prototype.encode.call({} as never, "x"), /^TypeError: Illegal invocation/);
});

test("labels", () => {
  const labels: [string, string][] = [[" UTF8\n", "utf-8"], ["latin1", "windows-1252"], ["ascii", "windows-1252"],
    ["utf-16", "utf-16le"], ["UTF-16BE", "utf-16be"], ["iso-8859-1", "windows-1252"]];
  for (const [label, encoding] of labels) assert.equal(new TextDecoder(label).encoding, encoding);
  assert.equal(new TextDecoder().encoding, "utf-8");
  assert.throws(() => new TextDecoder("foo"), { name: "RangeError", message: '"foo" is not a valid encoding.' });
});

const kSamples: number[][] = [
  [], [0x61], [0xc3, 0xbc], [0xe2, 0x82, 0xac], [0xf0, 0x9f, 0x98, 0x80], [0xff], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98],
  [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80], [0xc0, 0x80], [0x80, 0x80],
  [0xef, 0xbb, 0xbf, 0x61], [0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf], [0xef, 0xbb], [0x61, 0xe2, 0x61], [0xf0, 0x61, 0x9f],
  [0xff, 0xfe, 0x61, 0x00], [0x3d, 0xd8, 0x00, 0xde], [0x3d, 0xd8], [0x00, 0xde, 0x61, 0x00], [0x61, 0x00, 0x62],
  [0xd8, 0x3d, 0xde, 0x00], [0xd8, 0x3d, 0x00], [0x3d, 0xd8, 0x61], [0x80, 0x81, 0x9f, 0xa0, 0xff, 0x41],
];

function attempt(decode: () => string): string {
  try {
    return decode();
  } catch (error) {
    return (error as Error).name;
  }
}

test("decoding, whole and in every cut, agrees with another decoder", () => {
  for (const encoding of ["utf-8", "utf-16le", "utf-16be", "windows-1252"]) {
    for (const fatal of [false, true]) {
      for (const ignoreBOM of [false, true]) {
        for (const sample of kSamples) {
          const bytes = new Uint8Array(sample);
          const options = { fatal, ignoreBOM };
          const what = `${encoding} ${JSON.stringify(options)} ${sample}`;
          const theirs = attempt(() => new NodeDecoder(encoding, options).decode(bytes));
          assert.equal(attempt(() => new TextDecoder(encoding, options).decode(bytes)), theirs, what);
          for (let first = 0; first <= bytes.length; first++) {
            for (let second = first; second <= bytes.length; second++) {
              const decoder = new TextDecoder(encoding, options);
              const parts = attempt(() =>
                decoder.decode(bytes.subarray(0, first), { stream: true }) +
                decoder.decode(bytes.subarray(first, second), { stream: true }) +
                decoder.decode(bytes.subarray(second)));
              assert.equal(parts, theirs, `${what} cut at ${first}, ${second}`);
            }
          }
        }
      }
    }
  }
});

test("a truncated character is an error as soon as it is known", () => {
  const decoder = new TextDecoder();
  assert.equal(decoder.decode(new Uint8Array([0xe2, 0x61]), { stream: true }), "\ufffda");
  assert.equal(decoder.decode(new Uint8Array([0xed, 0xa0]), { stream: true }), "\ufffd\ufffd");
  assert.equal(decoder.decode(new Uint8Array([0xe2, 0x82]), { stream: true }), "");
  assert.equal(decoder.decode(), "\ufffd");
  assert.equal(decoder.decode(new Uint8Array([0x61])), "a");
});

test("a decoder can be used again after an error", () => {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const failed = { name: "TypeError", message: "Failed to decode input." };
  assert.throws(() => decoder.decode(new Uint8Array([0xff])), failed);
  assert.throws(() => decoder.decode(new Uint8Array([0x61, 0xff, 0xc3]), { stream: true }), failed);
  assert.equal(decoder.decode(new Uint8Array([0x62])), "b");
});

test("what decode takes", () => {
  const bytes = new Uint8Array([1, 0x61, 0x62, 2]);
  assert.equal(new TextDecoder().decode(bytes.subarray(1, 3)), "ab");
  assert.equal(new TextDecoder().decode(new DataView(bytes.buffer, 1, 2)), "ab");
  assert.equal(new TextDecoder().decode(bytes.buffer.slice(1, 3)), "ab");
  assert.equal(new TextDecoder().decode(), "");
  for (const value of ["x", null, Object.create(ArrayBuffer.prototype)]) {
    assert.throws(() => new TextDecoder().decode(value as never), {
      message: "Failed to execute 'decode' on 'TextDecoder': parameter 1 is not of type 'Array'.",
    });
  }
});

test("atob and btoa", () => {
  const all = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  assert.equal(btoa(all), globalThis.btoa(all));
  assert.equal(atob(btoa(all)), all);
  for (const text of ["", " ", "YQ==", "YQ", " Y Q = = ", "YWI=", "YWI", "YWJj", "YR==", "\tYQ\n\f\r"]) {
    assert.equal(atob(text), globalThis.atob(text), JSON.stringify(text));
  }
  const invalid = { name: "InvalidCharacterError", code: 5, message: /^atob\(\) called with invalid base64-encoded data\./ };
  for (const text of ["a", "*", "YQ=", "YQ===", "=", "YQ==YQ==", "YWI==", "-_", "Y\vQ", "ü"]) {
    assert.throws(() => globalThis.atob(text));
    assert.throws(() => atob(text), invalid, JSON.stringify(text));
  }
  assert.throws(() => btoa("€"), {
    name: "InvalidCharacterError",
    message: "btoa() can only operate on characters in the Latin1 (ISO/IEC 8859-1) range.",
  });
});
