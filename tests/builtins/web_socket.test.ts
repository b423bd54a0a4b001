// SPDX-License-Identifier: Apache-2.0
//
// A WebSocketPair within one isolate: what is delivered when, in which turn, and how an end breaks.
import { host } from "./mock_ops.ts";

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Response } from "../../src/builtins/web/response.ts";
import { adoptSocketHost, isWebSocket } from "../../src/builtins/web/sockets_later.ts";
import { fireTimer } from "../../src/builtins/web/timers.ts";
import { endForUse, type WebSocket } from "../../src/builtins/web/web_socket.ts";

const asked: [string, string][] = [];
let answer: (() => Promise<Response>) | undefined;
const rules = { repliesToClose: true, givesBlobs: false, limitsReasons: true };
adoptSocketHost({
  get repliesToClose() { return rules.repliesToClose; },
  get givesBlobs() { return rules.givesBlobs; },
  get limitsReasons() { return rules.limitsReasons; },
  ownerHere: () => host.invocation,
  requireOwner(invocation) {
    if (invocation !== host.invocation) throw new Error("another request's");
  },
  connect: (url, protocols) => {
    asked.push([url, protocols]);
    return answer!();
  },
  pack: (value) => new TextEncoder().encode(JSON.stringify(value)),
  unpack: (bytes) => JSON.parse(new TextDecoder().decode(bytes)),
});
const { WebSocketPair } = parts.sockets();

beforeEach(() => {
  Object.assign(rules, { repliesToClose: true, givesBlobs: false, limitsReasons: true });
  host.invocation = 1;
  host.timers.clear();
  host.takeLogs();
});

// One turn of the host: the timers that wait now, and the microtasks after each.
async function turn(): Promise<void> {
  for (const id of [...host.timers.keys()]) {
    host.timers.delete(id);
    fireTimer(id);
    await new Promise((done) => setImmediate(done));
  }
}

async function settle(): Promise<void> {
  while (host.timers.size > 0) await turn();
}

function listen(name: string, end: WebSocket, log: unknown[]): void {
  end.addEventListener("message", (event) => log.push([name, (event as unknown as { data: unknown }).data]));
  end.addEventListener("close", (event) => {
    const { code, reason, wasClean } = event as unknown as { code: number; reason: string; wasClean: boolean };
    log.push([name, code, reason, wasClean, end.readyState]);
  });
  end.addEventListener("error", (event) => {
    log.push([name, (event as unknown as { message: string }).message, end.readyState]);
  });
}

function accepted(): { a: WebSocket; b: WebSocket; log: unknown[] } {
  const [a, b] = new WebSocketPair();
  const log: unknown[] = [];
  listen("a", a!, log);
  listen("b", b!, log);
  a!.accept();
  b!.accept();
  return { a: a!, b: b!, log };
}

test("one message for each turn, in order, and none inside send()", async () => {
  const { a, log } = accepted();
  a.send("one");
  a.send("two");
  assert.deepEqual(log, []);
  await turn();
  assert.deepEqual(log, [["b", "one"]]);
  await turn();
  assert.deepEqual(log, [["b", "one"], ["b", "two"]]);
  assert.equal(host.timers.size, 0);
});

test("what arrives before accept() waits", async () => {
  const [a, b] = new WebSocketPair();
  a!.accept();
  a!.send("early");
  a!.close(1000, "bye");
  assert.equal(host.timers.size, 0);
  const log: unknown[] = [];
  listen("b", b!, log);
  b!.accept();
  await settle();
  assert.deepEqual(log, [["b", "early"], ["b", 1000, "bye", true, 3]]);
});

test("bytes are copied when they are sent", async () => {
  const { a, log } = accepted();
  const bytes = new Uint8Array([1, 2, 3, 4]);
  a.send(bytes.subarray(1, 3));
  bytes.fill(9);
  await settle();
  assert.deepEqual(new Uint8Array((log[0] as [string, ArrayBuffer])[1]), new Uint8Array([2, 3]));
});

test("a close is answered, with its own code, and not twice", async () => {
  const { a, b, log } = accepted();
  a.close(3000, "bye");
  assert.deepEqual([a.readyState, b.readyState], [2, 1]);
  await settle();
  assert.deepEqual(log, [["b", 3000, "bye", true, 3], ["a", 3000, "bye", true, 3]]);
  b.close(3001);
  await settle();
  assert.equal(log.length, 2);
  assert.throws(() => b.send("x"), new TypeError("Can't call WebSocket send() after close()."));
});

test("by hand: the end that was closed may still send, and answers itself", async () => {
  rules.repliesToClose = false;
  const { a, b, log } = accepted();
  a.close(3000, "bye");
  await settle();
  b.send("still");
  b.close();
  await settle();
  assert.deepEqual(log, [["b", 3000, "bye", true, 2], ["a", "still"], ["a", 1005, "", true, 3]]);
  assert.equal(b.readyState, 3);
});

test("accept({allowHalfOpen: true}) answers by hand", async () => {
  const [a, b] = new WebSocketPair();
  a!.accept();
  b!.accept({ allowHalfOpen: true });
  a!.close(1000);
  await settle();
  assert.deepEqual([a!.readyState, b!.readyState], [2, 2]);
});

test("an exception of a listener breaks the connection; further listeners do not hear the event", async () => {
  const { a, b, log } = accepted();
  const late: string[] = [];
  b.addEventListener("message", () => { throw new TypeError("oops"); });
  b.addEventListener("message", () => late.push("late"));
  a.send("x");
  a.send("y");
  await settle();
  assert.deepEqual(late, []);
  assert.deepEqual(log, [
    ["b", "x"], ["b", "Uncaught TypeError: oops", 3],
    ["a", 1006, "WebSocket disconnected without sending Close frame.", false, 3],
  ]);
  a.send("into nothing");
  await settle();
  assert.equal(log.length, 3);
});

test("a hostile exception has a text all the same", async () => {
  const { a, b, log } = accepted();
  b.addEventListener("message", () => { throw { toString() { throw 1; } }; });
  a.send("x");
  await settle();
  assert.deepEqual(log[1], ["b", "Uncaught an exception without a text", 3]);
});

test("an exception of an error listener is reported", async () => {
  const { a, b } = accepted();
  b.addEventListener("error", () => { throw new Error("again"); });
  b.addEventListener("message", () => { throw new Error("first"); });
  a.send("x");
  await settle();
  assert.match(host.takeLogs()[0]!.text, /again/);
});

test("properties named like handlers are called first", async () => {
  const { a, b } = accepted();
  const said: string[] = [];
  b.addEventListener("message", () => said.push("listener"));
  (b as unknown as { onmessage: () => void }).onmessage = () => said.push("property");
  a.send("x");
  await settle();
  assert.deepEqual(said, ["property", "listener"]);
});

test("another request's WebSocket cannot be used", () => {
  const { a } = accepted();
  host.invocation = 2;
  for (const use of [() => a.send("x"), () => a.close(), () => a.accept(), () => a.readyState, () => a.binaryType]) {
    assert.throws(use, /another request's/);
  }
});

test("attachments are copies, and bounded", () => {
  const { a } = accepted();
  assert.equal(a.deserializeAttachment(), null);
  const value = { n: 1 };
  a.serializeAttachment(value);
  value.n = 2;
  assert.deepEqual(a.deserializeAttachment(), { n: 1 });
  a.serializeAttachment("x".repeat(16382));
  assert.throws(() => a.serializeAttachment("x".repeat(16383)),
    new Error("A WebSocket 'attachment' cannot be larger than 16384 bytes.'attachment' was 16385 bytes."));
});

test("it cannot be constructed otherwise, nor imitated", () => {
  const { WebSocket: Class } = parts.sockets();
  assert.throws(() => new (Class as unknown as new () => unknown)(), TypeError);
  const fake = Object.create(Class.prototype) as WebSocket;
  assert.equal(isWebSocket(fake), false);
  assert.throws(() => fake.send("x"), /Illegal invocation/);
  assert.throws(() => new Response(null, { status: 101, webSocket: fake }), TypeError);
});

test("a Response carries one with status 101 only", () => {
  const [c] = new WebSocketPair();
  const response = new Response(null, { status: 101, webSocket: c! });
  assert.equal(response.webSocket, c);
  assert.throws(() => new Response(null, { webSocket: c! }), RangeError);
  assert.throws(() => new Response(null, { status: 101 }), RangeError);
  assert.throws(() => response.clone(), new TypeError("Cannot clone a response to a WebSocket handshake."));
});

test("the constructor checks its arguments", () => {
  const { WebSocket: Class } = parts.sockets();
  const refused = (url: string, protocols?: unknown): string => {
    try {
      new Class(url, protocols);
    } catch (error) {
      return (error as Error).message.replace("WebSocket Constructor: ", "");
    }
    return "";
  };
  assert.equal(refused("nope"), "The url is invalid.");
  assert.equal(refused("ftp://x/"), "The url scheme must be ws or wss.");
  assert.equal(refused("ws://x/#f"), "The url fragment must be empty.");
  assert.equal(refused("ws://x/", ["a", "a"]), "The protocols header cannot have repeating values.");
  assert.equal(refused("ws://x/", "a b"), "The protocol header token is invalid.");
  assert.deepEqual(asked, []);
});

test("a constructed one opens when the server answers with a WebSocket", async () => {
  const [far, near] = new WebSocketPair();
  const response = new Response(null, { status: 101, webSocket: near!, headers: { "sec-websocket-protocol": "chat" } });
  // As it comes from elsewhere: its other side is no end of this isolate.
  const said: unknown[] = [];
  const wire = { sent: [] as unknown[], connect() {}, accepted() { said.push("started"); }, over() {}, bufferedAmount: 7,
    send(arrival: unknown) { this.sent.push(arrival); } };
  endForUse(near!).other = wire;
  answer = async () => response;
  const { WebSocket: Class } = parts.sockets();
  const socket = new Class("wss://example.com/x?y", ["chat", "other"]);
  assert.deepEqual(asked.splice(0), [["https://example.com/x?y", "chat, other"]]);
  assert.equal(socket.readyState, 0);
  assert.equal(socket.url, "wss://example.com/x?y");
  assert.throws(() => socket.send("x"), /before sending messages/);
  assert.throws(() => socket.accept(), /cannot call accept/);
  socket.addEventListener("open", () => said.push(["open", socket.readyState, socket.protocol]));
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(said, [["open", 1, "chat"], "started"]);
  socket.send("hi");
  assert.deepEqual(wire.sent, [{ kind: "text", text: "hi" }]);
  assert.equal(socket.bufferedAmount, 7);
  assert.equal(far!.readyState, 1);
});

for (const [name, reply, text] of [
  ["another answer", async () => new Response("no", { status: 404 }),
    "Uncaught TypeError: Failed to establish the WebSocket connection: expected server to reply with HTTP status code 101 (switching protocols), but received 404 instead."],
  ["no connection", async () => { throw new Error("Network connection lost."); }, "Uncaught Error: Network connection lost."],
] as [string, () => Promise<Response>, string][]) {
  test(`a constructed one fails with ${name}`, async () => {
    answer = reply;
    const { WebSocket: Class } = parts.sockets();
    const log: unknown[] = [];
    const socket = new Class("ws://example.com/");
    listen("s", socket, log);
    await new Promise((done) => setImmediate(done));
    assert.deepEqual(log, [["s", text, 3], ["s", 1006, "Failed to establish websocket connection", false, 3]]);
    asked.length = 0;
  });
}
