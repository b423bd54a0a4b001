// SPDX-License-Identifier: Apache-2.0
//
// Insula: the real program on a fresh folder and a port that the kernel chose.
import { join, relative } from 'node:path';

import { type CallOptions, type Answer, call } from './http_client.ts';
import { requireInsula } from './paths.ts';
import { ServerProcess } from './server_process.ts';
import { freshFolder, type WorkerSpec, writeFile, writeWrangler } from './worker_spec.ts';

export interface InsulaOptions {
  isolation?: 'cordon' | 'process' | 'shared';
  node?: string; // text of insula.toml: settings of the node
  flags?: string[];
  env?: Record<string, string>;
  readyWithin?: number;
}

export interface RunnerProcess {
  runner: unknown;
  pid: number;
  role: string; // "platform", "tenants-0", "spare", ...: what it was promoted to last
}

export class Insula extends ServerProcess {
  readonly folder: string;
  #url: string | undefined;

  private constructor(folder: string, args: string[], env: Record<string, string>) {
    super({ name: 'insula', program: requireInsula(), args, env, folder });
    this.folder = folder;
  }

  // Starts without waiting: for tests of a start that must fail.
  static spawn(workers: WorkerSpec[], options: InsulaOptions = {}): Insula {
    const folder = freshFolder();
    const files = workers.map((worker) => relative(folder, writeWrangler(folder, worker)));
    writeFile(join(folder, 'insula.toml'), `workers = ${JSON.stringify(files)}\n${options.node ?? ''}`);
    const args = ['serve', folder, '--listen', '127.0.0.1:0', '--data', join(folder, 'data'), '--log', 'json'];
    if (options.isolation) args.push('--isolation', options.isolation);
    return new Insula(folder, [...args, ...(options.flags ?? [])], options.env ?? {});
  }

  static async start(workers: WorkerSpec | WorkerSpec[], options: InsulaOptions = {}): Promise<Insula> {
    const insula = Insula.spawn([workers].flat(), options);
    try {
      await insula.listening(options.readyWithin);
    } catch (error) {
      await insula.stop();
      throw error;
    }
    return insula;
  }

  // Rejects when the program ends before that.
  async listening(within = 20000): Promise<void> {
    const { url } = await this.log.wait('server.listening', () => true, { within });
    this.#url = String(url).replace(/\/$/, '');
  }

  get url(): string {
    if (this.#url === undefined) throw new Error('insula is not listening yet');
    return this.#url;
  }

  call(path: string, options: CallOptions = {}): Promise<Answer> {
    return call(this.url + path, options);
  }

  // Runners that were started and have not ended, as the log tells it.
  runners(): RunnerProcess[] {
    const living = new Map<unknown, RunnerProcess>();
    for (const event of this.log.since()) {
      const known = living.get(event.runner);
      if (event.event === 'runner.started') {
        living.set(event.runner, { runner: event.runner, pid: Number(event.pid), role: String(event.role) });
      } else if (event.event === 'runner.promoted' && known) {
        known.role = String(event.role);
      } else if (event.event === 'runner.exited' || event.event === 'runner.lost') {
        living.delete(event.runner);
      }
    }
    return [...living.values()];
  }
}
