// SPDX-License-Identifier: Apache-2.0
//
// Transcript: what a page says that one types and sees, compared with a running example.
//
// A line that begins with "$ " is a command for bash; the lines up to the next one are its output. Commands run one
// after the other in a copy of the examples, on one server, whose port takes the place of the printed one.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { requireInsula } from '../../tests/support/paths.ts';
import { ServerProcess } from '../../tests/support/server_process.ts';
import { root } from '../suites/outcome.ts';

const printedPort = '8787';
const commandWithin = 20_000;

export interface Step {
  command: string;
  expected: string;
}

export function stepsOf(block: string): Step[] {
  const steps: Step[] = [];
  for (const line of block.split(/(?<=\n)/)) {
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2).trimEnd(), expected: '' });
    else if (steps.length > 0) steps[steps.length - 1].expected += line;
    else throw new Error(`a transcript begins with output: ${line.trimEnd()}`);
  }
  return steps;
}

function run(command: string, folder: string): string {
  const quiet = 'curl() { command curl --silent --show-error "$@"; }';
  try {
    return execFileSync('bash', ['-c', `${quiet}\n${command}`], {
      cwd: folder, encoding: 'utf8', timeout: commandWithin, stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    const { stdout, stderr, message } = error as Error & { stdout?: string; stderr?: string };
    return `${stdout ?? ''}${stderr ?? message}`;
  }
}

// Returns a complaint for each command whose output is another one.
export async function replay(steps: Step[]): Promise<string[]> {
  const program = requireInsula();
  const bundled = 'examples/platform/tenants/hono/index.js';
  if (!existsSync(join(root, bundled))) throw new Error(`there is no ${bundled}: run \`make build\` first`);
  const folder = mkdtempSync(join(tmpdir(), 'insula-docs-'));
  const isSource = (path: string): boolean => !path.endsWith('.insula');
  cpSync(join(root, 'examples'), join(folder, 'examples'), { recursive: true, filter: isSource });
  const example = join(folder, 'examples/platform');
  const server = new ServerProcess({
    name: 'insula', program, folder,
    args: ['serve', example, '--listen', '127.0.0.1:0', '--data', join(folder, 'data'), '--log', 'json'],
  });
  try {
    const { port } = await server.log.wait('server.listening', () => true, { within: 30_000 });
    const complaints: string[] = [];
    for (const { command, expected } of steps) {
      const said = run(command.replaceAll(`:${printedPort}`, `:${String(port)}`), folder);
      const printed = said.replaceAll(`:${String(port)}`, `:${printedPort}`);
      if (printed === expected) continue;
      complaints.push(`$ ${command}\n--- the page says\n${expected}--- the example says\n${printed}`);
    }
    return complaints;
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
