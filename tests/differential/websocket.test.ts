// SPDX-License-Identifier: Apache-2.0
//
// WebSocketPair and WebSocket between two ends in one Worker, and responses that carry one.
import { probes } from '../support/differential.ts';

// Stands in every Worker of this file: a pair whose ends note what happens to them.
const kPrelude = String.raw`
const pairOf = (accepts = 2) => {
  const [a, b] = Object.values(new WebSocketPair());
  const log = [];
  const note = (name, end) => {
    end.addEventListener('message', (event) => log.push([name, 'message', event.data]));
    end.addEventListener('close', (event) => log.push([name, 'close', event.code, event.reason, event.wasClean, end.readyState]));
    end.addEventListener('error', (event) => {
      // The peer says this of every local pair once it is closed, though nothing was wrong.
      if (event.message === 'Uncaught Error: Network connection lost.') return;
      log.push([name, 'error', event.message, String(event.error), end.readyState]);
    });
  };
  note('a', a);
  note('b', b);
  if (accepts > 0) a.accept();
  if (accepts > 1) b.accept();
  return { a, b, log };
};
const soon = (ms = 5) => new Promise((done) => setTimeout(done, ms));
`;
const options = { prelude: kPrelude };

declare const pairOf: (accepts?: number) => { a: any; b: any; log: unknown[] };
declare const soon: (ms?: number) => Promise<void>;
declare const WebSocketPair: any;

probes('websocket shapes', {
  'globals': () => [typeof WebSocket, typeof WebSocketPair, WebSocket.name, WebSocketPair.name, WebSocketPair.length],
  'a pair': () => {
    const pair = new WebSocketPair();
    return [Object.keys(pair), Object.prototype.toString.call(pair), pair instanceof WebSocketPair,
      pair[0] instanceof WebSocket, pair[1] instanceof WebSocket, pair[0] === pair[0], pair[0] === pair[1], pair[2]];
  },
  'a pair is iterable or not': ({ caught }) => caught(() => { const [c, s] = new WebSocketPair(); return [typeof c, typeof s]; }),
  'constants of the class': () => {
    const W = WebSocket as any;
    return [W.CONNECTING, W.OPEN, W.CLOSING, W.CLOSED, W.READY_STATE_CONNECTING, W.READY_STATE_OPEN, W.READY_STATE_CLOSING, W.READY_STATE_CLOSED];
  },
  'constants of an end': () => {
    const { a } = pairOf(0);
    return [a.CONNECTING, a.OPEN, a.CLOSING, a.CLOSED, a.READY_STATE_OPEN, a.READY_STATE_CLOSED];
  },
  'an end is an EventTarget': () => {
    const { a } = pairOf(0);
    return [a instanceof EventTarget, Object.prototype.toString.call(a), typeof a.onmessage, typeof a.onopen, typeof a.onclose, typeof a.onerror];
  },
  'members': () => Object.getOwnPropertyNames(WebSocket.prototype).filter((name) => !/^READY|^[A-Z]/.test(name)).sort(),
  'attributes of a fresh end': () => {
    const { a } = pairOf(0);
    return [a.readyState, a.url, a.protocol, a.extensions, a.binaryType, a.bufferedAmount];
  },
  'attributes are read only': () => {
    const { a } = pairOf(0);
    try { a.readyState = 5; } catch (error) { return (error as Error).name; }
    return a.readyState;
  },
  'the getter on something else': ({ caught }) => caught(() => Object.getOwnPropertyDescriptor(WebSocket.prototype, 'readyState')!.get!.call({})),
  'a method on something else': ({ caught }) => caught(() => WebSocket.prototype.send.call({} as any, 'x')),
}, options);

probes('websocket messages', {
  'text both ways': async () => {
    const { a, b, log } = pairOf();
    a.send('one'); b.send('two'); a.send('three');
    await soon();
    return log;
  },
  'nothing is delivered at once': async () => {
    const { a, log } = pairOf();
    a.send('x');
    const before = log.length;
    await null;
    await soon();
    return [before, log];
  },
  'binary': async () => {
    const { a, b } = pairOf();
    const kinds: unknown[] = [];
    b.addEventListener('message', async (event: any) => {
      const data = event.data;
      kinds.push([data?.constructor?.name, data instanceof Blob ? [...new Uint8Array(await data.arrayBuffer())] : [...new Uint8Array(data)], data.type, data.size]);
    });
    a.send(new Uint8Array([1, 2, 3]));
    a.send(new Uint8Array([0, 1, 2, 3]).subarray(1, 3));
    a.send(new Uint8Array([9]).buffer);
    a.send(new DataView(new Uint8Array([7, 8]).buffer, 1));
    a.send(new Uint16Array([258]));
    await soon();
    return kinds;
  },
  'binaryType': async ({ caught }) => {
    const { a, b, log } = pairOf();
    const said: unknown[] = [b.binaryType];
    b.binaryType = 'arraybuffer';
    a.send(new Uint8Array([1]));
    await soon();
    said.push(b.binaryType, log[0]);
    b.binaryType = 'blob';
    said.push(b.binaryType);
    said.push(await caught(() => { b.binaryType = 'other'; }), b.binaryType);
    return said;
  },
  'binaryType decides when the message is delivered': async () => {
    const { a, b, log } = pairOf();
    a.send(new Uint8Array([1]));
    b.binaryType = 'arraybuffer';
    await soon();
    return log;
  },
  'accept sets binaryType or not': async ({ caught }) => {
    const [a, b] = Object.values(new WebSocketPair()) as any[];
    b.accept({ binaryType: 'arraybuffer' });
    a.accept();
    return [a.binaryType, b.binaryType, await caught(() => (Object.values(new WebSocketPair())[0] as any).accept({ binaryType: 'x' }))];
  },
  'what is sent is copied': async () => {
    const { a, b, log } = pairOf();
    b.binaryType = 'arraybuffer';
    const bytes = new Uint8Array([1, 2]);
    a.send(bytes);
    bytes[0] = 9;
    await soon();
    return log;
  },
  'other kinds become text': async ({ caught }) => {
    const { a, log } = pairOf();
    const said = [];
    for (const value of [1, null, undefined, true, { x: 1 }, [1, 2], 1n, { toString() { return 'made'; } }] as any[]) said.push(await caught(() => a.send(value)));
    said.push(await caught(() => a.send(Symbol('s'))));
    said.push(await caught(() => a.send()));
    await soon();
    return [said, log];
  },
  'a Blob': async ({ caught }) => {
    const { a, log } = pairOf();
    const said = await caught(() => a.send(new Blob(['abc'])));
    await soon(20);
    return [said, log.length, log];
  },
  'lone surrogates': {
    run: async () => {
      const { a, log } = pairOf();
      a.send('a\ud800b');
      await soon();
      return log;
    },
    differs: { reason: 'the standard wants one replacement character (USVString)', insula: [['b', 'message', 'a\ufffdb']] },
  },
  'an empty text and empty bytes': async () => {
    const { a, b, log } = pairOf();
    b.binaryType = 'arraybuffer';
    a.send(''); a.send(new Uint8Array(0));
    await soon();
    return log;
  },
  'a megabyte': async () => {
    const { a, b, log } = pairOf();
    b.binaryType = 'arraybuffer';
    a.send('x'.repeat(1 << 20)); a.send(new Uint8Array(1 << 20));
    await soon(20);
    return log.map(([, , data]: any) => data.length ?? data.byteLength);
  },
  'order is kept': async () => {
    const { a, log } = pairOf();
    for (let i = 0; i < 100; i++) a.send(String(i));
    await soon(20);
    return log.map(([, , data]: any) => data);
  },
  'messages wait for accept': async () => {
    const { a, b, log } = pairOf(1);
    a.send('early');
    await soon();
    const before = log.length;
    b.accept();
    await soon();
    return [before, log];
  },
  'messages wait for nothing after accept': async () => {
    const [a, b] = Object.values(new WebSocketPair()) as any[];
    a.accept(); b.accept();
    a.send('early');
    await soon();
    const log: unknown[] = [];
    b.addEventListener('message', (event: any) => log.push(event.data));
    a.send('late');
    await soon();
    return log;
  },
  'a listener added after the send': async () => {
    const [a, b] = Object.values(new WebSocketPair()) as any[];
    a.accept(); b.accept();
    a.send('early');
    const log: unknown[] = [];
    b.addEventListener('message', (event: any) => log.push(event.data));
    await soon();
    return log;
  },
  'the event': async () => {
    const { a, b } = pairOf();
    const said: unknown[] = [];
    b.addEventListener('message', (event: any) => said.push([event.constructor.name, event.type, event.target === b, event.currentTarget === b,
      event.bubbles, event.cancelable, event.composed, event.defaultPrevented, event.eventPhase, event.lastEventId, event.source, event.ports]));
    a.send('x');
    await soon();
    return said;
  },
  'onmessage': async () => {
    const [a, b] = Object.values(new WebSocketPair()) as any[];
    const said: unknown[] = [b.onmessage];
    b.onmessage = (event: any) => said.push(event.data);
    b.onclose = (event: any) => said.push(event.code);
    a.accept(); b.accept();
    a.send('x');
    a.close(1000);
    await soon();
    said.push(typeof b.onmessage);
    return said;
  },
  'a listener that throws': async () => {
    const { a, b, log } = pairOf();
    b.addEventListener('message', () => { throw new TypeError('oops'); });
    a.send('x'); a.send('y');
    await soon(20);
    return [log, a.readyState, b.readyState];
  },
  'a listener that rejects': async () => {
    const { a, b, log } = pairOf();
    b.addEventListener('message', async () => { await null; throw new TypeError('oops'); });
    a.send('x'); a.send('y');
    await soon(20);
    return [log, a.readyState, b.readyState];
  },
  'an async listener does not hold the next message': async () => {
    const { a, b } = pairOf();
    const said: string[] = [];
    b.addEventListener('message', async (event: any) => { said.push('start ' + event.data); await soon(5); said.push('end ' + event.data); });
    a.send('1'); a.send('2');
    await soon(30);
    return said;
  },
  'microtasks run between messages': async () => {
    const { a, b } = pairOf();
    const said: string[] = [];
    b.addEventListener('message', (event: any) => { said.push(event.data); Promise.resolve().then(() => said.push('after ' + event.data)); });
    a.send('1'); a.send('2');
    await soon();
    return said;
  },
  'echo in turns': async () => {
    const { a, b } = pairOf();
    b.addEventListener('message', (event: any) => b.send(event.data + '!'));
    const said: unknown[] = [];
    const next = () => new Promise((done) => a.addEventListener('message', (event: any) => done(event.data), { once: true }));
    for (let i = 0; i < 3; i++) {
      const answer = next();
      a.send('m' + i);
      said.push(await answer);
    }
    return said;
  },
}, options);

probes('websocket rules', {
  'send before accept': async ({ caught }) => [await caught(() => pairOf(0).a.send('x')), await caught(() => pairOf(0).a.send(new Uint8Array(1)))],
  'close before accept': async ({ caught }) => caught(() => pairOf(0).a.close(1000)),
  'accept twice': async ({ caught }) => { const { a } = pairOf(); return caught(() => a.accept()); },
  'accept gives': () => pairOf(0).a.accept(),
  'send gives': () => pairOf().a.send('x'),
  'close gives': () => pairOf().a.close(),
  'send after close': async ({ caught }) => { const { a } = pairOf(); a.close(1000); return [await caught(() => a.send('x')), a.readyState]; },
  'close twice': async ({ caught }) => {
    const { a, log } = pairOf();
    a.close(3000, 'one');
    const said = await caught(() => a.close(3001, 'two'));
    await soon();
    return [said, log];
  },
  'codes': async ({ caught }) => {
    const said: unknown[] = [];
    for (const code of [0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 1999, 2000, 2999, 3000, 4999, 5000, 65536, 66536, -1, 1.5, NaN, '1000', 'x', null, {}] as any[]) {
      const { a } = pairOf();
      said.push([String(code), await caught(() => a.close(code))]);
    }
    return said;
  },
  'codes that arrive': async () => {
    const said: unknown[] = [];
    for (const code of [1000, 1001, 1011, 3000, 4999, 1000.9, '1003'] as any[]) {
      const { a, log } = pairOf();
      a.close(code, 'r');
      await soon();
      said.push(log);
    }
    return said;
  },
  'reasons': async ({ caught }) => {
    const said: unknown[] = [];
    for (const reason of ['x'.repeat(123), 'x'.repeat(124), 'ä'.repeat(61), 'ä'.repeat(62), 5, null, { toString: () => 'made' }, 'a\ud800'] as any[]) {
      const { a, log } = pairOf();
      said.push(await caught(() => a.close(1000, reason)));
      await soon();
      said.push(log);
    }
    return said;
  },
  'a reason without a code': async ({ caught }) => [await caught(() => pairOf().a.close(undefined, 'why')), await caught(() => pairOf().a.close(undefined, ''))],
  'no code': async () => { const { a, log } = pairOf(); a.close(); await soon(); return [log, a.readyState]; },
}, options);

probes('websocket closes', {
  'one end closes': async () => {
    const { a, b, log } = pairOf();
    const states: unknown[] = [[a.readyState, b.readyState]];
    a.close(1000, 'bye');
    states.push([a.readyState, b.readyState]);
    await soon(20);
    states.push([a.readyState, b.readyState]);
    return [log, states];
  },
  'the other answers by itself or by hand': async ({ caught }) => {
    const { a, b, log } = pairOf();
    b.addEventListener('close', (event: any) => log.push(['answer', b.readyState]));
    a.close(3000, 'bye');
    await soon(20);
    const said = await caught(() => b.close(3001, 'me too'));
    await soon(20);
    return [log, said, a.readyState, b.readyState];
  },
  'messages before the close arrive': async () => {
    const { a, log } = pairOf();
    a.send('last'); a.close(1000);
    await soon(20);
    return log;
  },
  'messages of the other end still arrive after a close': async () => {
    const { a, b, log } = pairOf();
    b.addEventListener('message', () => undefined);
    b.send('on the way');
    a.close(1000, 'bye');
    await soon(20);
    return log;
  },
  'send after the other end has closed': async ({ caught }) => {
    const { a, b, log } = pairOf();
    a.close(1000, 'bye');
    await soon(20);
    const said = await caught(() => b.send('too late?'));
    await soon(20);
    return [said, log, b.readyState];
  },
  'both close at once': async () => {
    const { a, b, log } = pairOf();
    a.close(3000, 'a'); b.close(3001, 'b');
    await soon(20);
    return [log, a.readyState, b.readyState];
  },
  'the close event': async () => {
    const { a, b } = pairOf();
    const said: unknown[] = [];
    b.addEventListener('close', (event: any) => said.push([event.constructor.name, event.type, event.target === b, event.code, event.reason, event.wasClean]));
    a.close(4000, 'why');
    await soon(20);
    return said;
  },
  'close waits for accept': async () => {
    const { a, b, log } = pairOf(1);
    a.close(1000, 'x');
    await soon();
    const before = log.length;
    b.accept();
    await soon();
    return [before, log];
  },
}, options);

probes('websocket closes by hand', {
  'one end closes and the other answers': async ({ caught }) => {
    const { a, b, log } = pairOf();
    a.close(3000, 'bye');
    await soon(20);
    const states = [a.readyState, b.readyState];
    const said = await caught(() => b.close(3001, 'me too'));
    await soon(20);
    return [log, states, said, a.readyState, b.readyState];
  },
  'sending in between': async ({ caught }) => {
    const { a, b, log } = pairOf();
    a.close(3000, 'bye');
    await soon(20);
    const said = await caught(() => b.send('still'));
    await soon(20);
    return [said, log, a.readyState, b.readyState];
  },
  'binaryType was arraybuffer': () => pairOf().a.binaryType,
  'a long reason': async ({ caught }) => { const { a, log } = pairOf(); const said = await caught(() => a.close(1000, 'x'.repeat(200))); await soon(); return [said, log.map((item: any) => item[3].length)]; },
}, { ...options, compatibilityDate: '2026-01-01' });

probes('responses with a websocket', {
  'is made': () => {
    const [c, s] = Object.values(new WebSocketPair()) as any[];
    s.accept();
    const response = new Response(null, { status: 101, webSocket: c } as any) as any;
    return [response.status, response.webSocket === c, response.ok, response.body, response.statusText];
  },
  '101 without': ({ caught }) => caught(() => new Response(null, { status: 101 })),
  '101 with a body': ({ caught }) => caught(() => new Response('x', { status: 101 })),
  '101 with null': ({ caught }) => caught(() => new Response(null, { status: 101, webSocket: null } as any)),
  'another status': async ({ caught }) => {
    const said: unknown[] = [];
    for (const status of [200, 204, 404, undefined]) {
      const [c] = Object.values(new WebSocketPair()) as any[];
      said.push(await caught(() => new Response(null, { status, webSocket: c } as any)));
    }
    return said;
  },
  'with a body': async ({ caught }) => {
    const [c] = Object.values(new WebSocketPair()) as any[];
    return caught(() => new Response('body', { status: 101, webSocket: c } as any));
  },
  'not a WebSocket': async ({ caught }) => [
    await caught(() => new Response(null, { status: 101, webSocket: {} } as any)), await caught(() => new Response(null, { status: 101, webSocket: 1 } as any))],
  'webSocket of an ordinary one': () => [(new Response('x') as any).webSocket, (Response.json({}) as any).webSocket],
  'an accepted one': async ({ caught }) => {
    const { a } = pairOf();
    return caught(() => new Response(null, { status: 101, webSocket: a } as any).status);
  },
  'one in two responses': async ({ caught }) => {
    const [c] = Object.values(new WebSocketPair()) as any[];
    const first = new Response(null, { status: 101, webSocket: c } as any);
    return caught(() => new Response(null, { status: 101, webSocket: c } as any).status + first.status);
  },
  'clone': async ({ caught }) => {
    const [c] = Object.values(new WebSocketPair()) as any[];
    return caught(() => new Response(null, { status: 101, webSocket: c } as any).clone().status);
  },
  'made from another response': async ({ caught }) => {
    const [c] = Object.values(new WebSocketPair()) as any[];
    const first = new Response(null, { status: 101, webSocket: c } as any);
    return caught(() => { const second = new Response(null, first) as any; return [second.status, second.webSocket === c]; });
  },
  'its webSocket can be used': async () => {
    const [c, s] = Object.values(new WebSocketPair()) as any[];
    s.accept();
    s.addEventListener('message', (event: any) => s.send('echo ' + event.data));
    const { webSocket } = new Response(null, { status: 101, webSocket: c } as any) as any;
    webSocket.accept();
    const answer = new Promise((done) => webSocket.addEventListener('message', (event: any) => done(event.data)));
    webSocket.send('x');
    return answer;
  },
  'Response.json': async ({ caught }) => {
    const [c] = Object.values(new WebSocketPair()) as any[];
    return caught(() => (Response.json({}, { status: 101, webSocket: c } as any) as any).status);
  },
}, options);

probes('websockets cannot be copied', {
  'structuredClone': async ({ caught }) => [await caught(() => structuredClone(pairOf().a)), await caught(() => structuredClone(new WebSocketPair()))],
  'attachments': async ({ caught }) => {
    const { a } = pairOf(0);
    return [await caught(() => a.deserializeAttachment()), await caught(() => a.serializeAttachment({ x: [1, new Date(0)] })), await caught(() => a.deserializeAttachment()),
      await caught(() => a.serializeAttachment(() => 1)), await caught(() => a.serializeAttachment('x'.repeat(20000)))];
  },
}, options);

// A service and a dynamic Worker with the same code: what one Worker sees of a WebSocket of another.
const kSocketWorker = String.raw`
const behaviours = {
  echo(s) { s.addEventListener('message', (event) => s.send(event.data)); },
  kinds(s) { s.addEventListener('message', ({ data }) => s.send(typeof data === 'string' ? 'text ' + data.length : data.constructor.name)); },
  early(s) { s.send('one'); s.send('two'); },
  closer(s) { s.addEventListener('message', (event) => s.close(3001, String(event.data))); },
  reporter(s) { s.addEventListener('close', (event) => { log.push([event.code, event.reason, event.wasClean]); }); },
  thrower(s) { s.addEventListener('message', () => { throw new Error('oops'); }); },
};
const log = [];
export default { async fetch(request, env) {
  const name = new URL(request.url).pathname.slice(1);
  if (name === 'log') return Response.json(log.splice(0));
  if (name === 'plain') return new Response('plain ' + request.headers.get('upgrade') + ' ' + (request.body === null));
  if (name === 'error') throw new Error('no socket');
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  behaviours[name](server);
  return new Response(null, { status: 101, webSocket: client, headers: { 'x-worker': 'yes' } });
} };`;

const between = {
  prelude: `${kPrelude}
const kSocketWorker = ${JSON.stringify(kSocketWorker)};
const upgrade = { headers: { Upgrade: 'websocket' } };
// The same by both ways: over a binding, and from a loader.
const targets = (env) => [env.SERVICE, env.LOADER.get('sockets', () => ({
  compatibilityDate: '2026-06-01', mainModule: 'main.js', modules: { 'main.js': kSocketWorker } })).getEntrypoint()];
const both = async (env, use) => { const said = []; for (const target of targets(env)) said.push(await use(target)); return said; };
const open = async (target, name) => {
  const response = await target.fetch('http://socket.example/' + name, upgrade);
  const socket = response.webSocket;
  const log = [];
  socket.addEventListener('message', (event) => log.push(typeof event.data === 'string' ? event.data : event.data.constructor.name));
  socket.addEventListener('close', (event) => log.push(['close', event.code, event.reason, event.wasClean, socket.readyState]));
  socket.addEventListener('error', (event) => { if (event.message !== 'Uncaught Error: Network connection lost.') log.push(['error', event.message]); });
  return { response, socket, log };
};
const heard = async (log, count) => { for (let i = 0; i < 200 && log.length < count; i++) await soon(2); return log.slice(0, count); };
`,
  others: [{ name: 'service', source: kSocketWorker }],
  services: [{ binding: 'SERVICE', service: 'service' }],
  loaders: [{ binding: 'LOADER' }],
};

declare const both: (env: any, use: (target: any) => unknown) => Promise<unknown[]>;
declare const open: (target: any, name: string) => Promise<{ response: any; socket: any; log: unknown[] }>;
declare const heard: (log: unknown[], count: number) => Promise<unknown[]>;
declare const upgrade: object;

probes('websockets between Workers', {
  'the response': ({ env }) => both(env, async (target) => {
    const { response, socket } = await open(target, 'echo');
    const said = [response.status, response.headers.get('x-worker'), socket instanceof WebSocket, response.webSocket === socket, socket.readyState, socket.url, response.body];
    socket.accept();
    socket.close();
    return said;
  }),
  'echo': ({ env }) => both(env, async (target) => {
    const { socket, log } = await open(target, 'echo');
    socket.accept();
    for (const message of ['a', '', 'ä', 'x'.repeat(5000)]) socket.send(message);
    const said = await heard(log, 4);
    socket.close(1000);
    return said;
  }),
  'bytes': ({ env }) => both(env, async (target) => {
    const { socket, log } = await open(target, 'kinds');
    socket.accept();
    socket.send(new Uint8Array([1, 2])); socket.send('text');
    const said = await heard(log, 2);
    socket.close(1000);
    return said;
  }),
  'what was sent before accept': ({ env }) => both(env, async (target) => {
    const { socket, log } = await open(target, 'early');
    await soon(10);
    const before = log.length;
    socket.accept();
    const said = [before, ...await heard(log, 2)];
    socket.close(1000);
    return said;
  }),
  'the other Worker closes': ({ env }) => both(env, async (target) => {
    const { socket, log } = await open(target, 'closer');
    socket.accept();
    socket.send('why');
    return heard(log, 1);
  }),
  'we close': ({ env }) => both(env, async (target) => {
    const { socket, log } = await open(target, 'reporter');
    socket.accept();
    socket.close(3000, 'enough');
    const said = await heard(log, 1);
    let far: unknown = [];
    for (let i = 0; i < 100 && (far as unknown[]).length === 0; i++) far = await (await target.fetch('http://socket.example/log')).json();
    return [said, far];
  }),
  'a listener of the other Worker throws': {
    run: ({ env }) => both(env, async (target) => {
      const { socket, log } = await open(target, 'thrower');
      socket.accept();
      socket.send('x');
      return heard(log, 1);
    }),
    differs: {
      reason: 'a broken WebSocket is CLOSED, as the standard says; in the peer it stays OPEN',
      insula: Array.from({ length: 2 }, () => [['close', 1006, 'WebSocket disconnected without sending Close frame.', false, 3]]),
    },
  },
  'an ordinary answer': ({ env }) => both(env, async (target) => {
    const response = await target.fetch('http://socket.example/plain', upgrade);
    return [response.status, response.webSocket, await response.text()];
  }),
  'an error': ({ env, caught }) => both(env, (target) => caught(() => target.fetch('http://socket.example/error', upgrade))),
  'without Upgrade': ({ env, caught }) => both(env, (target) => caught(() => target.fetch('http://socket.example/echo'))),
  'a relay in between': ({ env }) => both(env, async (target) => {
    // The outer pair's end is fed by hand from the inner socket.
    const { socket: inner } = await open(target, 'echo');
    const { a, b } = pairOf();
    inner.accept();
    b.addEventListener('message', (event: any) => inner.send(event.data));
    inner.addEventListener('message', (event: any) => b.send('relayed ' + event.data));
    const answer = new Promise((done) => a.addEventListener('message', (event: any) => done(event.data)));
    a.send('x');
    const said = await answer;
    inner.close(1000);
    return said;
  }),
}, between);
