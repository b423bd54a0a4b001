// SPDX-License-Identifier: Apache-2.0
//
// Outcome: what a suite reports, and running a program for it under a deadline.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';

export const root: string = resolve(import.meta.dirname, '../..');
export const buildFolder: string = resolve(root, process.env.INSULA_BUILD ?? 'build');

export interface Outcome {
  passed: number;
  failed: number;
  skipped: number;
  log: string; // all that the suite's programs said
}

export interface Ended {
  ok: boolean; // exit code 0 in time
  output: string; // stdout and stderr as they came
  reason: string; // "exit code 1", "signal SIGSEGV", "not finished after 60 s"; empty when ok
}

export const nothing: Outcome = { passed: 0, failed: 0, skipped: 0, log: '' };

export function add(a: Outcome, b: Outcome): Outcome {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    log: a.log + b.log,
  };
}

// Runs a program to its end, or kills it and all that it started when the time is over.
export function runProgram(
  program: string,
  args: string[],
  options: { within: number; folder?: string; env?: NodeJS.ProcessEnv },
): Promise<Ended> {
  return new Promise((done) => {
    const child = spawn(program, args, {
      cwd: options.folder ?? root,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a process group of its own, so that its children can be killed with it
    });
    const said: Buffer[] = [];
    let isLate = false;
    const killer = setTimeout(() => {
      isLate = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, options.within);
    child.stdout.on('data', (bytes: Buffer) => said.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => said.push(bytes));
    child.on('error', (error) => {
      clearTimeout(killer);
      done({ ok: false, output: '', reason: error.message });
    });
    child.on('close', (code, signal) => {
      clearTimeout(killer);
      const output = Buffer.concat(said).toString();
      if (isLate) return done({ ok: false, output, reason: `not finished after ${options.within / 1000} s` });
      const reason = code === 0 ? '' : code === null ? `signal ${signal}` : `exit code ${code}`;
      done({ ok: code === 0, output, reason });
    });
  });
}

// The files of a folder that end so, sorted; none when there is no such folder.
export function filesEndingIn(folder: string, ending: string): string[] {
  const path = resolve(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => resolve(path, name));
}
