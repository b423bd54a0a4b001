// SPDX-License-Identifier: Apache-2.0
//
// WebSockets of objects that hibernate: evicted objects, lost runners, resets, slow clients, facets, the end of the server.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { residentBytes } from '../support/proc.ts';
import { until } from '../support/until.ts';
import { closeFrame, frame, opcode, RawSocket } from '../support/websocket_client.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const room = `import { DurableObject } from 'cloudflare:workers';
export class Room extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    const { kv } = ctx.storage;
    this.instance = (kv.get('instances') ?? 0) + 1;
    kv.put('instances', this.instance);
    this.atStart = ctx.getWebSockets().length;
    this.log = [];
  }
  async fetch(request) {
    const { searchParams: q } = new URL(request.url);
    if (request.headers.get('upgrade') !== 'websocket') return Response.json(await this[q.get('do')](...JSON.parse(q.get('args') ?? '[]')) ?? null);
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server, [q.get('tag') ?? 'none', 'all']);
    server.serializeAttachment({ tag: q.get('tag') });
    return new Response(null, { status: 101, webSocket: client });
  }
  async webSocketMessage(ws, data) {
    if (typeof data !== 'string') return ws.send(data);
    const [word, argument] = data.split(' ');
    switch (word) {
      case 'who': return ws.send(JSON.stringify([this.instance, this.atStart, this.ctx.getTags(ws), ws.deserializeAttachment()]));
      case 'attach': ws.serializeAttachment({ tag: argument }); return ws.send('attached');
      case 'put': this.ctx.storage.kv.put('value', argument); return ws.send('stored ' + argument);
      case 'get': return ws.send(String(this.ctx.storage.kv.get('value')));
      case 'all': for (const one of this.ctx.getWebSockets('all')) one.send(argument); return;
      case 'flood': for (let i = 0; i < Number(argument); ++i) ws.send(new Uint8Array(65536)); return ws.send('end');
      case 'stamp': { const at = this.ctx.getWebSocketAutoResponseTimestamp(ws); return ws.send(String(at !== null && Math.abs(Date.now() - at) < 60000)); }
      case 'hang': this.log.push('hangs'); await new Promise(() => setTimeout(() => {}, 1000000)); return;
      case 'half': ws.send('x'.repeat(1 << 24)); ws.send('never'); return;
      default: ws.send('echo ' + data);
    }
  }
  webSocketClose(ws, ...about) { this.note(['close', ...about, this.ctx.getTags(ws)[0]]); }
  webSocketError(ws, error) { this.note(['error', String(error)]); }
  note(line) { this.ctx.storage.kv.put('log', [...(this.ctx.storage.kv.get('log') ?? []), line]); }
  ends() { return this.ctx.storage.kv.get('log') ?? []; }
  count(tag) { return this.ctx.getWebSockets(tag).length; }
  who() { return this.instance; }
  auto(request, response) { this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(request, response)); }
  timeout(ms) { this.ctx.setHibernatableWebSocketEventTimeout(ms); }
  abort() { this.ctx.abort('reset'); }
}`;

const world: WorkerSpec = {
  name: 'rooms',
  objects: [{ binding: 'ROOM', class: 'Room' }, { binding: 'PARENT', class: 'Parent' }],
  loaders: [{ binding: 'LOADER' }],
  source: `${room}
export class Parent extends DurableObject {
  constructor(ctx, env) { super(ctx, env); this.room(); }
  fetch(request) { return this.room().fetch(request); }
  room() {
    const worker = this.env.LOADER.get('tenant', () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': ${JSON.stringify(room)} }, globalOutbound: null }));
    return this.ctx.facets.get('room', () => ({ class: worker.getDurableObjectClass('Room') }));
  }
}
export default { async fetch(request, env) {
  const [, kind, name] = new URL(request.url).pathname.split('/');
  try {
    return await env[kind].getByName(name).fetch(request);
  } catch (error) {
    return Response.json({ message: error.message }, { status: 500 });
  }
} };`,
};

// Whether some actor of that server is open: its database is locked as long as it is.
function isAnyOpen(insula: Insula): boolean {
  const folder = join(insula.folder, 'data', 'objects');
  if (!existsSync(folder)) return false;
  const locks = readFileSync('/proc/locks', 'latin1');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .some((name) => name.endsWith('.sqlite') && locks.includes(`:${statSync(join(folder, name)).ino} `));
}

const sleeps = (insula: Insula): Promise<void> => until(() => !isAnyOpen(insula), 'all objects are evicted', 20000);

async function ask(socket: RawSocket, text: string): Promise<string> {
  socket.text(text);
  return String((await socket.next()).data);
}

const json = async (socket: RawSocket, text: string): Promise<any> => JSON.parse(await ask(socket, text));

for (const isolation of ['cordon', 'shared'] as const) {
  describe(`sockets that hibernate (${isolation})`, { timeout: 120000 }, () => {
    let insula: Insula;
    before(async () => { insula = await Insula.start(world, { isolation, node: 'object_idle_after_ms = 30\n' }); });
    after(async () => {
      await insula.stop();
      closeConnections();
    });
    const open = (name: string, tag = 't', kind = 'ROOM'): Promise<RawSocket> => RawSocket.open(insula.url, `/${kind}/${name}?tag=${tag}`);
    const tell = async (name: string, what: string, ...args: unknown[]): Promise<any> => {
      const { text } = await insula.call(`/ROOM/${name}?do=${what}&args=${encodeURIComponent(JSON.stringify(args))}`);
      return text === '' ? undefined : JSON.parse(text);
    };

    for (const kind of ['ROOM', 'PARENT']) {
      it(`${kind}: an idle object is evicted, its socket stays, the next message wakes another instance`, async () => {
        const socket = await open('evicted', 'red', kind);
        assert.deepEqual(await json(socket, 'who'), [1, 0, ['red', 'all'], { tag: 'red' }]);
        assert.equal(await ask(socket, 'attach blue'), 'attached');
        await sleeps(insula);
        assert.deepEqual(await json(socket, 'who'), [2, 1, ['red', 'all'], { tag: 'blue' }]);
        await sleeps(insula);
        assert.deepEqual(await json(socket, 'who'), [3, 1, ['red', 'all'], { tag: 'blue' }]);
        socket.send(closeFrame(1000, 'bye'));
        assert.deepEqual(await socket.rest(), ['close:1000:bye']);
      });
    }

    it('an automatic answer wakes nobody', async () => {
      const socket = await open('auto');
      await tell('auto', 'auto', 'ping', 'pong');
      assert.equal(await ask(socket, 'stamp'), 'false');
      await sleeps(insula);
      for (let i = 0; i < 20; ++i) assert.equal(await ask(socket, 'ping'), 'pong');
      assert.equal(isAnyOpen(insula), false);
      assert.equal(await ask(socket, 'stamp'), 'true');
      assert.equal((await json(socket, 'who'))[0], 2);
      assert.equal(await ask(socket, 'ping'), 'pong');
      socket.destroy();
    });

    it('an object hears of ends that came while it slept', async () => {
      const ended = await open('ends', 'ended');
      const broken = await open('ends', 'broken');
      const wrong = await open('ends', 'wrong');
      await sleeps(insula);
      ended.send(closeFrame(4321, 'enough'));
      assert.deepEqual(await ended.rest(), ['close:4321:enough']);
      broken.reset();
      await until(async () => (await tell('ends', 'ends')).length === 2, 'two ends are told');
      wrong.send(frame(opcode.text, Buffer.from([0xff])));
      assert.deepEqual(await wrong.rest(), ['close:1007:the text is not UTF-8']);
      await until(async () => (await tell('ends', 'ends')).length === 3, 'three ends are told');
      assert.deepEqual(await tell('ends', 'ends'), [
        ['close', 4321, 'enough', true, 'ended'],
        ['close', 1006, 'WebSocket disconnected without sending Close frame.', false, 'broken'],
        ['error', 'Error: WebSocket protocol error; protocolError.statusCode = 1007; protocolError.description = the text is not UTF-8'],
      ]);
      assert.equal(await tell('ends', 'count'), 0);
    });

    it('a burst to a sleeping object arrives in order and starts one instance', async () => {
      const sockets = await Promise.all(Array.from({ length: 20 }, (_, i) => open('burst', `n${i}`)));
      await sleeps(insula);
      for (const socket of sockets) for (let i = 0; i < 50; ++i) socket.text(`m${i}`);
      for (const socket of sockets) {
        for (let i = 0; i < 50; ++i) assert.equal(String((await socket.next()).data), `echo m${i}`);
      }
      assert.equal((await json(sockets[0]!, 'who'))[0], 2);
      for (const socket of sockets) socket.destroy();
    });

    it('long messages both ways, also into sleep', async () => {
      const socket = await open('long');
      const bytes = Buffer.alloc(3 << 20, 7);
      for (let turn = 0; turn < 2; ++turn) {
        socket.send(frame(opcode.binary, bytes));
        const { data } = await socket.next();
        assert.equal(Buffer.compare(data, bytes), 0);
        await sleeps(insula);
      }
      socket.send(frame(opcode.text, Buffer.alloc(200000, 'a'), { final: false }), frame(opcode.continuation, Buffer.alloc(200000, 'b')));
      assert.equal((await socket.next()).data.length, 400000 + 'echo '.length);
      socket.destroy();
    });

    it('a client that does not read holds up nobody else', async () => {
      const slow = await open('slow', 'slow');
      const quick = await open('slow', 'quick');
      slow.pause();
      slow.text('flood 400');
      for (let i = 0; i < 20; ++i) assert.equal(await ask(quick, `hello${i}`), `echo hello${i}`);
      slow.resume();
      for (let i = 0; i < 400; ++i) assert.equal((await slow.next()).data.length, 65536);
      assert.equal(String((await slow.next()).data), 'end');
      await sleeps(insula);
      slow.destroy();
      quick.destroy();
    });

    it('an event that takes too long is ended, and holds its object no more', async () => {
      const socket = await open('hangs');
      await tell('hangs', 'timeout', 50);
      socket.text('hang');
      await sleeps(insula);
      assert.equal((await json(socket, 'who'))[0], 2);
      socket.destroy();
    });

    it('a reset object breaks its connections', async () => {
      const socket = await open('reset');
      await tell('reset', 'abort');
      assert.deepEqual(await socket.rest(), []);
      assert.equal(await tell('reset', 'count'), 0);
      assert.equal(await tell('reset', 'who'), 2);
    });
  });
}

describe('sockets that hibernate: losses', { timeout: 120000 }, () => {
  it('a killed runner costs messages under way, and neither sockets nor what they have', async () => {
    await using insula = await Insula.start(world);
    const open = (kind: string, tag: string): Promise<RawSocket> => RawSocket.open(insula.url, `/${kind}/kept?tag=${tag}`);
    // And waits until the supervisor knows: what it sends before that is under way.
    const killAll = async (): Promise<void> => {
      const pids = insula.runners().filter(({ role }) => role !== 'spare').map(({ pid }) => pid);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      await until(() => insula.runners().every(({ pid }) => !pids.includes(pid)), 'the runners are gone');
    };
    const object = await open('ROOM', 'o');
    const facet = await open('PARENT', 'f');
    for (let turn = 1; turn <= 3; ++turn) {
      const before = [await json(object, 'who'), await json(facet, 'who')];
      assert.deepEqual(before.map(([, , tags]) => tags[0]), ['o', 'f']);
      await ask(object, `attach a${turn}`);
      await ask(facet, `attach b${turn}`);
      // What it says after a write is said when that is on the disk.
      assert.equal(await ask(object, `put v${turn}`), `stored v${turn}`);
      await killAll();
      assert.equal(await ask(object, 'get'), `v${turn}`);
      const after = [await json(object, 'who'), await json(facet, 'who')];
      assert.deepEqual(after.map(([instance]) => instance), before.map(([instance]) => instance + 1));
      assert.deepEqual(after.map(([, , , attachment]) => attachment), [{ tag: `a${turn}` }, { tag: `b${turn}` }]);
    }
    // A message that the lost instance has only half said cannot be finished by another one.
    object.pause();
    object.text('half');
    await until(async () => (await insula.call('/ROOM/kept?do=count')).text === '1', 'the message is under way');
    await killAll();
    object.resume();
    const rest = await object.rest();
    assert.ok(rest.every((line) => line !== 'text:never'));
    assert.equal((await insula.call('/ROOM/kept?do=count')).text, '0');
    closeConnections();
  });

  it('the server says 1001 and wakes nobody', async () => {
    const insula = await Insula.start(world, { node: 'object_idle_after_ms = 30\n' });
    const sockets = await Promise.all(Array.from({ length: 10 }, (_, i) => RawSocket.open(insula.url, `/ROOM/end?tag=n${i}`)));
    await sleeps(insula);
    const rest = sockets.map((socket) => socket.next());
    closeConnections();
    insula.signal('SIGTERM');
    for (const { kind, code, data } of await Promise.all(rest)) assert.deepEqual([kind, code, String(data)], ['close', 1001, 'the server is going away']);
    assert.equal(isAnyOpen(insula), false);
    for (const socket of sockets) socket.destroy();
    await insula.exit;
    await insula.stop();
  });

  it('a thousand idle sockets keep nothing open, and one message reaches them all', async () => {
    await using insula = await Insula.start(world, { node: 'object_idle_after_ms = 30\n[http]\nconnections_per_address = 2000\n' });
    const sockets: RawSocket[] = [];
    for (let i = 0; i < 20; ++i) {
      sockets.push(...await Promise.all(Array.from({ length: 50 }, () => RawSocket.open(insula.url, '/ROOM/many?tag=x'))));
    }
    await sleeps(insula);
    assert.deepEqual((await json(sockets[0]!, 'who')).slice(0, 2), [2, 1000]);
    await sleeps(insula);
    sockets[1]!.text('all together');
    for (const socket of sockets) assert.equal(String((await socket.next()).data), 'together');
    await sleeps(insula);
    // What a message took is given back when it is through: here it would be 32 MB.
    const before = residentBytes(insula.pid!);
    for (const socket of sockets) assert.equal((await ask(socket, 'x'.repeat(16000))).length, 16005);
    await sleeps(insula);
    assert.ok(residentBytes(insula.pid!) - before < 12e6);
    for (const socket of sockets) socket.destroy();
    closeConnections();
  });
});
