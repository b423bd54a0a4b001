// SPDX-License-Identifier: Apache-2.0
//
// Where the suites find the programs under test.
//
//   INSULA_BUILD   folder of the build to test; default: build/ in the checkout
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

export const root: string = resolve(import.meta.dirname, '../..');
export const buildFolder: string = resolve(root, process.env.INSULA_BUILD ?? 'build');
export const insulaProgram: string = resolve(buildFolder, 'insula');

// Path of the peer's native binary: the wrapper script would add a process to every measurement.
export function peerProgram(): string {
  const path = resolve(root, 'node_modules/@cloudflare/workerd-linux-64/bin/workerd');
  if (!existsSync(path)) throw new Error(`the peer is not installed at ${path}: run \`npm ci\``);
  return path;
}

export function requireInsula(): string {
  if (!existsSync(insulaProgram)) throw new Error(`no program at ${insulaProgram}: run \`make build\` first`);
  return insulaProgram;
}
