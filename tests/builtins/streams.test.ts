// SPDX-License-Identifier: Apache-2.0
import { host } from "./mock_ops.ts";
import "./stream_globals.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import { AbortController } from "../../src/builtins/web/abort.ts";
import { Response } from "../../src/builtins/web/response.ts";
import { ReadableStream, streamFromNativeBody, TransformStream, WritableStream } from "../../src/builtins/web/streams.ts";
import { FixedLengthStream, IdentityTransformStream, TextDecoderStream, TextEncoderStream }
  from "../../src/builtins/web/transform_streams.ts";

async function collect<T>(stream: ReadableStream<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const chunk of stream) all.push(chunk);
  return all;
}

test("ReadableStream.from and async iteration", async () => {
  assert.deepEqual(await collect(ReadableStream.from([1, 2, 3])), [1, 2, 3]);
  let cancelled: unknown;
  const stream = new ReadableStream({ pull(c) { c.enqueue(1); }, cancel(reason) { cancelled = reason ?? "end"; } });
  for await (const chunk of stream) {
    assert.equal(chunk, 1);
    break;
  }
  assert.equal(cancelled, "end");
});

test("a native body as a stream: chunks, the end, BYOB, cancel", async () => {
  const chunks = await collect(streamFromNativeBody(host.body(["ab", "", "c"], false)));
  assert.deepEqual(chunks.map((chunk) => Buffer.from(chunk).toString()), ["ab", "c"]);

  const reader = streamFromNativeBody(host.body(["abcde"], false)).getReader({ mode: "byob" });
  const first = await reader.read(new Uint8Array(3));
  assert.equal(Buffer.from(first.value!).toString(), "abc");
  const second = await reader.read(new Uint8Array(3));
  assert.equal(Buffer.from(second.value!).toString(), "de");
  const end = await reader.read(new Uint8Array(3));
  assert.deepEqual([end.done, end.value!.byteLength], [true, 0]);

  const handle = host.body(["x"], false);
  await streamFromNativeBody(handle).cancel("enough");
  assert.equal(host.cancelled.at(-1), handle);
});

test("a native body is pulled only when somebody reads", async () => {
  host.calls.length = 0;
  const stream = streamFromNativeBody(host.body(["x"], false));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(host.calls, []);
  await stream.getReader().read();
  assert.deepEqual(host.calls, ["body_pull"]);
});

test("tee, pipeThrough, pipeTo with back-pressure and errors", async () => {
  const [a, b] = ReadableStream.from(["x", "y"]).tee();
  assert.deepEqual([await collect(a), await collect(b)], [["x", "y"], ["x", "y"]]);
  const upper = new TransformStream<string, string>({ transform(chunk, c) { c.enqueue(chunk.toUpperCase()); } });
  assert.deepEqual(await collect(ReadableStream.from(["x"]).pipeThrough(upper)), ["X"]);
  const sink = new WritableStream({ write() { throw new Error("full"); } });
  await assert.rejects(ReadableStream.from([1, 2]).pipeTo(sink), { message: "full" });
});

test("a pipe is stopped by our own AbortSignal, with our own DOMException", async () => {
  const controller = new AbortController();
  const pipe = new ReadableStream().pipeTo(new WritableStream(), { signal: controller.signal as never });
  controller.abort();
  await assert.rejects(pipe, { name: "AbortError", message: "The operation was aborted", code: 20 });
});

test("IdentityTransformStream carries bytes and strings, one at a time", async () => {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const log: string[] = [];
  const writes = Promise.all([
    writer.write(new Uint8Array([0x61])).then(() => log.push("a")),
    writer.write(new Uint8Array([0x62]).buffer).then(() => log.push("b")),
    writer.write("ü").then(() => log.push("ü")),
    writer.close().then(() => log.push("closed")),
  ]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(log, []);
  const reader = readable.getReader();
  assert.equal(Buffer.from((await reader.read()).value!).toString(), "a");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(log, ["a"]);
  assert.equal(Buffer.from((await reader.read()).value!).toString(), "b");
  assert.equal(Buffer.from((await reader.read()).value!).toString(), "ü");
  assert.equal((await reader.read()).done, true);
  await writes;
  assert.deepEqual(log, ["a", "b", "ü", "closed"]);
});

test("IdentityTransformStream: BYOB, cancel, abort, wrong chunks", async () => {
  const byob = new IdentityTransformStream();
  const writer = byob.writable.getWriter();
  const done = writer.write("abcd").then(() => writer.close());
  const reader = byob.readable.getReader({ mode: "byob" });
  const parts: string[] = [];
  for (let step = await reader.read(new Uint8Array(3)); !step.done; step = await reader.read(new Uint8Array(3))) {
    parts.push(Buffer.from(step.value).toString());
  }
  await done;
  assert.deepEqual(parts, ["abc", "d"]);

  const cancelled = new IdentityTransformStream();
  const pending = cancelled.writable.getWriter().write("x");
  await cancelled.readable.cancel("gone");
  await assert.rejects(async () => {
    await pending;
    await cancelled.writable.getWriter().write("y");
  });

  const aborted = new IdentityTransformStream();
  void aborted.writable.abort(new Error("stop"));
  await assert.rejects(aborted.readable.getReader().read(), { message: "stop" });

  const wrong = new IdentityTransformStream();
  const text = new Response(wrong.readable).text();
  const failure = {
    name: "TypeError",
    message: "This TransformStream is being used as a byte stream, but received an object of " +
      "non-ArrayBuffer/ArrayBufferView type on its writable side.",
  };
  await assert.rejects(wrong.writable.getWriter().write({}), failure);
  await assert.rejects(text, failure);
});

test("FixedLengthStream", async () => {
  const exact = new FixedLengthStream(3n);
  const writer = exact.writable.getWriter();
  const text = new Response(exact.readable).text();
  void writer.write("ab");
  void writer.write("c");
  await writer.close();
  assert.equal(await text, "abc");

  const over = new FixedLengthStream(2);
  const overText = new Response(over.readable).text();
  const tooMany = { name: "TypeError", message: "Attempt to write too many bytes through a FixedLengthStream." };
  await assert.rejects(over.writable.getWriter().write(new Uint8Array(3)), tooMany);
  await assert.rejects(overText, tooMany);

  const under = new FixedLengthStream(2);
  const underText = new Response(under.readable).text();
  const underWriter = under.writable.getWriter();
  await underWriter.write("a");
  const tooFew = { name: "TypeError", message: "FixedLengthStream did not see all expected bytes before close()." };
  await assert.rejects(underWriter.close(), tooFew);
  await assert.rejects(underText, tooFew);

  assert.throws(() => new (FixedLengthStream as unknown as new () => object)(), {
    message: "Failed to construct 'FixedLengthStream': constructor parameter 1 is not of type 'bigint'.",
  });
  assert.throws(() => new FixedLengthStream(-1), { name: "TypeError" });
  assert.equal(new FixedLengthStream(1) instanceof TransformStream, true);
  const plain = new IdentityTransformStream();  // A length that was refused must not stick to the next stream.
  const plainText = new Response(plain.readable).text();
  const plainWriter = plain.writable.getWriter();
  await plainWriter.write("longer than one");
  await plainWriter.close();
  assert.equal(await plainText, "longer than one");
});

test("TextEncoderStream and TextDecoderStream join what chunks cut", async () => {
  const encoded = await collect(ReadableStream.from(["a", "\ud83d", "\ude00", "", "\ud800"]).pipeThrough(new TextEncoderStream()));
  assert.equal(Buffer.concat(encoded).toString(), "a😀\ufffd");
  const bytes = Buffer.from("a€😀");
  const cut = ReadableStream.from([...bytes].map((byte) => new Uint8Array([byte])));
  const decoded = await collect(cut.pipeThrough(new TextDecoderStream() as never));
  assert.equal(decoded.join(""), "a€😀");
  const fatal = new TextDecoderStream("utf-8", { fatal: true });
  await assert.rejects(collect(ReadableStream.from([new Uint8Array([0xe2])]).pipeThrough(fatal as never)), {
    message: "Failed to decode input.",
  });
  assert.deepEqual([fatal.encoding, fatal.fatal, fatal.ignoreBOM], ["utf-8", true, false]);
});
