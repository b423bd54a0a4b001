// SPDX-License-Identifier: Apache-2.0
//
// ServerProcess: one program under test, its log, and its end. Nothing that a test starts outlives the test.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';

import { EventLog } from './event_log.ts';
import { processTree } from './proc.ts';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface StartOptions {
  name: string;
  program: string;
  args: string[];
  env?: Record<string, string>;
  folder?: string; // removed at stop()
  controlFd?: boolean; // descriptor 3 is a pipe whose lines become events too
}

const running = new Set<ServerProcess>();
process.on('exit', () => {
  for (const server of running) server.signal('SIGKILL');
});

export class ServerProcess {
  readonly log: EventLog;
  readonly pid: number;
  readonly exit: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #folder: string | undefined;
  #ended: Exit | undefined;

  constructor(options: StartOptions) {
    this.log = new EventLog(options.name);
    this.#folder = options.folder;
    this.#child = spawn(options.program, options.args, {
      stdio: ['ignore', 'pipe', 'pipe', ...(options.controlFd ? (['pipe'] as const) : [])],
      env: { PATH: process.env.PATH, ...options.env },
    });
    if (this.#child.pid === undefined) throw new Error(`cannot start ${options.program}`);
    this.pid = this.#child.pid;
    running.add(this);
    for (const [index, stream] of this.#child.stdio.entries()) {
      if (index === 0 || !stream || !('setEncoding' in stream)) continue;
      stream.setEncoding('utf8');
      stream.on('data', (chunk: string) => this.log.feed(String(index), chunk));
    }
    this.exit = once(this.#child, 'close').then(([code, signal]) => {
      this.#ended = { code, signal } as Exit;
      running.delete(this);
      this.log.close(`the process ended with ${signal ?? `code ${code}`}`);
      return this.#ended;
    });
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.hasEnded) this.#child.kill(signal);
  }

  // Process ids of the program and all its descendants.
  tree(): number[] {
    return processTree(this.pid);
  }

  // The end of the process, which must come in time.
  async exited(within = 10000): Promise<Exit> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`process ${this.pid} still runs after ${within} ms\n${this.log.tail()}`)), within);
    });
    try {
      return await Promise.race([this.exit, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  // Ends the program for good and removes its folder.
  async stop(): Promise<void> {
    this.signal('SIGINT');
    try {
      await this.exited(5000);
    } catch {
      this.signal('SIGKILL');
      await this.exit;
    }
    if (this.#folder) rmSync(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
