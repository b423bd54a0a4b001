// SPDX-License-Identifier: Apache-2.0
import { host } from "./mock_ops.ts";
import "./stream_globals.ts";

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { abortRequest, cfTextOf, Request, redirectOf, requestFromHost, requestHeadersBlockOf, signalOf, toRequest, urlOf }
  from "../../src/builtins/web/request.ts";
import { Response, responseFromHost, responseHeadersBlockOf } from "../../src/builtins/web/response.ts";
import { AbortController, AbortSignal } from "../../src/builtins/web/abort.ts";
import { Blob, File } from "../../src/builtins/web/blob.ts";
import { Body, bodyOf, takeBodyForSend } from "../../src/builtins/web/body.ts";
import { FormData } from "../../src/builtins/web/form_data.ts";
import { Headers } from "../../src/builtins/web/headers.ts";
import { ReadableStream } from "../../src/builtins/web/streams.ts";
import { FixedLengthStream } from "../../src/builtins/web/transform_streams.ts";
import { URLSearchParams } from "../../src/builtins/web/url_search_params.ts";

const kUsed = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice.";
const kUrl = "https://a.example/x?y=1";
const post = (body: unknown, more: object = {}): Request =>
  new Request(kUrl, { method: "POST", body: body as never, ...more });

beforeEach(() => {
  host.inInvocation = true;
  host.calls.length = 0;
});

test("hot path: a small response calls nothing and makes no stream", () => {
  const response = new Response("hello", { status: 201, headers: { "X-A": "1" } });
  const state = bodyOf(response);
  assert.equal(state.kind, "text");
  assert.equal(state.view, null);
  assert.equal(responseHeadersBlockOf(response), "x-a\x001\0content-type\0text/plain;charset=UTF-8\0");
  assert.deepEqual(takeBodyForSend(response), { kind: "text", text: "hello" });
  assert.deepEqual(host.calls, []);
});

test("hot path: an incoming request calls nothing and keeps its block", async () => {
  const block = "host\0a\0cookie\0k=v\0";
  const request = requestFromHost("POST", kUrl, block, host.body(["{\"a\":", "1}"], true), '{"colo":"X"}');
  assert.equal(request.method, "POST");
  assert.equal(request.url, kUrl);
  assert.equal(request.redirect, "manual");
  assert.equal(request.headers.get("Cookie"), "k=v");
  assert.equal(requestHeadersBlockOf(request), block);
  assert.equal(cfTextOf(request), '{"colo":"X"}');
  assert.deepEqual(host.calls, []);
  assert.deepEqual(request.cf, { colo: "X" });
  assert.equal(bodyOf(request).view, null);
  assert.deepEqual(await request.json(), { a: 1 });
  assert.deepEqual(host.calls, ["body_take_text"]);
  assert.equal(request.bodyUsed, true);
});

test("a body passed on is never read, also when somebody looked at it", () => {
  const handle = host.body(["x"], false);
  const upstream = responseFromHost(203, "Odd", "a\x001\0", handle, kUrl, true);
  assert.equal(upstream.redirected, true);
  assert.equal(upstream.statusText, "Odd");
  const response = new Response(upstream.body, upstream);
  assert.equal(response.status, 203);
  assert.equal(responseHeadersBlockOf(response), "a\x001\0");
  assert.deepEqual(takeBodyForSend(response), { kind: "native", handle });
  assert.equal(upstream.bodyUsed, true);
  assert.deepEqual(host.calls, []);
});

test("text, bytes, arrayBuffer, json, blob of each kind of body", async () => {
  const bytes = new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d]);  // BOM {}
  const makers: [string, () => Response][] = [
    ["text", () => new Response("\ufeff{}")],
    ["bytes", () => new Response(bytes)],
    ["view", () => new Response(new DataView(bytes.buffer))],
    ["buffer", () => new Response(bytes.buffer)],
    ["blob", () => new Response(new Blob([bytes]))],
    ["native, complete", () => responseFromHost(200, "", "", host.body([bytes], true), "", false)],
    ["native, stream", () => responseFromHost(200, "", "", host.body([bytes.slice(0, 2), bytes.slice(2)], false), "", false)],
    ["stream", () => new Response(new ReadableStream({ start(c) { c.enqueue(bytes.slice()); c.close(); } }))],
    ["iterable", () => new Response((async function* () { yield bytes.slice(); })() as never)],
  ];
  for (const [name, make] of makers) {
    assert.equal(await make().text(), "{}", name);
    assert.deepEqual(await make().json(), {}, name);
    assert.deepEqual(await make().bytes(), bytes, name);
    assert.deepEqual(new Uint8Array(await make().arrayBuffer()), bytes, name);
    assert.equal((await make().blob()).size, 5, name);
    const viaStream = new Response(make().body);
    assert.deepEqual(await viaStream.bytes(), bytes, name);
    const reader = make().body!.getReader();
    const chunks: number[] = [];
    for (let step = await reader.read(); !step.done; step = await reader.read()) chunks.push(...step.value);
    assert.deepEqual(chunks, [...bytes], name);
  }
});

test("bytes given to a body are copied", async () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const response = new Response(bytes);
  bytes[0] = 9;
  assert.deepEqual(await response.bytes(), new Uint8Array([1, 2, 3]));
});

test("a body is used once", async () => {
  const response = new Response("x");
  assert.equal(response.bodyUsed, false);
  await response.text();
  assert.equal(response.bodyUsed, true);
  await assert.rejects(response.text(), { name: "TypeError", message: kUsed });
  assert.throws(() => response.clone(), { name: "TypeError", message: kUsed });
  assert.throws(() => takeBodyForSend(response), { name: "TypeError", message: kUsed });
  assert.throws(() => new Response(response.body), {
    message: "This ReadableStream is disturbed (has already been read from), and cannot be used as a body.",
  });
  const locked = new Response("x");
  locked.body!.getReader();
  await assert.rejects(locked.text(), { message: "This ReadableStream is currently locked to a reader." });
  assert.throws(() => new Response(locked.body), {
    message: "This ReadableStream is locked to a reader, and cannot be used as a body.",
  });
  const empty = new Response(null);
  assert.equal(await empty.text(), "");
  assert.equal(await empty.text(), "");
  assert.equal(empty.bodyUsed, false);
  assert.equal(empty.body, null);
});

test("clone of text, complete native and streaming bodies", async () => {
  const text = new Response("x", { headers: { a: "1" } });
  const copy = text.clone();
  assert.equal(copy.headers.get("a"), "1");
  copy.headers.set("a", "2");
  assert.equal(text.headers.get("a"), "1");
  assert.deepEqual([await text.text(), await copy.text()], ["x", "x"]);

  host.calls.length = 0;
  const native = requestFromHost("POST", kUrl, "", host.body(["abc"], true), "");
  const second = native.clone();
  assert.deepEqual(host.calls, ["body_copy"]);
  assert.deepEqual([await native.text(), await second.text()], ["abc", "abc"]);

  const stream = responseFromHost(200, "", "", host.body(["a", "b"], false), "", false);
  const other = stream.clone();
  assert.deepEqual(await Promise.all([stream.text(), other.text()]), ["ab", "ab"]);

  const bytes = new Response(new Uint8Array([1]));
  const twin = bytes.clone();
  (await bytes.bytes())[0] = 9;
  assert.deepEqual(await twin.bytes(), new Uint8Array([1]));
});

test("content types", () => {
  const typeOf = (body: unknown, headers?: object): string | null =>
    new Response(body as never, headers === undefined ? null : { headers: headers as never }).headers.get("content-type");
  assert.equal(typeOf("x"), "text/plain;charset=UTF-8");
  assert.equal(typeOf("x", { "Content-Type": "text/html" }), "text/html");
  assert.equal(typeOf(new Uint8Array(1)), null);
  assert.equal(typeOf(new URLSearchParams("a=1")), "application/x-www-form-urlencoded;charset=UTF-8");
  assert.equal(typeOf(new Blob(["x"], { type: "Image/PNG" })), "image/png");
  assert.match(typeOf(new FormData())!, /^multipart\/form-data; boundary=----insula[0-9a-f]{32}$/);
  assert.equal(typeOf(null), null);
});

test("status", () => {
  const range = {
    name: "RangeError",
    message: "Responses may only be constructed with status codes in the range 200 to 599, inclusive.",
  };
  for (const status of [99, 101, 600, "abc"]) assert.throws(() => new Response("x", { status: status as never }), range);
  const withBody = {
    name: "TypeError",
    message: "Response with null body status (101, 204, 205, or 304) cannot have a body.",
  };
  for (const status of [204, 205, 304]) {
    assert.throws(() => new Response("x", { status }), withBody);
    assert.equal(new Response(null, { status }).status, status);
  }
  assert.equal(new Response("", { status: 204 }).status, 204);
  assert.equal(new Response("", { status: 299 }).ok, true);
  assert.equal(new Response("", { status: 300 }).ok, false);
  assert.equal(new Response("x", { statusText: "ü" }).statusText, "ü");
  assert.throws(() => new Response("x", { statusText: "a\nb" }), { message: "Invalid statusText" });
});

test("other members of ResponseInit", () => {
  assert.equal(new Response("x", { webSocket: null }).webSocket, null);
  assert.throws(() => new Response("x", { webSocket: 1 as never }), {
    message: "Incorrect type for the 'webSocket' field on 'InitializerDict': the provided value is not of type 'WebSocket'.",
  });
  assert.throws(() => new Response("x", { encodeBody: "foo" as never }), {
    message: "encodeBody: unexpected value: foo",
  });
  assert.throws(() => new Response("x", 1 as never), {
    message: "Failed to construct 'Response': constructor parameter 2 is not of type 'InitializerDict or Response'.",
  });
  assert.deepEqual(new Response("x", { cf: { a: 1 } }).cf, { a: 1 });
  assert.throws(() => new Response(Symbol() as never), { name: "TypeError" });
  assert.throws(() => new Body(), { name: "TypeError", message: "Illegal constructor" });
});

test("Response.json, redirect, error", async () => {
  assert.equal(await Response.json({ a: 1 }).text(), '{"a":1}');
  assert.equal(Response.json(1).headers.get("content-type"), "application/json");
  assert.equal(Response.json(1, { headers: { "content-type": "x/y" } }).headers.get("content-type"), "x/y");
  assert.equal(await Response.json(undefined).text(), "undefined");
  assert.throws(() => Response.json({ a: 1n }), { name: "TypeError" });
  const redirect = Response.redirect("http://a/b", 301);
  assert.equal(redirect.status, 301);
  assert.equal(redirect.headers.get("location"), "http://a/b");
  assert.equal(Response.redirect("http://a/b").status, 302);
  assert.throws(() => Response.redirect("/b"), { name: "TypeError", message: "Unable to parse URL: /b" });
  assert.throws(() => Response.redirect("http://a/", 200), {
    name: "RangeError",
    message: "200 is not a redirect status code. It must be one of: 301, 302, 303, 307, or 308.",
  });
  assert.equal(Response.error().type, "error");
  assert.equal(Response.error().status, 0);
});

test("Request: URL and method", () => {
  assert.throws(() => new Request("/x"), { name: "TypeError", message: "Invalid URL: /x" });
  assert.equal(new Request("http://a").url, "http://a/");
  assert.equal(new Request("http://a", { method: "patch" }).method, "PATCH");
  assert.throws(() => new Request("http://a", { method: "FOO" }), { message: "Invalid HTTP method string: FOO" });
  assert.throws(() => new Request("http://a", { method: "CONNECT" }), { message: "Invalid HTTP method string: CONNECT" });
  const noBody = { name: "TypeError", message: "Request with a GET or HEAD method cannot have a body." };
  assert.throws(() => new Request("http://a", { body: "x" }), noBody);
  assert.throws(() => new Request("http://a", { method: "HEAD", body: "x" }), noBody);
  assert.equal(new Request("http://a", { body: null }).body, null);
});

test("Request: redirect, cache, cf, signal, fetcher", () => {
  const invalid = /^Invalid redirect value, must be one of "follow" or "manual"/;
  assert.throws(() => new Request("http://a", { redirect: "error" as never }), { name: "TypeError", message: invalid });
  assert.equal(new Request("http://a").redirect, "follow");
  assert.equal(redirectOf(new Request("http://a", { redirect: "manual" })), "manual");
  assert.equal(new Request("http://a", { cache: "no-store" }).cache, "no-store");
  assert.throws(() => new Request("http://a", { cache: "foo" as never }), { message: "Unsupported cache mode: foo" });
  const request = new Request("http://a", { cf: { x: [1] }, fetcher: 7 });
  assert.equal(cfTextOf(request), '{"x":[1]}');
  assert.equal(request.fetcher, null);
  assert.throws(() => new Request("http://a", { cf: 1 as never }), {
    message: "Incorrect type for the 'cf' field on 'RequestInitializerDict': the provided value is not of type 'Object'.",
  });
  assert.equal(signalOf(new Request("http://a")), null);
  const controller = new AbortController();
  const abortable = new Request("http://a", { signal: controller.signal });
  assert.equal(abortable.signal.aborted, false);
  controller.abort();
  assert.equal(abortable.signal.aborted, true);
  assert.equal(new Request("http://a", { signal: AbortSignal.abort() }).signal.aborted, true);
  assert.throws(() => new Request("http://a", { signal: 1 as never }), {
    message:
      "Incorrect type for the 'signal' field on 'RequestInitializerDict': the provided value is not of type 'AbortSignal'.",
  });
});

test("the signal of an incoming request, asked for before and after the client left", () => {
  const before = requestFromHost("GET", kUrl, "", 0, "");
  const { signal } = before;
  abortRequest(before);
  assert.equal(signal.aborted, true);
  const after = requestFromHost("GET", kUrl, "", 0, "");
  abortRequest(after, "gone");
  assert.equal(signalOf(after)!.reason, "gone");
});

test("a request from a request", async () => {
  const first = post("x", { headers: { a: "1" }, cf: { n: 1 } });
  const second = new Request(first);
  assert.equal(first.bodyUsed, true);
  assert.equal(second.headers.get("a"), "1");
  assert.equal(await second.text(), "x");
  assert.throws(() => new Request(first), { name: "TypeError", message: "Cannot reconstruct a Request with a used body." });
  const third = new Request(first, { body: "y" });
  assert.equal(await third.text(), "y");
  assert.equal(third.url, kUrl);
  const moved = new Request("http://b/", post("z", { headers: { c: "3" } }));
  assert.deepEqual([moved.method, moved.url, moved.headers.get("c"), await moved.text()], ["POST", "http://b/", "3", "z"]);
  const incoming = requestFromHost("GET", kUrl, "a\x001\0", 0, "");
  const changed = new Request(incoming, { headers: { b: "2" } });
  assert.equal(requestHeadersBlockOf(changed), "b\x002\0");
  const same = new Request("http://c/", incoming);
  same.headers.set("a", "2");
  assert.equal(incoming.headers.get("a"), "1");
  assert.equal(urlOf(toRequest(incoming, undefined)), kUrl);
  assert.equal(toRequest(incoming, undefined), incoming);
});

test("illegal invocations", async () => {
  const illegal = /^Illegal invocation: function called with incorrect `this` reference\./;
  await assert.rejects(Request.prototype.text.call({} as never), { name: "TypeError", message: illegal });
  await assert.rejects(Response.prototype.text.call(1 as never), { name: "TypeError", message: illegal });
  const status = Object.getOwnPropertyDescriptor(Response.prototype, "status")!.get!;
  assert.throws(() => status.call({}), { name: "TypeError", message: illegal });
  assert.throws(() => status.call(new Request("http://a")), { name: "TypeError", message: illegal });
});

test("a stream that gives something else than bytes", async () => {
  const stream = new ReadableStream({ start(c) { c.enqueue("abc"); c.close(); } });
  await assert.rejects(new Response(stream as never).text(), {
    name: "TypeError",
    message: "This ReadableStream did not return bytes.",
  });
});

test("a native stream that fails rejects, one that is cancelled is told to the host", async () => {
  const failing = responseFromHost(200, "", "", host.body(["a"], false, new Error("gone")), "", false);
  await assert.rejects(failing.text(), { message: "gone" });
  const handle = host.body(["a", "b"], false);
  const response = responseFromHost(200, "", "", handle, "", false);
  await response.body!.cancel();
  assert.equal(host.cancelled.at(-1), handle);
  assert.equal(response.bodyUsed, true);
});

test("a promised length goes with the body", () => {
  const { readable } = new FixedLengthStream(5);
  const body = takeBodyForSend(new Response(readable));
  assert.equal(body.kind === "stream" && body.length, 5);
  const open = takeBodyForSend(new Response(new ReadableStream()));
  assert.equal(open.kind === "stream" && open.length, -1);
});

test("a form goes out as multipart and comes back", async () => {
  const form = new FormData();
  form.append("a", "1\n2");
  form.append('q"\r\n', "ü");
  form.append("f", new File(["\r\n--x"], 'n"ü.txt', { type: "text/x" }));
  form.append("b", new Blob([new Uint8Array([0, 255])]));
  const back = await new Response(form).formData();
  assert.deepEqual([...back.keys()], ["a", 'q"\r\n', "f", "b"]);
  assert.equal(back.get("a"), "1\r\n2");
  assert.equal(back.get('q"\r\n'), "ü");
  const file = back.get("f") as File;
  assert.deepEqual([file.name, file.type, await file.text()], ['n"ü.txt', "text/x", "\r\n--x"]);
  const blob = back.get("b") as File;
  assert.deepEqual([blob.name, blob.type, await blob.bytes()], ["b", "application/octet-stream", new Uint8Array([0, 255])]);
});

test("forms of others, and their errors", async () => {
  const parse = (text: string, type: string): Promise<FormData> =>
    new Response(text, { headers: { "content-type": type } }).formData();
  const urlencoded = await parse("a=1&b=%C3%BC+x&a=2", "application/x-www-form-urlencoded; charset=UTF-8");
  assert.deepEqual([...urlencoded], [["a", "1"], ["b", "ü x"], ["a", "2"]]);
  const multipart = await parse(
    'preamble\r\n--B \r\nCONTENT-disposition: form-data; filename="f"; name=n\r\n\r\n\r\n--B\r\n' +
      'Content-Disposition: form-data; name="e"\r\n\r\nv\r\n--B--\r\ntail', 'Multipart/Form-Data; boundary="B"');
  assert.deepEqual([...multipart.keys()], ["n", "e"]);
  assert.equal((multipart.get("n") as File).size, 0);
  assert.equal(multipart.get("e"), "v");
  assert.deepEqual([...(await parse("--B--", "multipart/form-data; boundary=B"))], []);
  await assert.rejects(parse("x", "text/plain"), { name: "TypeError", message: /^Unrecognized Content-Type header value\./ });
  await assert.rejects(parse("x", "multipart/form-data"), { message: /^No boundary string in Content-Type header\./ });
  await assert.rejects(parse("x", "multipart/form-data; boundary=a"), {
    message: "No initial boundary string (or you have a truncated message).",
  });
  for (const text of ["--B", "--B\r\n", "--B\r\nContent-Disposition: form-data; name=a\r\n\r\nv", "--Bx\r\n\r\n\r\n--B--",
    "--B\r\n\r\nv\r\n--B--"]) {
    await assert.rejects(parse(text, "multipart/form-data; boundary=B"), { name: "TypeError" }, text);
  }
});

test("a form can be built in global scope, where nothing is random", async () => {
  host.inInvocation = false;
  const form = new FormData();
  form.set("a", "1");
  const response = new Response(form);
  assert.match(response.headers.get("content-type")!, /boundary=----insula0+\d$/);
  assert.equal((await response.formData()).get("a"), "1");
});

test("FormData itself", () => {
  const form = new FormData();
  assert.throws(() => (form.append as (name: string) => void)("a"), {
    message: "Failed to execute 'append' on 'FormData': parameter 2 is not of type 'File or Blob or string'.",
  });
  form.append("a", "1");
  form.append("b", "2");
  form.append("a", "3");
  assert.deepEqual(form.getAll("a"), ["1", "3"]);
  form.set("a", "4");
  assert.deepEqual([...form], [["a", "4"], ["b", "2"]]);
  form.delete("a");
  assert.equal(form.has("a"), false);
  assert.equal(form.get("a"), null);
  form.set("f", new Blob(["x"]), "name.txt");
  assert.equal((form.get("f") as File).name, "name.txt");
  const kept = new File(["y"], "y.txt");
  form.set("f", kept);
  assert.equal(form.get("f"), kept);
});

test("Blob and File", async () => {
  const blob = new Blob(["aü", new Uint8Array([65, 66]).subarray(1), new Blob(["c"]), 1 as never], { type: "Text/Plain" });
  assert.equal(blob.type, "text/plain");
  assert.equal(await blob.text(), "aüBc1");
  assert.equal(blob.size, 6);
  assert.equal(await blob.slice(-2).text(), "c1");
  assert.equal(await blob.slice(3, 4, "x/Y").text(), "B");
  assert.equal(blob.slice(0, 1, "x/Y").type, "x/y");
  assert.equal(await new Response(blob.stream()).text(), "aüBc1");
  assert.equal(blob.slice(5, 2).size, 0);
  assert.throws(() => new Blob("x" as never), {
    message: "Failed to construct 'Blob': constructor parameter 1 is not of type 'Array'.",
  });
  const file = new File(["a"], "n");
  assert.equal(file.lastModified, host.now);
  assert.equal(new File([], "n", { lastModified: 5 }).lastModified, 5);
  assert.equal(file instanceof Blob, true);
  assert.throws(() => new (File as unknown as new (parts: string[]) => File)(["a"]), {
    message: "Failed to construct 'File': constructor parameter 2 is not of type 'string'.",
  });
});

test("Headers given to a response are copied", () => {
  const headers = new Headers({ a: "1" });
  const response = new Response(null, { headers });
  headers.set("a", "2");
  assert.equal(response.headers.get("a"), "1");
  response.headers.set("a", "3");
  assert.equal(headers.get("a"), "2");
});
