// SPDX-License-Identifier: Apache-2.0
//
// Differential tests: the same Worker and the same requests on the peer and on Insula, and the answers compared.
//
//   probes('headers', { 'names are lower case': async ({ caught }) => [...new Headers({ A: 'b' })] });
//
// A probe is a function whose *text* is put into a Worker, so it sees nothing but its argument and the globals of a
// Worker. What it returns is described as JSON (errors as name and message) and compared. A difference that is wanted
// is written down with its reason and with what Insula answers instead.
//
//   DIFFERENTIAL=peer          asks the peer only and prints what it says: for writing cases
//   INSULA_ISOLATION=process   runs Insula in that isolation instead of its default
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { type Answer, type CallOptions, closeConnections } from './http_client.ts';
import { Insula, type InsulaOptions } from './insula.ts';
import type { MiniflarePeer } from './miniflare.ts';
import type { WorkerSpec } from './worker_spec.ts';
import { Peer } from './workerd.ts';

export interface ProbeTools {
  request: Request;
  env: any;
  ctx: any;
  // Runs the function; returns what it throws or rejects with, or {none: value} when it does not.
  caught(run: () => unknown): Promise<unknown>;
  // Code of a dynamic Worker from the text of its main module.
  code(main: string, more?: object): any;
  // fetch() on the default entrypoint of a dynamic Worker: {status, text}.
  ask(stub: any, url?: string, init?: object): Promise<{ status: number; text: string }>;
}

export type Probe = (tools: ProbeTools) => unknown;

export interface ProbeCase {
  run: Probe;
  request?: CallOptions & { path?: string };
  times?: number; // how often it is asked, in sequence; all answers are compared. Default 1
  differs?: Difference;
}

export interface Difference {
  reason: string;
  insula: unknown; // the described value, or for times > 1 a list of them
}

type ProbeSet = Record<string, Probe | ProbeCase>;
export type GroupOptions = Partial<WorkerSpec> & { insula?: InsulaOptions; others?: WorkerSpec[]; prelude?: string };

const isPeerOnly = process.env.DIFFERENTIAL === 'peer';
const isolation = process.env.INSULA_ISOLATION as InsulaOptions['isolation'];

// Text that stands in every probing Worker: the tools and the description of values.
const kPrelude = String.raw`
const describe = (value, depth = 0) => {
  if (depth > 12) return '(deep)';
  const inner = (item) => describe(item, depth + 1);
  switch (typeof value) {
    case 'string': case 'boolean': return value;
    case 'number': return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: Object.is(value, -0) ? '-0' : String(value) };
    case 'undefined': return { $: 'undefined' };
    case 'bigint': return { $bigint: String(value) };
    case 'symbol': return { $symbol: String(value) };
    case 'function': return { $function: value.name };
  }
  if (value === null) return null;
  if (value instanceof Error || value instanceof DOMException) {
    // Links to a vendor's documentation are no part of the contract.
    const message = String(value.message).replace(/ See https:\S+ for details\.$/, '');
    const about = { $error: value.name, message, class: value.constructor?.name };
    if (value.remote !== undefined) about.remote = value.remote;
    return about;
  }
  if (Array.isArray(value)) return value.map(inner);
  if (value instanceof ArrayBuffer) return { $buffer: [...new Uint8Array(value)] };
  if (ArrayBuffer.isView(value)) return { ['$' + value.constructor.name]: [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)] };
  if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString() };
  if (value instanceof RegExp) return { $regexp: String(value) };
  if (value instanceof Map) return { $map: [...value].map(inner) };
  if (value instanceof Set) return { $set: [...value].map(inner) };
  if (value instanceof Headers) return { $headers: [...value] };
  const proto = Object.getPrototypeOf(value);
  if (proto !== null && proto !== Object.prototype && value.constructor?.name !== 'Object') {
    return { $object: value.constructor?.name };
  }
  return Object.fromEntries(Object.keys(value).map((key) => [key, inner(value[key])]));
};
const caught = async (run) => {
  try { return { none: await run() }; } catch (error) { return error; }
};
const code = (main, more = {}) => ({
  compatibilityDate: '2026-06-01', mainModule: 'main.js', modules: { 'main.js': main }, ...more });
const ask = async (stub, url = 'http://tenant.example/', init = undefined) => {
  // A service stub answers to every name, so the Worker's stub is told by what it lacks.
  const target = typeof stub.fetch === 'function' ? stub : stub.getEntrypoint();
  const response = await target.fetch(url, init);
  return { status: response.status, text: await response.text() };
};`;

// Declares one test per probe; all run in one Worker on each side.
export function probes(group: string, set: ProbeSet, options: GroupOptions = {}): void {
  const { insula, others = [], prelude = '', ...more } = options;
  const names = Object.keys(set);
  const cases = Object.values(set).map((value): ProbeCase => (typeof value === 'function' ? { run: value } : value));
  const source = `${prelude}\n${kPrelude}
const probes = [\n${cases.map((item) => asExpression(item.run)).join(',\n')}\n];
export default {
  async fetch(request, env, ctx) {
    const probe = probes[Number(request.headers.get('x-probe'))];
    let result;
    try {
      result = await probe({ request, env, ctx, caught, code, ask });
    } catch (error) {
      result = { thrown: error };
    }
    if (result instanceof Response) return result;
    return new Response(JSON.stringify(describe(result) ?? null), { headers: { 'content-type': 'application/json' } });
  },
};\n`;
  const worker: WorkerSpec = { name: 'probes', source, ...more };
  pair(group, [worker, ...others], insula ?? {}, (ask) => {
    for (const [index, item] of cases.entries()) {
      it(names[index]!, { timeout: 60000 }, async () => {
        const { path = '/', ...call } = item.request ?? {};
        const headers = { ...call.headers, 'x-probe': String(index) };
        const options = { host: 'probe.example', ...call, headers };
        const answers = async (side: Side): Promise<unknown> => {
          const list: unknown[] = [];
          for (let turn = 0; turn < (item.times ?? 1); ++turn) list.push(view(await ask[side]!(path, options)));
          return list.length === 1 ? list[0] : list;
        };
        await compare(names[index]!, answers, item.differs);
      });
    }
  });
}

export interface Exchange extends CallOptions {
  path?: string;
}

// Declares one test for a whole Worker: every request of the list is sent to both, in order.
export function sameWorker(
  name: string, worker: Partial<WorkerSpec> & { source: string }, requests: Exchange[],
  options: { differs?: Difference; compare?: 'status'; insula?: InsulaOptions } = {}): void {
  pair(name, [{ name: 'probes', ...worker }], options.insula ?? {}, (ask) => {
    it('answers alike', { timeout: 60000 }, async () => {
      const answers = async (side: Side): Promise<unknown> => {
        const list: unknown[] = [];
        for (const { path = '/', ...call } of requests) {
          const answer = await ask[side]!(path, { host: 'probe.example', ...call });
          list.push(options.compare === 'status' ? answer.status : view(answer));
        }
        return list.length === 1 ? list[0] : list;
      };
      await compare(name, answers, options.differs);
    });
  });
}

type Side = 'peer' | 'insula';
type Ask = Partial<Record<Side, (path: string, options: CallOptions) => Promise<Answer>>>;

async function startPeer(workers: WorkerSpec[]): Promise<Peer | MiniflarePeer> {
  if (workers.every((worker) => worker.workflows === undefined)) return Peer.start(workers);
  const { MiniflarePeer } = await import('./miniflare.ts');  // takes a while, and few need it
  return MiniflarePeer.start(workers);
}

// Starts both sides around the tests that `declare` makes.
function pair(group: string, workers: WorkerSpec[], options: InsulaOptions, declare: (ask: Ask) => void): void {
  describe(group, () => {
    const ask: Ask = {};
    let started: (Peer | MiniflarePeer | Insula)[] = [];
    before(async () => {
      const peer = await startPeer(workers);
      started.push(peer);
      ask.peer = (path, call) => peer.call(path, call);
      if (isPeerOnly) return;
      const insula = await Insula.start(workers, { flags: ['--allow-private-addresses'], ...(isolation && { isolation }), ...options });
      started.push(insula);
      ask.insula = (path, call) => insula.call(path, call);
    });
    after(async () => {
      await Promise.all(started.map((server) => server.stop()));
      started = [];
      closeConnections();
    });
    declare(ask);
  });
}

async function compare(
  name: string, answers: (side: Side) => Promise<unknown>, differs: Difference | undefined): Promise<void> {
  const peer = await answers('peer');
  if (isPeerOnly) {
    console.log(`${name}\n    ${JSON.stringify(peer)}`);
    return;
  }
  const insula = await answers('insula');
  if (!differs) {
    assert.deepEqual(insula, peer);
    return;
  }
  const wanted = bodyOf(insula);
  assert.deepEqual(wanted, differs.insula, `differs on purpose: ${differs.reason}`);
  assert.notDeepEqual(bodyOf(peer), differs.insula, 'the peer answers the same now: remove the recorded difference');
}

// Hop-by-hop and framing fields say how bytes travelled, not what the Worker answered.
const kIgnored = new Set(['connection', 'keep-alive', 'date', 'server', 'transfer-encoding', 'content-length']);

interface View {
  status: number;
  headers: Record<string, unknown>;
  body: unknown;
}

function view(answer: Answer): View {
  const headers = Object.fromEntries(
    Object.entries(answer.headers).filter(([key]) => !kIgnored.has(key)).sort(([a], [b]) => (a < b ? -1 : 1)));
  const isJson = answer.headers['content-type'] === 'application/json';
  return { status: answer.status, headers, body: isJson ? JSON.parse(answer.text) : answer.text };
}

function bodyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bodyOf);
  return value !== null && typeof value === 'object' && 'body' in value ? value.body : value;
}

// A method written as `name() {}` is no expression by itself; arrows and function expressions are.
function asExpression(run: Probe): string {
  const text = run.toString();
  return /^(async\s*)?(\(|function\b|[\w$]+\s*=>)/.test(text) ? `(${text})` : `({ ${text} })[${JSON.stringify(run.name)}]`;
}
