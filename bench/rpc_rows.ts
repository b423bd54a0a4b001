// SPDX-License-Identifier: Apache-2.0
//
// RPC: what a call costs, measured from outside as the time of a request that makes many of them. Subrequests are limited
// per request, so a request makes a thousand.
import { median } from '../tests/support/until.ts';
import { Connection } from './client.ts';
import type { Row } from './rows.ts';
import { type Side, start, type Subject } from './subjects.ts';
import type { WorkerSpec } from '../tests/support/worker_spec.ts';

const kCalls = 1000;
const kRounds = 15;
const kBulk = 16; // calls that carry a mebibyte
const kStreamBytes = 64 * 1024 * 1024;

const kCounter = `class Inner extends RpcTarget { plus(a, b) { return a + b; } }
export class Api extends WorkerEntrypoint {
  plus(a, b) { return a + b; }
  inner() { return new Inner(); }
  echo(bytes) { return bytes; }
  drain(stream) { return (async () => { let sum = 0; for await (const chunk of stream) sum += chunk.byteLength; return sum; })(); }
}`;

// The same methods twice: in a class of the caller's own Worker (one runner), and in a Worker of the loader (in cordon:
// another process).
const caller: WorkerSpec = {
  name: 'caller',
  loaders: [{ binding: 'LOADER' }],
  services: [{ binding: 'NEAR', service: 'caller', entrypoint: 'Api' }],
  source: `import { RpcTarget, WorkerEntrypoint } from 'cloudflare:workers';
${kCounter}
const code = ${JSON.stringify(`import { RpcTarget, WorkerEntrypoint } from 'cloudflare:workers';\n${kCounter}`)};
const works = {
  async sequential(api, count) { for (let i = 0; i < count; i++) await api.plus(i, 1); },
  async pipelined(api, count) { for (let i = 0; i < count; i++) await api.inner().plus(i, 1); },
  async bulk(api, count) { const bytes = new Uint8Array(1048576); for (let i = 0; i < count; i++) await api.echo(bytes); },
  async stream(api, size) {
    const chunk = new Uint8Array(65536);
    let left = size;
    const stream = new ReadableStream({ type: 'bytes', pull(controller) {
      if (left <= 0) return controller.close();
      left -= chunk.byteLength;
      controller.enqueue(new Uint8Array(chunk));
    } });
    if (await api.drain(stream) !== size) throw new Error('bytes were lost');
  },
};
export default { async fetch(request, env) {
  const [, where, work, count] = new URL(request.url).pathname.split('/');
  const api = where === 'near' ? env.NEAR : env.LOADER.get('tenant', () => ({
    compatibilityDate: '2026-06-01', mainModule: 'main.js', modules: { 'main.js': code }, globalOutbound: null,
    limits: { cpuMs: 30000 },
  })).getEntrypoint('Api');
  await works[work](api, Number(count));
  return new Response('done');
} };`,
};

async function millis(connection: Connection, path: string): Promise<number> {
  for (let index = 0; index < 3; ++index) await connection.get(path);
  const times: number[] = [];
  for (let index = 0; index < kRounds; ++index) times.push(await connection.time(path));
  return median(times);
}

const calls = (where: 'near' | 'far', title: string, target: string): Row => ({
  title,
  ours: 'cordon',
  metrics: [
    { name: 'sequential', unit: 'µs', digits: 1, target },
    { name: 'pipelined (two calls)', unit: 'µs', digits: 1, target: '' },
    { name: '1 MiB there and back', unit: 'ms', digits: 2, target: '' },
    { name: 'byte stream', unit: 'ms/MiB', digits: 3, target: '' },
  ],
  measure: async (side: Side) => {
    const subject: Subject = await start(side, caller, side === 'peer' ? undefined : '[tenant_limits]\ncpu_ms = 60000\n');
    try {
      const connection = await Connection.open(subject.url);
      const sequential = await millis(connection, `/${where}/sequential/${kCalls}`);
      const pipelined = await millis(connection, `/${where}/pipelined/${kCalls / 2}`);
      const bulk = await millis(connection, `/${where}/bulk/${kBulk}`);
      const stream = await millis(connection, `/${where}/stream/${kStreamBytes}`);
      connection.close();
      return [(sequential * 1000) / kCalls, (pipelined * 1000) / (kCalls / 2), bulk / kBulk, stream / (kStreamBytes / 1048576)];
    } finally {
      await subject.stop();
    }
  },
});

export const rpcNear = calls('near', 'RPC between two Workers, one runner', 'at most 15 µs');
export const rpcFar = calls('far', 'RPC between two Workers, two runners', 'at most 50 µs');
