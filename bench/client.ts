// SPDX-License-Identifier: Apache-2.0
//
// Two clients: wrk for load (when it is installed), and a plain keep-alive connection for latencies and as a fallback.
import { execFile } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Load {
  requests: number;
  seconds: number;
}

// One connection, one request at a time. Answers must carry a Content-Length or be chunked and small.
export class Connection {
  readonly #socket: Socket;
  readonly #host: string;
  #text = '';
  #done: { resolve: (body: string) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#receive(chunk));
    socket.on('error', (error) => this.#done?.reject(error));
    socket.on('close', () => this.#done?.reject(new Error('the server closed the connection')));
  }

  static open(url: string): Promise<Connection> {
    const { hostname, port, host } = new URL(url);
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    const socket = connect(Number(port), hostname, () => resolve(new Connection(socket, host)));
    socket.once('error', reject);
    return promise;
  }

  // Body of the answer, which must be a 200.
  get(path: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#done = { resolve, reject };
    this.#text = '';
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`);
    return promise;
  }

  // Milliseconds until the whole answer is here.
  async time(path: string): Promise<number> {
    const start = performance.now();
    await this.get(path);
    return performance.now() - start;
  }

  close(): void {
    this.#done = undefined;
    this.#socket.destroy();
  }

  #receive(chunk: string): void {
    this.#text += chunk;
    const head = this.#text.indexOf('\r\n\r\n');
    if (head < 0) return;
    const start = head + 4;
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.#text.slice(0, head));
    if (length ? this.#text.length < start + Number(length[1]) : !this.#text.endsWith('0\r\n\r\n')) return;
    const done = this.#done;
    this.#done = undefined;
    if (this.#text.startsWith('HTTP/1.1 200')) done?.resolve(this.#text.slice(start));
    else done?.reject(new Error(`unexpected answer: ${this.#text.slice(0, 400)}`));
  }
}

export function hasWrk(): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, 'wrk'), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export interface LoadOptions {
  connections: number;
  seconds: number;
  paths: string[]; // asked in turn
}

export function load(url: string, options: LoadOptions): Promise<Load> {
  return hasWrk() ? loadWithWrk(url, options) : loadFromHere(url, options);
}

// Every answer must be a 200: an error page is cheap, and a bench that counts it lies.
async function loadWithWrk(url: string, { connections, seconds, paths }: LoadOptions): Promise<Load> {
  const folder = mkdtempSync(join(tmpdir(), 'insula-bench-'));
  const script = join(folder, 'load.lua');
  const last = JSON.stringify(paths).slice(1, -1);
  writeFileSync(script, `local paths = {${last}}
local requests, next_one = {}, 0
init = function() for i, path in ipairs(paths) do requests[i] = wrk.format("GET", path) end end
request = function() next_one = next_one % #requests + 1; return requests[next_one] end
done = function(summary) local e = summary.errors
  print(string.format("RESULT %d %d %d", summary.requests, summary.duration, e.status + e.connect + e.read + e.write + e.timeout)) end
`);
  try {
    const args = ['-t1', `-c${connections}`, `-d${Math.max(1, Math.round(seconds))}s`, '-s', script, url];
    const { stdout } = await promisify(execFile)('wrk', args, { timeout: Math.ceil((seconds + 30) * 1000) });
    const [, requests, micros, errors] = /RESULT (\d+) (\d+) (\d+)/.exec(stdout) ?? [];
    if (requests === undefined || errors !== '0') throw new Error(`wrk saw errors:\n${stdout}`);
    return { requests: Number(requests), seconds: Number(micros) / 1e6 };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function loadFromHere(url: string, { connections, seconds, paths }: LoadOptions): Promise<Load> {
  const all = await Promise.all(Array.from({ length: connections }, () => Connection.open(url)));
  const start = performance.now();
  const end = start + seconds * 1000;
  let requests = 0;
  await Promise.all(all.map(async (connection) => {
    while (performance.now() < end) await connection.get(paths[requests++ % paths.length]!);
  }));
  all.forEach((connection) => connection.close());
  return { requests, seconds: (performance.now() - start) / 1000 };
}
