// SPDX-License-Identifier: Apache-2.0
//
// Transcript: what a page says that one types and sees, compared with a running example.
//
// A line that begins with "$ " is a command for bash; the lines up to the next one are its output. Commands run one
// after the other in a copy of the examples, on one server, whose port takes the place of the printed one. Times of day
// and durations with milliseconds are different each time: their digits are not compared.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { requireInsula } from '../../tests/support/paths.ts';
import { ServerProcess } from '../../tests/support/server_process.ts';
import { root } from '../suites/outcome.ts';
import type { Transcript } from './markdown.ts';

const printedPort = '8787';
const commandWithin = 30_000;

interface Step {
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

function run(command: string, folder: string): Promise<string> {
  const quiet = 'curl() { command curl --silent --show-error "$@"; }';
  return new Promise((resolve) => {
    const child = execFile('bash', ['-c', `${quiet}\n${command}`], {
      cwd: folder, encoding: 'utf8', timeout: commandWithin,
    }, (error, stdout, stderr) => resolve(error === null ? stdout : `${stdout}${stderr === '' ? error.message : stderr}`));
    child.stdin?.end();
  });
}

function withoutTimes(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}/g, '#').replace(/ *\+\d+\.\d{3}s/g, ' +#s');
}

// A copy of the examples with the program beside it, and a server of one of them.
class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'insula-docs-'));
  readonly #example: string;
  #server: ServerProcess | undefined;
  port = '';

  constructor(example: string) {
    this.#example = `examples/${example}`;
    const isSource = (path: string): boolean => !path.endsWith('.insula');
    cpSync(join(root, 'examples'), join(this.folder, 'examples'), { recursive: true, filter: isSource });
    mkdirSync(join(this.folder, 'build'));
    symlinkSync(requireInsula(), join(this.folder, 'build/insula'));
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'));
  }

  async serve(): Promise<void> {
    const example = join(this.folder, this.#example);
    this.#server = new ServerProcess({
      name: this.#example, program: requireInsula(),
      args: ['serve', example, '--listen', '127.0.0.1:0', '--data', join(example, '.insula'), '--log', 'json'],
    });
    const { port } = await this.#server.log.wait('server.listening', () => true, { within: 30_000 });
    this.port = String(port);
  }

  async kill(): Promise<void> {
    this.#server?.signal('SIGKILL');
    await this.#server?.exited();
  }

  async end(): Promise<void> {
    await this.#server?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// Returns a complaint for each command whose output is another one.
export async function replay(example: string, transcripts: Transcript[]): Promise<string[]> {
  if (!existsSync(join(root, 'examples', example))) return [`there is no examples/${example}`];
  const bundled = 'examples/platform/tenants/hono/index.js';
  if (!existsSync(join(root, bundled))) throw new Error(`there is no ${bundled}: run \`make build\` first`);
  const stage = new Stage(example);
  try {
    await stage.serve();
    const complaints: string[] = [];
    for (const { restarts, text } of transcripts) {
      if (restarts) {
        await stage.kill();
        await stage.serve();
      }
      for (const { command, expected } of stepsOf(text)) {
        const said = await run(command.replaceAll(`:${printedPort}`, `:${stage.port}`), stage.folder);
        const printed = said.replaceAll(`:${stage.port}`, `:${printedPort}`);
        if (withoutTimes(printed) === withoutTimes(expected)) continue;
        complaints.push(`$ ${command}\n--- the page says\n${expected}--- the example says\n${printed}`);
      }
    }
    return complaints;
  } finally {
    await stage.end();
  }
}
