// SPDX-License-Identifier: Apache-2.0
//
// What is measured. Each row yields numbers from one fresh server; run.ts repeats it on both sides in turn.
import { quantile } from '../tests/support/until.ts';
import { Connection, load } from './client.ts';
import { facets } from './facet_rows.ts';
import { rpcFar, rpcNear } from './rpc_rows.ts';
import { sockets } from './socket_rows.ts';
import { durable, sql } from './sql_rows.ts';
import { cpuMillis, dispatcher, hello, pssBytes, type Side, start, type Subject } from './subjects.ts';

export interface Metric {
  name: string;
  unit: string;
  digits: number;
  target: string; // docs/design: what we want
  atMost?: number; // wanted ratio ours / peer
}

export interface Row {
  title: string;
  ours: Side;
  metrics: Metric[];
  measure(side: Side, scale: Scale): Promise<number[]>; // one number per metric
}

export interface Scale {
  seconds: number; // of load
  loads: number; // cold loads
  tenants: number; // loaded for memory
}

const kMiB = 1024 * 1024;
const kConnections = 32;

async function withServer(
  side: Side, worker: typeof hello, run: (subject: Subject) => Promise<number[]>, node?: string): Promise<number[]> {
  const subject = await start(side, worker, side === 'peer' ? undefined : node);
  try {
    return await run(subject);
  } catch (error) {
    throw new Error(`bench: ${side}, ${worker.name}: ${(error as Error).message}\nThe server's last lines:\n${subject.log.tail(8)}`);
  } finally {
    await subject.stop();
  }
}

// CPU of all server processes per request under load, and requests per second.
async function cpuPerRequest(subject: Subject, paths: string[], scale: Scale): Promise<number[]> {
  await load(subject.url, { connections: kConnections, seconds: Math.max(1, scale.seconds / 3), paths }); // code gets hot
  const family = subject.tree().join();
  const before = cpuMillis(subject);
  const { requests, seconds } = await load(subject.url, { connections: kConnections, seconds: scale.seconds, paths });
  const used = cpuMillis(subject) - before;
  if (subject.tree().join() !== family) throw new Error('a server process came or went while its CPU time was counted');
  return [(used * 1000) / requests, requests / seconds];
}

const cpuMetrics = (target: string, atMost: number): Metric[] => [
  { name: 'CPU per request', unit: 'µs', digits: 1, target, atMost },
  { name: 'requests per second, 32 connections', unit: '/s', digits: 0, target: '' },
];

const staticHello: Row = {
  title: 'Static hello',
  ours: 'cordon',
  metrics: cpuMetrics('at most 1/4', 0.25),
  measure: (side, scale) => withServer(side, hello, (subject) => cpuPerRequest(subject, ['/'], scale)),
};

const warmDispatch = (ours: Side, target: string, atMost: number): Row => ({
  title: `Dispatcher + loader, 20 warm tenants (${ours})`,
  ours,
  metrics: cpuMetrics(target, atMost),
  measure: (side, scale) => withServer(side, dispatcher, (subject) =>
    cpuPerRequest(subject, Array.from({ length: 20 }, (_, index) => `/w${index}/`), scale)),
});

const coldLoad: Row = {
  title: 'First request to an unseen tenant',
  ours: 'cordon',
  metrics: [
    { name: 'p50', unit: 'ms', digits: 2, target: 'at most 1/5', atMost: 0.2 },
    { name: 'p99', unit: 'ms', digits: 2, target: 'at most 1/5', atMost: 0.2 },
  ],
  measure: (side, scale) => withServer(side, dispatcher, async (subject) => {
    const connection = await Connection.open(subject.url);
    for (let index = 0; index < 20; ++index) await connection.get(`/warm${index}/`);
    const times: number[] = [];
    for (let index = 0; index < scale.loads; ++index) times.push(await connection.time(`/cold${index}/`));
    connection.close();
    return [quantile(times, 0.5), quantile(times, 0.99)];
  }),
};

const memory: Row = {
  title: 'Resident memory',
  ours: 'cordon',
  metrics: [
    { name: 'per loaded tenant, at 1,000', unit: 'MiB', digits: 2, target: 'at most 1.0 MiB' },
    { name: 'whole node, one tenant loaded', unit: 'MiB', digits: 0, target: 'at most 60 MiB' },
  ],
  measure: (side, scale) => withServer(side, dispatcher, async (subject) => {
    const lanes = await Promise.all(Array.from({ length: 4 }, () => Connection.open(subject.url)));
    await lanes[0]!.get('/first/');
    const idle = pssBytes(subject);
    let next = 0;
    await Promise.all(lanes.map(async (lane) => {
      while (next < scale.tenants) await lane.get(`/m${next++}/`);
    }));
    const loaded = pssBytes(subject);
    lanes.forEach((lane) => lane.close());
    return [(loaded - idle) / scale.tenants / kMiB, idle / kMiB];
  }, 'isolates_max = 4000\nrunner_memory_mib = 4096\n'),
};

// Sequential requests to one tenant while another of the same process computes for a second or so, several times over.
const neighbour: Row = {
  title: 'A neighbour\'s latency while one tenant computes without pause',
  ours: 'cordon',
  metrics: [
    { name: 'p50', unit: 'ms', digits: 2, target: '' },
    { name: 'p99', unit: 'ms', digits: 2, target: 'at most twice its p99 alone' },
    { name: 'p99 alone', unit: 'ms', digits: 2, target: '' },
  ],
  measure: (side) => withServer(side, dispatcher, async (subject) => {
    const [quiet, loud] = [await Connection.open(subject.url), await Connection.open(subject.url)];
    await quiet.get('/quiet/');
    const alone: number[] = [];
    for (let index = 0; index < 2000; ++index) alone.push(await quiet.time('/quiet/'));
    await loud.get('/loud/spin?n=1000000');
    const beside: number[] = [];
    for (let turn = 0; turn < 3; ++turn) {
      let isSpinning = true;
      const spin = loud.get('/loud/spin?n=200000000').finally(() => { isSpinning = false; });
      while (isSpinning) beside.push(await quiet.time('/quiet/'));
      await spin;
    }
    quiet.close();
    loud.close();
    return [quantile(beside, 0.5), quantile(beside, 0.99), quantile(alone, 0.99)];
  }, 'tenant_runners = 1\n[tenant_limits]\ncpu_ms = 60000\n'),
};

export const rows: Record<string, Row> = {
  hello: staticHello,
  dispatch: warmDispatch('cordon', 'at most 1/5', 0.2),
  shared: warmDispatch('shared', 'at most 1/10', 0.1),
  cold: coldLoad,
  memory,
  neighbour,
  rpc_near: rpcNear,
  rpc_far: rpcFar,
  sql,
  durable,
  facets,
  sockets,
};
