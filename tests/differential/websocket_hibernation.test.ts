// SPDX-License-Identifier: Apache-2.0
//
// WebSockets that hibernate: acceptWebSocket(), tags, attachments, events of the class, automatic answers (docs: durable
// objects, section 8). The clients are Workers.
import { probes } from '../support/differential.ts';

const setup = {
  objects: [{ binding: 'OBJECTS', class: 'Room' }, { binding: 'MUTE', class: 'Mute' }],
  prelude: `import * as workers from 'cloudflare:workers';
const facts = async (run) => {
  try { return { none: await run() }; } catch (error) { return [error.name, error.message, error.constructor?.name]; }
};
const soon = (ms = 5) => new Promise((done) => setTimeout(done, ms));
const text = (data) => (typeof data === 'string' ? data : '[' + [...new Uint8Array(data)] + ']');
let instances = 0;
export class Room extends workers.DurableObject {
  log = [];
  constructor(ctx, env) { super(ctx, env); this.number = ++instances; this.atStart = ctx.getWebSockets().length; }
  async fetch(request) {
    const { searchParams: q } = new URL(request.url);
    const pair = new WebSocketPair();
    const server = pair[1];
    const tags = q.has('tags') ? JSON.parse(q.get('tags')) : undefined;
    if (q.has('listen')) for (const type of ['message', 'close', 'error']) server.addEventListener(type, () => this.log.push('listener ' + type));
    if (tags === undefined) this.ctx.acceptWebSocket(server); else this.ctx.acceptWebSocket(server, tags);
    if (q.has('attach')) server.serializeAttachment(JSON.parse(q.get('attach')));
    if (q.has('greet')) server.send(q.get('greet'));
    this.last = server;
    if (q.has('close')) server.close(4001, 'at once');
    return new Response(null, { status: 101, webSocket: pair[0], headers: { 'x-of': 'room' } });
  }
  async webSocketMessage(ws, data) {
    const isText = typeof data === 'string';
    this.log.push(['message', this.ctx.getTags(ws), isText ? data : [data.constructor.name, text(data)], ws.readyState, ws === this.last]);
    if (!isText) return ws.send(data);
    if (data === 'who') return ws.send('instance ' + this.number + ' saw ' + this.atStart);
    if (data === 'throw') throw new RangeError('of the handler');
    if (data === 'slow') { await soon(30); this.log.push('slow is over'); }
    if (data === 'close') return ws.close(4000, 'as asked');
    if (data === 'plain close') return ws.close();
    if (data === 'attachment') return ws.send(JSON.stringify(ws.deserializeAttachment()));
    if (data.startsWith('attach ')) return ws.serializeAttachment(JSON.parse(data.slice(7)));
    if (data.startsWith('all ')) { for (const one of this.ctx.getWebSockets()) one.send(data.slice(4)); return; }
    if (data.startsWith('echo ')) ws.send(data.slice(5));
  }
  async webSocketClose(ws, ...about) {
    const before = this.ctx.getWebSockets().includes(ws);
    this.log.push(['close', about, ws.readyState, before, this.ctx.getTags(ws), await facts(() => ws.send('late')), await facts(() => ws.close(1000, 'again')), ws.deserializeAttachment()]);
  }
  async webSocketError(ws, error) {
    this.log.push(['error', error instanceof Error, String(error), ws.readyState, this.ctx.getWebSockets().includes(ws)]);
  }
  read() { return this.log; }
  clear() { this.log = []; }
  count(tag) { return (tag === undefined ? this.ctx.getWebSockets() : this.ctx.getWebSockets(tag)).length; }
  all() { return this.ctx.getWebSockets().map((ws) => [this.ctx.getTags(ws), ws.deserializeAttachment(), ws.readyState]); }
  closeAll(code, reason) { for (const ws of this.ctx.getWebSockets()) ws.close(code, reason); return this.ctx.getWebSockets().length; }
  sendAll(data) { for (const ws of this.ctx.getWebSockets()) ws.send(data); }
  abort(reason) { this.ctx.abort(reason); }
  auto(request, response) { this.ctx.setWebSocketAutoResponse(request === undefined ? undefined : new WebSocketRequestResponsePair(request, response)); }
  autoNothing() { this.ctx.setWebSocketAutoResponse(); }
  getAuto() { const pair = this.ctx.getWebSocketAutoResponse(); return pair === null ? null : [pair.request, pair.response, pair.constructor.name, String(pair)]; }
  stamps() { return this.ctx.getWebSockets().map((ws) => { const t = this.ctx.getWebSocketAutoResponseTimestamp(ws); return t instanceof Date ? Math.abs(t - Date.now()) < 60000 : t; }); }
  // The text of a function of (ctx, room).
  async try(text, ...args) { return facts(() => tries[text].call(this, this.ctx, ...args)); }
}
const newPair = () => new WebSocketPair();
const tries = {
  'accept nothing': (ctx) => ctx.acceptWebSocket(),
  'accept a thing': (ctx) => ctx.acceptWebSocket({}),
  'accept twice': (ctx) => { const p = newPair(); ctx.acceptWebSocket(p[1]); ctx.acceptWebSocket(p[1]); },
  'accept both ends': (ctx) => { const p = newPair(); ctx.acceptWebSocket(p[1]); ctx.acceptWebSocket(p[0]); },
  'accept, then plain': (ctx) => { const p = newPair(); ctx.acceptWebSocket(p[1]); p[1].accept(); },
  'plain, then accept': (ctx) => { const p = newPair(); p[1].accept(); ctx.acceptWebSocket(p[1]); },
  'accept one given away': (ctx) => { const p = newPair(); new Response(null, { status: 101, webSocket: p[0] }); ctx.acceptWebSocket(p[0]); },
  'tags': (ctx, tags) => { const p = newPair(); ctx.acceptWebSocket(p[1], tags); return ctx.getTags(p[1]); },
  'tags of nothing': (ctx) => { const p = newPair(); ctx.acceptWebSocket(p[1]); return ctx.getTags(p[1]); },
  'tags of a stranger': (ctx) => ctx.getTags(newPair()[0]),
  'tags of no socket': (ctx) => ctx.getTags({}),
  'tags without': (ctx) => ctx.getTags(),
  'tags are copies': (ctx) => { const p = newPair(); const t = ['a']; ctx.acceptWebSocket(p[1], t); t.push('b'); ctx.getTags(p[1]).push('c'); return ctx.getTags(p[1]); },
  'sockets by a number': (ctx) => ctx.getWebSockets(5).length,
  'sockets by null': (ctx) => ctx.getWebSockets(null).length,
  'sockets is an array': (ctx) => Array.isArray(ctx.getWebSockets()),
  'send before': () => newPair()[1].send('x'),
  'close before': () => newPair()[1].close(1000),
  'send at once': (ctx) => { const p = newPair(); ctx.acceptWebSocket(p[1]); p[1].send('x'); return p[1].readyState; },
  'local pair': async function (ctx) {
    const p = newPair(); const got = [];
    ctx.acceptWebSocket(p[1], ['local']);
    p[0].addEventListener('message', (event) => got.push(event.data));
    p[0].addEventListener('close', (event) => got.push([event.code, event.reason]));
    p[0].accept();
    p[0].send('echo back'); await soon(20);
    p[0].send('close'); await soon(20);
    return [got, this.log.filter((line) => line[0] === 'message').map((line) => line[2])];
  },
  'attach': (ctx, size) => { const p = newPair(); ctx.acceptWebSocket(p[1]); const before = p[1].deserializeAttachment(); p[1].serializeAttachment('x'.repeat(size)); return [before, p[1].deserializeAttachment().length]; },
  'attach a function': (ctx) => { const p = newPair(); ctx.acceptWebSocket(p[1]); p[1].serializeAttachment(() => 1); },
  'attach undefined': (ctx) => { const p = newPair(); ctx.acceptWebSocket(p[1]); p[1].serializeAttachment(undefined); return String(p[1].deserializeAttachment()); },
  'attach to a plain one': () => { const p = newPair(); p[1].accept(); p[1].serializeAttachment({ a: 1 }); return p[1].deserializeAttachment(); },
  'attach is a copy': (ctx) => { const p = newPair(); ctx.acceptWebSocket(p[1]); const o = { a: [1] }; p[1].serializeAttachment(o); o.a.push(2); return [p[1].deserializeAttachment(), p[1].deserializeAttachment() === p[1].deserializeAttachment()]; },
  'auto with a thing': (ctx) => ctx.setWebSocketAutoResponse({ request: 'a', response: 'b' }),
  'auto null': (ctx) => ctx.setWebSocketAutoResponse(null),
  'auto long request': (ctx, size) => { ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('x'.repeat(size), 'y')); return ctx.getWebSocketAutoResponse().request.length; },
  'auto long response': (ctx, size) => { ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('x', 'y'.repeat(size))); return ctx.getWebSocketAutoResponse().response.length; },
  'auto wide request': (ctx, size) => { ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('é'.repeat(size), 'y')); return ctx.getWebSocketAutoResponse().request.length; },
  'stamp of a stranger': (ctx) => ctx.getWebSocketAutoResponseTimestamp(newPair()[0]),
  'stamp of nothing': (ctx) => ctx.getWebSocketAutoResponseTimestamp(),
  'stamp of a fresh one': (ctx) => { const p = newPair(); ctx.acceptWebSocket(p[1]); return ctx.getWebSocketAutoResponseTimestamp(p[1]); },
  'timeout before': (ctx) => ctx.getHibernatableWebSocketEventTimeout(),
  'timeout': (ctx, ms) => { ctx.setHibernatableWebSocketEventTimeout(ms); return ctx.getHibernatableWebSocketEventTimeout(); },
  'timeout off': (ctx) => { ctx.setHibernatableWebSocketEventTimeout(500); ctx.setHibernatableWebSocketEventTimeout(); return ctx.getHibernatableWebSocketEventTimeout(); },
  'pair class': () => { const pair = new WebSocketRequestResponsePair('a', 'b'); return [pair.request, pair.response, Object.keys(pair), WebSocketRequestResponsePair.length, Object.getOwnPropertyNames(WebSocketRequestResponsePair.prototype).sort(), Object.prototype.toString.call(pair)]; },
  'pair without': () => new WebSocketRequestResponsePair('a'),
  'pair of numbers': () => { const pair = new WebSocketRequestResponsePair(1, 2); return [pair.request, pair.response]; },
  'pair is read only': () => { const pair = new WebSocketRequestResponsePair('a', 'b'); try { pair.request = 'c'; } catch (e) { return e.name; } return pair.request; },
  'names': (ctx) => { const names = []; for (const name in ctx) names.push(name); return names.sort(); },
};
export class Mute extends workers.DurableObject {
  async fetch(request) {
    const pair = new WebSocketPair();
    this.ctx.acceptWebSocket(pair[1]);
    return new Response(null, { status: 101, webSocket: pair[0] });
  }
  count() { return this.ctx.getWebSockets().length; }
  send(data) { for (const ws of this.ctx.getWebSockets()) ws.send(data); }
}
const open = async (stub, query = '') => {
  const response = await stub.fetch('http://room.example/?' + query, { headers: { upgrade: 'websocket' } });
  const ws = response.webSocket;
  const got = [];
  ws.binaryType = 'arraybuffer';
  ws.addEventListener('message', (event) => got.push(text(event.data)));
  ws.addEventListener('close', (event) => got.push(['close', event.code, event.reason, event.wasClean]));
  ws.addEventListener('error', (event) => got.push(['error', event.message]));
  ws.accept();
  return { ws, got, response, until: async (count) => { for (let i = 0; i < 400 && got.length < count; ++i) await soon(); return got; } };
};
// Waits until the log of the object has so many lines.
const logged = async (stub, count) => { for (let i = 0; i < 400; ++i) { const log = await stub.read(); if (log.length >= count) return log; await soon(); } return stub.read(); };
`,
};

declare const open: (stub: any, query?: string) => Promise<any>;
declare const logged: (stub: any, count: number) => Promise<any>;
declare const soon: (ms?: number) => Promise<void>;
declare const facts: (run: () => unknown) => Promise<any>;

probes('hibernating sockets: messages', {
  'a message and its answer': async ({ env }) => {
    const room = env.OBJECTS.getByName('echo');
    const { ws, got, until, response } = await open(room, 'tags=["a","b"]');
    ws.send('echo hello');
    await until(1);
    return [got, await room.read(), response.status, response.headers.get('x-of')];
  },
  'bytes': async ({ env }) => {
    const room = env.OBJECTS.getByName('bytes');
    const { ws, until } = await open(room);
    ws.send(new Uint8Array([1, 2, 255]));
    return [await until(1), await room.read()];
  },
  'what is sent before the response comes first': async ({ env }) => {
    const { ws, until } = await open(env.OBJECTS.getByName('greet'), 'greet=welcome');
    ws.send('echo second');
    return until(2);
  },
  'listeners hear nothing': async ({ env }) => {
    const room = env.OBJECTS.getByName('listen');
    const { ws, until } = await open(room, 'listen');
    ws.send('echo x');
    await until(1);
    ws.close(1000, 'bye');
    return logged(room, 2);
  },
  'order of many': async ({ env }) => {
    const room = env.OBJECTS.getByName('order');
    const { ws, until } = await open(room);
    for (let i = 0; i < 50; ++i) ws.send('echo ' + i);
    return until(50);
  },
  'a slow handler': async ({ env }) => {
    const room = env.OBJECTS.getByName('slow');
    const { ws } = await open(room);
    ws.send('slow'); ws.send('after');
    return logged(room, 3);
  },
  'a slow handler and another socket': async ({ env }) => {
    const room = env.OBJECTS.getByName('slow2');
    const one = await open(room, 'tags=["one"]');
    const two = await open(room, 'tags=["two"]');
    one.ws.send('slow'); await soon(10); two.ws.send('after');
    return logged(room, 3);
  },
  'an error of the handler': async ({ env }) => {
    const room = env.OBJECTS.getByName('throws');
    const { ws, until } = await open(room);
    ws.send('throw');
    ws.send('echo still');
    return [await until(1), await logged(room, 2), await room.count()];
  },
  'a class without handlers': async ({ env }) => {
    const room = env.MUTE.getByName('mute');
    const { ws, got, until } = await open(room);
    ws.send('nobody hears');
    await soon(20);
    await room.send('but speaks');
    await until(1);
    return [got, await room.count()];
  },
  'a class without handlers: close': {
    run: async ({ env }) => {
      const room = env.MUTE.getByName('mute2');
      const { ws, until } = await open(room);
      ws.close(1000, 'x');
      await until(1);
      return [ws.readyState, await room.count()];
    },
    differs: {
      reason: 'a close that the object does not answer is answered for it, as for plain sockets of that date',
      insula: [3, 0],
    },
  },
  'an empty message': async ({ env }) => {
    const room = env.OBJECTS.getByName('empty');
    const { ws } = await open(room);
    ws.send(''); ws.send(new Uint8Array(0));
    return logged(room, 2);
  },
  'a long message': async ({ env }) => {
    const room = env.OBJECTS.getByName('long');
    const { ws, got, until } = await open(room);
    ws.send('echo ' + 'x'.repeat(300000)); ws.send('echo next');
    await until(2);
    return got.map((data: string) => data.length);
  },
  'to all': async ({ env }) => {
    const room = env.OBJECTS.getByName('all');
    const sockets = [await open(room), await open(room), await open(room)];
    sockets[1].ws.send('all hi');
    return Promise.all(sockets.map((one) => one.until(1)));
  },
}, setup);

probes('hibernating sockets: endings', {
  'the client closes': async ({ env }) => {
    const room = env.OBJECTS.getByName('client closes');
    const { ws, got, until } = await open(room, 'tags=["t"]&attach={"a":1}');
    ws.close(4100, 'done');
    const log = await logged(room, 1);
    await until(1);
    return [log, await room.count(), await room.count('t'), got, ws.readyState];
  },
  'the client closes without a code': async ({ env }) => {
    const room = env.OBJECTS.getByName('client closes plainly');
    const { ws, until } = await open(room);
    ws.close();
    return [await logged(room, 1), await until(2)];
  },
  'the object closes': async ({ env }) => {
    const room = env.OBJECTS.getByName('object closes');
    const { ws, got, until } = await open(room);
    ws.send('close');
    await until(1);
    await soon(20);
    return [got[0], await room.read(), await room.count()];
  },
  'the object closes without a code': async ({ env }) => {
    const room = env.OBJECTS.getByName('object closes plainly');
    const { ws, until } = await open(room);
    ws.send('plain close');
    return [(await until(1))[0], await room.count()];
  },
  'the object closes at once': async ({ env }) => {
    const room = env.OBJECTS.getByName('closes at once');
    const { until } = await open(room, 'close');
    return [await until(1), await room.read()];
  },
  'the object closes from outside': async ({ env }) => {
    const room = env.OBJECTS.getByName('closes all');
    const { until } = await open(room);
    const left = await room.closeAll(3000, 'all');
    return [left, (await until(1))[0], await room.count()];
  },
  'ctx.abort()': async ({ env }) => {
    const room = env.OBJECTS.getByName('aborted');
    const { got, until } = await open(room);
    const error = await facts(() => room.abort('no more'));
    await until(1);
    const again = env.OBJECTS.getByName('aborted');
    return [error, got, await again.count(), await again.read()];
  },
}, setup);

probes('hibernating sockets: tags, attachments, lists', {
  'tags and lists': async ({ env }) => {
    const room = env.OBJECTS.getByName('lists');
    await open(room, 'tags=["a","b"]&attach={"n":1}');
    await open(room, 'tags=["b"]');
    await open(room);
    return [await room.all(), await room.count(), await room.count('a'), await room.count('b'), await room.count('c'), await room.count('')];
  },
  'tries': async ({ env }) => {
    const room = env.OBJECTS.getByName('tries');
    const result: Record<string, unknown> = {};
    const list: [string, ...unknown[]][] = [
      ['accept nothing'], ['accept a thing'], ['accept twice'], ['accept both ends'], ['accept, then plain'], ['plain, then accept'],
      ['accept one given away'], ['tags of nothing'], ['tags of a stranger'], ['tags of no socket'], ['tags without'],
      ['tags are copies'], ['sockets is an array'], ['send before'], ['close before'],
      ['send at once'], ['attach a function'], ['attach undefined'], ['attach to a plain one'], ['attach is a copy'],
      ['auto with a thing'], ['auto null'], ['stamp of a stranger'], ['stamp of nothing'], ['stamp of a fresh one'],
      ['timeout before'], ['timeout off'], ['pair class'], ['pair without'], ['pair of numbers'], ['pair is read only'],
    ];
    for (const [name, ...args] of list) result[name] = await room.try(name, ...args);
    return result;
  },
  'sockets by odd names': async ({ env }) => {
    const room = env.OBJECTS.getByName('odd names');
    return [await room.try('sockets by a number'), await room.try('sockets by null')];
  },
  'tags with limits': async ({ env }) => {
    const room = env.OBJECTS.getByName('limits');
    const many = (count: number) => Array.from({ length: count }, (_, i) => 't' + i);
    return [
      await room.try('tags', many(10)), await room.try('tags', many(11)), await room.try('tags', [...many(10), 't0']),
      await room.try('tags', ['a', 'a', 'b']), await room.try('tags', ['x'.repeat(256)]), await room.try('tags', ['x'.repeat(257)]),
      await room.try('tags', ['é'.repeat(256)]), await room.try('tags', ['é'.repeat(128)]), await room.try('tags', ['']), await room.try('tags', [1, null]),
      await room.try('tags', 'abc'), await room.try('tags', 5), await room.try('tags', null), await room.try('tags', {}),
    ];
  },
  'attachments with limits': async ({ env }) => {
    const room = env.OBJECTS.getByName('attachments');
    const result = [];
    for (const size of [0, 2040, 16379, 16380, 16381, 16384, 16385, 20000]) result.push(await room.try('attach', size));
    return result;
  },
  'an attachment changes': async ({ env }) => {
    const room = env.OBJECTS.getByName('changes');
    const { ws, until } = await open(room);
    ws.send('attachment'); ws.send('attach {"n":[1]}'); ws.send('attachment'); ws.send('attach null'); ws.send('attachment');
    return until(3);
  },
  'time-outs': async ({ env }) => {
    const room = env.OBJECTS.getByName('timeouts');
    const result = [];
    for (const ms of [0, 1, 604800000, 604800001, -1, 1.5, 'x', null]) result.push(await room.try('timeout', ms));
    return result;
  },
  'names of the context': async ({ env }) => env.OBJECTS.getByName('names').try('names'),
  'a pair that stays inside': async ({ env }) => env.OBJECTS.getByName('local').try('local pair'),
}, setup);

probes('hibernating sockets: automatic answers', {
  'an exact match is answered': async ({ env }) => {
    const room = env.OBJECTS.getByName('auto');
    await room.auto('ping', 'pong');
    const { ws, got, until } = await open(room);
    const before = await room.stamps();
    ws.send('ping'); ws.send('ping '); ws.send('echo after');
    await until(2);
    return [got, (await room.read()).map((line: any) => line[2]), await room.getAuto(), before, await room.stamps()];
  },
  'set later, for all': async ({ env }) => {
    const room = env.OBJECTS.getByName('auto later');
    const { ws, until } = await open(room);
    await room.auto('ping', 'pong');
    ws.send('ping');
    return [await until(1), await room.read()];
  },
  'taken away': async ({ env }) => {
    const room = env.OBJECTS.getByName('auto off');
    await room.auto('ping', 'pong');
    const { ws } = await open(room);
    await room.autoNothing();
    ws.send('ping');
    return [(await logged(room, 1)).map((line: any) => line[2]), await room.getAuto()];
  },
  'none set': async ({ env }) => env.OBJECTS.getByName('auto none').getAuto(),
  'bytes are not matched': async ({ env }) => {
    const room = env.OBJECTS.getByName('auto bytes');
    await room.auto('ping', 'pong');
    const { ws, until } = await open(room);
    ws.send(new TextEncoder().encode('ping'));
    return [await until(1), (await room.read()).length];
  },
  'limits': async ({ env }) => {
    const room = env.OBJECTS.getByName('auto limits');
    return [await room.try('auto long request', 2048), await room.try('auto long request', 2049), await room.try('auto long response', 2048),
      await room.try('auto long response', 2049), await room.try('auto wide request', 1024), await room.try('auto wide request', 1025)];
  },
}, setup);
