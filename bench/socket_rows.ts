// SPDX-License-Identifier: Apache-2.0
//
// WebSockets of one object that hibernates: what an idle one costs, and how long an answer takes when the object is awake,
// when it sleeps, and when it need not wake.
import { setTimeout as delay } from 'node:timers/promises';

import { RawSocket } from '../tests/support/websocket_client.ts';
import { quantile } from '../tests/support/until.ts';
import type { WorkerSpec } from '../tests/support/worker_spec.ts';
import type { Row } from './rows.ts';
import { cpuMillis, pssBytes, start } from './subjects.ts';

const kSockets = 10000;
const kAtOnce = 100;
const kAnswers = 4000;
const kSleepMillis = 16000; // both evict an object after ten idle seconds

const room: WorkerSpec = {
  name: 'room',
  objects: [{ binding: 'ROOM', class: 'Room' }],
  source: `import { DurableObject } from 'cloudflare:workers';
let instances = 0;
export class Room extends DurableObject {
  constructor(ctx, env) { super(ctx, env); this.instance = ++instances; ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong')); }
  async fetch(request) {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server, ['user-' + new URL(request.url).searchParams.get('n')]);
    server.serializeAttachment({ joined: 1760000000000, name: 'somebody' });
    return new Response(null, { status: 101, webSocket: client });
  }
  webSocketMessage(ws, data) { ws.send(this.instance + ' ' + data); }
}
export default { fetch(request, env) { return env.ROOM.getByName('one').fetch(request); } };`,
};

async function ask(socket: RawSocket, text: string): Promise<{ answer: string; millis: number }> {
  const begin = performance.now();
  socket.text(text);
  const answer = String((await socket.next()).data);
  return { answer, millis: performance.now() - begin };
}

async function times(socket: RawSocket, text: string): Promise<number> {
  const list: number[] = [];
  for (let turn = 0; turn < kAnswers; ++turn) list.push((await ask(socket, text)).millis);
  return quantile(list, 0.5) * 1000;
}

export const sockets: Row = {
  title: `${kSockets.toLocaleString('en')} WebSockets of one object that hibernates`,
  ours: 'cordon',
  metrics: [
    { name: 'memory for each, asleep', unit: 'KiB', digits: 2, target: 'at most 0.7', atMost: 0.7 },
    { name: 'CPU to accept one', unit: 'µs', digits: 0, target: '' },
    { name: 'first answer after sleep', unit: 'ms', digits: 2, target: '' },
    { name: 'answer of the object, p50', unit: 'µs', digits: 0, target: '' },
    { name: 'automatic answer, p50', unit: 'µs', digits: 0, target: '' },
  ],
  async measure(side) {
    const subject = await start(side, room, side === 'peer' ? undefined : `[http]\nconnections_per_address = ${2 * kSockets}\n`);
    const all: RawSocket[] = [];
    try {
      const open = (n: number): Promise<RawSocket> => RawSocket.open(subject.url, `/?n=${n}`);
      for (let n = 0; n < kAtOnce; ++n) all.push(await open(n));
      const before = pssBytes(subject);
      const used = cpuMillis(subject);
      while (all.length < kSockets + kAtOnce) {
        all.push(...await Promise.all(Array.from({ length: kAtOnce }, (_, index) => open(all.length + index))));
      }
      const accepted = cpuMillis(subject) - used;
      const first = (await ask(all[0]!, 'who')).answer;
      await delay(kSleepMillis);
      const memory = pssBytes(subject) - before;
      const woken = await ask(all[1]!, 'who');
      if (first.split(' ')[0] === woken.answer.split(' ')[0]) throw new Error(`${side}: the object has not slept`);
      return [
        memory / kSockets / 1024, accepted * 1000 / kSockets, woken.millis, await times(all[2]!, 'hello'), await times(all[3]!, 'ping'),
      ];
    } finally {
      for (const socket of all) socket.destroy();
      await subject.stop();
    }
  },
};
