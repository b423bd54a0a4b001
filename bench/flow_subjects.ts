// SPDX-License-Identifier: Apache-2.0
//
// The engines of workflows that are measured side by side: Insula, miniflare's local one, and Restate. Each with its files
// in a fresh folder of the same disk and with its own settings for durability as they come, which is "on" for all three.
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { EventLog } from '../tests/support/event_log.ts';
import { Insula } from '../tests/support/insula.ts';
import { MiniflarePeer } from '../tests/support/miniflare.ts';
import { root } from '../tests/support/paths.ts';
import { until } from '../tests/support/until.ts';
import { freshFolder, type WorkerSpec } from '../tests/support/worker_spec.ts';

export interface FlowSubject extends AsyncDisposable {
  readonly url: string;
  readonly createPath: string;  // a request that makes one instance, which ends at once, and answers when it is durable
  // Begins so many instances, each of so many steps one after the other.
  begin(instances: number, steps: number): Promise<void>;
  // How many runs have come to their end since the start.
  ended(): Promise<number>;
}

// In the same words for Insula and for miniflare.
const worker: WorkerSpec = {
  name: 'flows',
  source: `import { WorkflowEntrypoint } from 'cloudflare:workers';
let ended = 0;
export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    for (let i = 0; i < event.payload.steps; i++) await step.do('step ' + i, async () => i);
    ended++;
  }
}
export default { async fetch(request, env) {
  const [, what, count, steps] = new URL(request.url).pathname.split('/');
  if (what === 'ended') return new Response(String(ended));
  if (what === 'create') return new Response((await env.FLOW.create({ params: { steps: 0 } })).id);
  const batches = [];
  for (let left = Number(count); left > 0; left -= 100) {
    batches.push(env.FLOW.createBatch(Array.from({ length: Math.min(left, 100) }, () => ({ params: { steps: Number(steps) } }))));
  }
  await Promise.all(batches);
  return new Response('begun');
} };`,
  workflows: [{ binding: 'FLOW', name: 'flow', class: 'Flow' }],
  limits: { cpu_ms: 300000, subrequests: 1000000 },
};

async function textOf(url: string, body?: string): Promise<string> {
  const answer = await fetch(url, body === undefined ? {} : {
    method: 'POST', body, headers: { 'Content-Type': 'application/json' },
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${text}`);
  return text;
}

class WorkerSubject implements FlowSubject {
  readonly createPath = '/create';
  readonly url: string;
  readonly #server: Insula | MiniflarePeer;

  constructor(server: Insula | MiniflarePeer) {
    this.#server = server;
    this.url = server.url;
  }
  async begin(instances: number, steps: number): Promise<void> {
    await textOf(`${this.url}/begin/${instances}/${steps}`);
  }
  async ended(): Promise<number> {
    // Under load miniflare closes a connection now and then.
    for (let turn = 0; ; ++turn) {
      try {
        return Number(await textOf(`${this.url}/ended`));
      } catch (error) {
        if (turn === 3) throw error;
      }
    }
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
  }
}

const kRestate = 'node_modules/@restatedev/restate-server-linux-x64';

// The server, and the service in a process of Node's beside it, as its documentation wants it.
class RestateSubject implements FlowSubject {
  readonly createPath = '/flows/flow/send';
  readonly url: string;
  readonly #server: ChildProcess;
  readonly #service: ChildProcess;
  readonly #folder: string;

  private constructor(server: ChildProcess, service: ChildProcess, url: string, folder: string) {
    this.#server = server;
    this.#service = service;
    this.url = url;
    this.#folder = folder;
  }

  static async start(): Promise<RestateSubject> {
    const folder = freshFolder();
    const service = fork(join(root, 'bench/restate_service.ts'), { silent: true });
    const port = await new Promise<unknown>((resolve, reject) => {
      service.once('message', resolve);
      service.once('exit', () => reject(new Error('the service of Restate did not start')));
    });
    const server = spawn(join(root, kRestate, 'bin/restate-server'), ['--use-random-ports=true', '--no-logo'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env, RESTATE_BASE_DIR: folder, RESTATE_LOG_FORMAT: 'json', RESTATE_DISABLE_TELEMETRY: 'true',
        RESTATE_BIND_IP: '127.0.0.1',
      },
    });
    const log = new EventLog('restate');
    const ports = new Map<string, number>();
    for (const stream of [server.stdout, server.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (chunk: string) => {
        for (const [, name, found] of chunk.matchAll(/"server_name":"([a-z-]+)"[^\n]*?"server\.port":(\d+)/g)) {
          if (name !== undefined) ports.set(name, Number(found));
        }
        log.feed('out', chunk);
      });
    }
    const subject = (): RestateSubject =>
      new RestateSubject(server, service, `http://127.0.0.1:${ports.get('http-ingress-server')}`, folder);
    try {
      await until(() => Promise.resolve(ports.has('admin-api-server') && ports.has('http-ingress-server')), 'Restate listens', 30000);
      const uri = JSON.stringify({ uri: `http://127.0.0.1:${String(port)}` });
      await textOf(`http://127.0.0.1:${ports.get('admin-api-server')}/deployments`, uri);
      return subject();
    } catch (error) {
      await subject()[Symbol.asyncDispose]();
      throw new Error(`${(error as Error).message}\n${log.tail(20)}`);
    }
  }
  async begin(instances: number, steps: number): Promise<void> {
    await textOf(`${this.url}/flows/begin`, JSON.stringify({ instances, steps }));
  }
  ended(): Promise<number> {
    return new Promise((resolve) => {
      this.#service.once('message', (count) => resolve(Number(count)));
      this.#service.send('ended');
    });
  }
  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.#server, this.#service]) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await gone;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export const subjects: Record<string, () => Promise<FlowSubject>> = {
  Insula: async () => new WorkerSubject(await Insula.start(worker)),
  miniflare: async () => new WorkerSubject(await MiniflarePeer.start([worker])),
  Restate: () => RestateSubject.start(),
};

export function versionOf(packageName: string): string {
  return (JSON.parse(readFileSync(join(root, 'node_modules', packageName, 'package.json'), 'utf8')) as { version: string }).version;
}
