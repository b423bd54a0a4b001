// SPDX-License-Identifier: Apache-2.0
//
// WebSockets of clients: to the dispatcher, through it to a tenant, with every way to end, and under load.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { platform } from '../support/platform.ts';
import { residentBytes } from '../support/proc.ts';
import { Peer } from '../support/workerd.ts';
import { closeFrame, frame, opcode, RawSocket } from '../support/websocket_client.ts';

const echo = `
const log = [];
const behaviours = {
  echo(s) { s.binaryType = 'arraybuffer'; s.addEventListener('message', (event) => s.send(event.data)); },
  sizes(s) { s.binaryType = 'arraybuffer'; s.addEventListener('message', ({ data }) => s.send(String(typeof data === 'string' ? data.length : data.byteLength))); },
  early(s) { s.send('one'); s.send('two'); },
  closer(s) { s.addEventListener('message', (event) => s.close(3001, event.data)); },
  thrower(s) { s.addEventListener('message', () => { throw new Error('oops'); }); },
  asker(s) { s.addEventListener('message', async (event) => { await null; s.send('answer to ' + event.data); }); },
  spinner(s) { s.addEventListener('message', () => { for (;;); }); },
  worker(s) { s.addEventListener('message', (event) => { const end = performance.now() + 1e9; let n = 0; while (n < 2e6) n++; s.send('done'); }); },
  flood(s) { s.binaryType = 'arraybuffer'; s.addEventListener('message', (event) => { const bytes = new Uint8Array(1 << 16); for (let i = 0; i < Number(event.data); i++) s.send(bytes); s.send('end'); }); },
  busy(s) { s.addEventListener('message', (event) => { if (event.data === 'begin') s.send('begun'); }); },
};
export default {
  async fetch(request) {
    const name = new URL(request.url).pathname.split('/')[2];
    if (name === 'log') return Response.json(log.splice(0));
    if (name === 'plain') return new Response('plain ' + request.headers.get('upgrade') + ' ' + (request.body === null));
    if (name === 'late') {
      const [client, server] = Object.values(new WebSocketPair());
      setTimeout(() => { server.addEventListener('message', (event) => server.send('late ' + event.data)); server.accept(); }, 20);
      return new Response(null, { status: 101, webSocket: client });
    }
    if (request.headers.get('upgrade') !== 'websocket' && name !== 'anyway') return new Response('upgrade, please', { status: 426 });
    const [client, server] = Object.values(new WebSocketPair());
    if (name === 'used') client.accept();
    server.accept();
    server.addEventListener('close', (event) => log.push([name, 'close', event.code, event.reason, event.wasClean]));
    server.addEventListener('error', (event) => log.push([name, 'error', event.message]));
    (behaviours[name] ?? behaviours.echo)(server);
    return new Response(null, { status: 101, webSocket: client, headers: { 'x-worker': 'yes', 'sec-websocket-protocol': 'chat' } });
  },
};`;

// What the sockets of one isolate said of their ends, once there is something.
async function logOf(insula: Insula, id: string): Promise<unknown[]> {
  for (let turn = 0; turn < 200; ++turn) {
    const { text } = await insula.call(`/t/log?id=${id}`);
    const log = JSON.parse(text) as unknown[];
    if (log.length > 0) return log;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return [];
}

for (const isolation of ['cordon', 'shared'] as const) {
  describe(`websockets through a dispatcher, ${isolation}`, () => {
    let insula: Insula;
    before(async () => { insula = await Insula.start(platform({ t: echo, other: echo }), { isolation }); });
    after(async () => {
      closeConnections();
      await insula.stop();
    });

    it('answers the handshake with the fields of the Worker', async () => {
      const socket = await RawSocket.open(insula.url, '/t/echo', { 'Sec-WebSocket-Protocol': 'chat' });
      assert.equal(socket.status, 101);
      assert.match(socket.head, /\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
      assert.match(socket.head, /\r\nx-worker: yes/);
      assert.match(socket.head, /\r\nsec-websocket-protocol: chat/);
      socket.destroy();
    });

    it('carries text and bytes both ways', async () => {
      const socket = await RawSocket.open(insula.url, '/t/echo');
      for (const size of [0, 1, 125, 126, 65535, 65536, 300000]) {
        socket.text('ä'.repeat(size / 2));
        assert.equal((await socket.next()).data.toString(), 'ä'.repeat(size / 2));
        socket.send(frame(opcode.binary, new Uint8Array(size).fill(size)));
        const answer = await socket.next();
        assert.equal(answer.kind, 'binary');
        assert.deepEqual(answer.data, Buffer.alloc(size, size));
      }
      socket.destroy();
    });

    it('serves the client that is built into Node', async () => {
      const socket = new WebSocket(`${insula.url.replace('http', 'ws')}/t/echo?id=i3`, 'chat');
      const said: unknown[] = [];
      await new Promise<void>((resolve, reject) => {
        socket.onerror = reject;
        socket.onopen = () => socket.send('hello');
        socket.onmessage = (event) => {
          said.push(event.data);
          socket.close(3000, 'enough');
        };
        socket.onclose = (event) => {
          said.push(event.code, event.reason, event.wasClean, socket.protocol);
          resolve();
        };
      });
      assert.deepEqual(said, ['hello', 3000, 'enough', true, 'chat']);
      assert.deepEqual(await logOf(insula, 'i3'), [['echo', 'close', 3000, 'enough', true]]);
    });

    it('puts fragments together, with a ping between them', async () => {
      const socket = await RawSocket.open(insula.url, '/t/echo');
      const [head, tail] = [Buffer.from('hä').subarray(0, 2), Buffer.from('hä').subarray(2)];
      socket.send(frame(opcode.text, head, { final: false }), frame(opcode.ping, 'p'), frame(opcode.continuation, '', { final: false }), frame(opcode.continuation, tail));
      assert.equal((await socket.next()).kind, 'pong');
      assert.equal((await socket.next()).data.toString(), 'hä');
      socket.destroy();
    });

    it('keeps the order of many messages', async () => {
      const socket = await RawSocket.open(insula.url, '/t/echo');
      const count = 2000;
      for (let i = 0; i < count; ++i) socket.text(String(i));
      for (let i = 0; i < count; ++i) assert.equal((await socket.next()).data.toString(), String(i));
      socket.destroy();
    });

    it('sends what the Worker said before it answered', async () => {
      const socket = await RawSocket.open(insula.url, '/t/early');
      assert.equal((await socket.next()).data.toString(), 'one');
      assert.equal((await socket.next()).data.toString(), 'two');
      socket.destroy();
    });

    it('keeps messages for an end that is accepted after the answer', async () => {
      const socket = await RawSocket.open(insula.url, '/t/late');
      socket.text('x');
      assert.equal((await socket.next()).data.toString(), 'late x');
      socket.destroy();
    });

    it('lets the client close', async () => {
      const socket = await RawSocket.open(insula.url, '/t/echo?id=i8');
      socket.send(closeFrame(1000, 'bye'));
      assert.deepEqual(await socket.rest(), ['close:1000:bye']);
      assert.equal(socket.wasReset, false);
      assert.deepEqual(await logOf(insula, 'i8'), [['echo', 'close', 1000, 'bye', true]]);
    });

    it('lets the client close without a code', async () => {
      const socket = await RawSocket.open(insula.url, '/t/echo?id=i9');
      socket.send(closeFrame());
      assert.deepEqual(await socket.rest(), ['close:1005:']);
      assert.deepEqual(await logOf(insula, 'i9'), [['echo', 'close', 1005, '', true]]);
    });

    it('lets the Worker close', async () => {
      const socket = await RawSocket.open(insula.url, '/t/closer?id=i10');
      socket.text('because');
      const close = await socket.next();
      assert.deepEqual([close.kind, close.code, close.data.toString()], ['close', 3001, 'because']);
      socket.send(closeFrame(3001, 'because'));
      await socket.closed();
      assert.deepEqual(await logOf(insula, 'i10'), [['closer', 'close', 3001, 'because', true]]);
    });

    for (const how of ['destroy', 'reset', 'end'] as const) {
      it(`tells of a client that goes without a close (${how})`, async () => {
        const socket = await RawSocket.open(insula.url, '/t/echo?id=i11');
        socket.text('x');
        await socket.next();
        socket[how]();
        assert.deepEqual(await logOf(insula, 'i11'), [['echo', 'close', 1006, 'WebSocket disconnected without sending Close frame.', false]]);
      });
    }

    it('breaks the connection when a listener throws', async () => {
      const socket = await RawSocket.open(insula.url, '/t/thrower?id=i12');
      socket.text('x');
      assert.deepEqual(await socket.rest(), []);
      assert.deepEqual(await logOf(insula, 'i12'), [['thrower', 'error', 'Uncaught Error: oops']]);
    });

    const violations: [string, Buffer, number, RegExp][] = [
      ['an unmasked frame', frame(opcode.text, 'x', { masked: false }), 1002, /1002/],
      ['a reserved bit', frame(opcode.text, 'x', { reserved: 4 }), 1002, /1002/],
      ['a reserved opcode', frame(3), 1002, /1002/],
      ['a close code that may not be sent', closeFrame(1005), 1002, /1002/],
      ['text that is not UTF-8', frame(opcode.text, new Uint8Array([0xff])), 1007, /1007/],
      ['a message above 32 MiB', Buffer.from([0x82, 0xff, 0, 0, 0, 0, 2, 0, 0, 1, 1, 2, 3, 4]), 1009, /1009; protocolError.description = Message is too large/],
    ];
    for (const [name, bytes, code, text] of violations) {
      it(`answers ${name} with ${code}`, async () => {
        const socket = await RawSocket.open(insula.url, '/t/echo?id=i13');
        socket.send(bytes);
        const close = await socket.next();
        assert.deepEqual([close.kind, close.code], ['close', code]);
        await socket.closed();
        const [[, kind, message]] = await logOf(insula, 'i13') as [[string, string, string]];
        assert.equal(kind, 'error');
        assert.match(message, text);
      });
    }

    it('takes a message of 32 MiB', { timeout: 60000 }, async () => {
      const socket = await RawSocket.open(insula.url, '/t/sizes');
      socket.send(frame(opcode.binary, new Uint8Array(32 << 20)));
      assert.equal((await socket.next()).data.toString(), String(32 << 20));
      socket.destroy();
    });

    it('gives an ordinary answer to an upgrade, and a plain request has none', async () => {
      const socket = await RawSocket.open(insula.url, '/t/plain');
      assert.equal(socket.status, 200);
      socket.destroy();
      assert.equal((await insula.call('/t/echo')).status, 426);
      assert.equal((await insula.call('/t/anyway')).status, 503);
      const used = await RawSocket.open(insula.url, '/t/used');
      assert.equal(used.status, 503);
      used.destroy();
    });

    it('refuses a handshake that is none', async () => {
      const old = await RawSocket.open(insula.url, '/t/echo?id=i16', { 'Sec-WebSocket-Version': '8' });
      assert.equal(old.status, 426);
      assert.match(old.head, /sec-websocket-version: 13/i);
      const bad = await RawSocket.open(insula.url, '/t/echo?id=i16', { 'Sec-WebSocket-Key': 'short' });
      assert.equal(bad.status, 400);
      old.destroy();
      bad.destroy();
      // The Worker's ends hear that nobody is there.
      const log = await logOf(insula, 'i16');
      assert.equal((log[0] as unknown[])[2], 1006);
    });

    it('gives every message the CPU limit afresh, and none more', { timeout: 60000 }, async () => {
      const socket = await RawSocket.open(insula.url, '/other/worker');
      for (let i = 0; i < 50; ++i) {
        socket.text('x');
        await socket.next();
      }
      const spinner = await RawSocket.open(insula.url, '/other/spinner');
      spinner.text('x');
      await spinner.closed();
      await socket.closed();
    });

    it('does not fill its memory for a client that does not read', { timeout: 60000 }, async () => {
      const socket = await RawSocket.open(insula.url, '/t/flood');
      socket.pause();
      socket.text('500');  // 32 MB
      await insula.call('/t/echo');
      const supervisor = insula.pid!;
      assert.ok(residentBytes(supervisor) < 200e6);
      socket.resume();
      let bytes = 0;
      for (;;) {
        const { data, kind } = await socket.next();
        if (kind === 'text') break;
        bytes += data.length;
      }
      assert.equal(bytes, 500 * 65536);
      socket.destroy();
    });

    it('holds a client back whose Worker is busy', { timeout: 60000 }, async () => {
      const socket = await RawSocket.open(insula.url, '/t/sizes');
      const chunk = frame(opcode.binary, new Uint8Array(1 << 20));
      for (let i = 0; i < 64; ++i) socket.send(chunk);
      for (let i = 0; i < 64; ++i) assert.equal((await socket.next()).data.toString(), String(1 << 20));
      socket.destroy();
    });
  });
}

// A tenant that opens a WebSocket to wherever it is told, says what it is told, and reports.
const client = `
const report = (socket, log) => {
  socket.addEventListener('open', () => log.push(['open', socket.readyState, socket.protocol]));
  socket.addEventListener('message', ({ data }) => log.push(typeof data === 'string' ? data : data.constructor.name + ' ' + (data.size ?? data.byteLength)));
  socket.addEventListener('close', (event) => log.push(['close', event.code, event.reason, event.wasClean]));
  socket.addEventListener('error', (event) => log.push(['error', event.message]));
};
const until = async (condition) => { for (let i = 0; i < 500 && !condition(); i++) await new Promise((done) => setTimeout(done, 2)); };
export default {
  async fetch(request) {
    const url = new URL(request.url);
    const target = url.searchParams.get('to');
    const kind = url.pathname.split('/')[2];
    const log = [];
    if (kind === 'pass') return fetch(target.replace('ws', 'http'), request);
    if (kind === 'constructor') {
      const socket = new WebSocket(target, ['chat']);
      report(socket, log);
      await until(() => socket.readyState !== 0);
      if (socket.readyState === 1) {
        socket.send('hello'); socket.send(new Uint8Array(100000));
        await until(() => log.length >= 3);
        socket.close(3000, 'enough');
      }
      await until(() => socket.readyState === 3);
      await until(() => log.length >= 4);
      return Response.json(log);
    }
    try {
      const response = await fetch(target.replace('ws', 'http'), { headers: { Upgrade: 'websocket' } });
      const socket = response.webSocket;
      if (!socket) return Response.json([response.status, await response.text()]);
      report(socket, log);
      socket.accept();
      socket.send('first');
      await until(() => log.length >= 1);
      if (kind === 'leave') return Response.json(log);
      await until(() => log.length >= 2 || kind === 'fetch');
      socket.close(1000, 'bye');
      await until(() => log.length >= 2);
      return Response.json([response.status, response.headers.get('x-worker'), ...log]);
    } catch (error) {
      return Response.json([error.name, error.message, error.code]);
    }
  },
};`;

describe('outgoing websockets', () => {
  let insula: Insula;
  let server: Insula;
  let peer: Peer;
  before(async () => {
    insula = await Insula.start(platform({ c: { source: client, outbound: 'inherit' }, blocked: client }), { flags: ['--allow-private-addresses'] });
    server = await Insula.start(platform({ t: echo }));
    peer = await Peer.start({ name: 'echo', source: echo });
  });
  after(async () => {
    closeConnections();
    await Promise.all([insula, server, peer].map((one) => one.stop()));
  });
  const ask = async (kind: string, to: string, tenant = 'c'): Promise<unknown> =>
    JSON.parse((await insula.call(`/${tenant}/${kind}?to=${encodeURIComponent(to.replace('http', 'ws'))}`)).text);

  for (const where of ['insula', 'the peer'] as const) {
    const url = (): string => (where === 'insula' ? server.url : peer.url);
    it(`fetch() opens one to ${where}`, async () => {
      assert.deepEqual(await ask('fetch', `${url()}/t/echo`), [101, 'yes', 'first', ['close', 1000, 'bye', true]]);
    });

    it(`the constructor opens one to ${where}`, async () => {
      assert.deepEqual(await ask('constructor', `${url()}/t/echo`),
        [['open', 1, 'chat'], 'hello', 'Blob 100000', ['close', 3000, 'enough', true]]);
    });

    it(`hears the close of ${where}`, async () => {
      assert.deepEqual(await ask('closed', `${url()}/t/closer`), [101, 'yes', ['close', 3001, 'first', true]]);
    });

    it(`an ordinary answer of ${where} is one`, async () => {
      assert.deepEqual(await ask('fetch', `${url()}/t/plain`), [200, 'plain websocket true']);
      const log = await ask('constructor', `${url()}/t/plain`) as unknown[][];
      assert.match(String(log[0]![1]), /expected server to reply with HTTP status code 101 \(switching protocols\), but received 200/);
      assert.deepEqual(log[1], ['close', 1006, 'Failed to establish websocket connection', false]);
    });

    it(`passes a client through to ${where}`, async () => {
      const socket = await RawSocket.open(insula.url, `/c/pass?to=${encodeURIComponent(url().replace('http', 'ws'))}/t/echo`,
        { 'Sec-WebSocket-Extensions': 'permessage-deflate' });
      assert.equal(socket.status, 101);
      socket.text('through');
      assert.equal((await socket.next()).data.toString(), 'through');
      socket.send(frame(opcode.binary, new Uint8Array(200000)));
      assert.equal((await socket.next()).data.length, 200000);
      socket.send(closeFrame(3005, 'done'));
      assert.deepEqual(await socket.rest(), ['close:3005:done']);
    });
  }

  it('one outlives the response, and ends with its process', async () => {
    assert.deepEqual(await ask('leave', `${server.url}/t/echo?id=left`), ['first']);
    assert.equal((await server.call('/t/log?id=left')).text, '[]');
    for (const { pid, role } of insula.runners()) {
      if (role.startsWith('tenants')) process.kill(pid, 'SIGKILL');
    }
    assert.deepEqual(await logOf(server, 'left'), [['echo', 'close', 1006, 'WebSocket disconnected without sending Close frame.', false]]);
  });

  it('is refused where fetch() is', async () => {
    const [name, message] = await ask('fetch', `${server.url}/t/echo`, 'blocked') as string[];
    assert.equal(name, 'Error');
    assert.match(message!, /not permitted to access the internet/);
    const log = await ask('constructor', `${server.url}/t/echo`, 'blocked') as unknown[][];
    assert.match(String(log[0]![1]), /not permitted to access the internet/);
  });

  it('tells of a server that is not there', async () => {
    assert.deepEqual(await ask('constructor', 'ws://127.0.0.1:1/'),
      [['error', 'Uncaught Error: Network connection lost.'], ['close', 1006, 'Failed to establish websocket connection', false]]);
  });
});

describe('many websockets', () => {
  let insula: Insula;
  before(async () => { insula = await Insula.start(platform({ t: echo }), { node: '[http]\nconnections_per_address = 3000\n' }); });
  after(async () => {
    closeConnections();
    await insula.stop();
  });

  it('serves a thousand of one tenant, and refuses the next', { timeout: 120000 }, async () => {
    const sockets: RawSocket[] = [];
    for (let i = 0; i < 1000; i += 50) {
      sockets.push(...await Promise.all(Array.from({ length: 50 }, () => RawSocket.open(insula.url, '/t/echo'))));
    }
    assert.ok(sockets.every(({ status }) => status === 101));
    await Promise.all(sockets.map(async (socket, index) => {
      socket.text(`m${index}`);
      assert.equal((await socket.next()).data.toString(), `m${index}`);
    }));
    const more = await RawSocket.open(insula.url, '/t/echo');
    assert.equal(more.status, 503);
    for (const socket of sockets) socket.destroy();
  });
});

describe('the end of a process', () => {
  it('a runner that is killed breaks its sockets', { timeout: 60000 }, async () => {
    const insula = await Insula.start(platform({ t: echo }));
    try {
      const socket = await RawSocket.open(insula.url, '/t/echo');
      socket.text('x');
      await socket.next();
      for (const { pid, role } of insula.runners()) {
        if (role.startsWith('tenants')) process.kill(pid, 'SIGKILL');
      }
      assert.deepEqual(await socket.rest(), []);
    } finally {
      closeConnections();
      await insula.stop();
    }
  });

  it('a server that stops says 1001', { timeout: 60000 }, async () => {
    const insula = await Insula.start(platform({ t: echo }));
    const socket = await RawSocket.open(insula.url, '/t/echo');
    socket.text('x');
    await socket.next();
    insula.signal('SIGTERM');
    const close = await socket.next();
    assert.deepEqual([close.kind, close.code], ['close', 1001]);
    socket.send(closeFrame(1001));
    socket.end();
    assert.equal((await insula.exited()).code, 0);
    closeConnections();
    await insula.stop();
  });
});
