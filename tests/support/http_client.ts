// SPDX-License-Identifier: Apache-2.0
//
// An HTTP client that shows what came over the wire: nothing is followed, decoded or hidden.
import { Agent, request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';

export interface CallOptions {
  method?: string;
  host?: string; // Host header; default: the authority of the URL
  headers?: Record<string, string | string[]>;
  body?: string | Uint8Array;
  within?: number; // ms until the call counts as lost; default 15,000
}

export interface Answer {
  status: number;
  reason: string;
  headers: Record<string, string | string[] | undefined>;
  rawHeaders: string[];
  bytes: Buffer;
  text: string;
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 });
process.on('exit', () => agent.destroy());

// One request on a kept-alive connection; rejects when the connection is cut before the response is complete.
export function call(url: string, options: CallOptions = {}): Promise<Answer> {
  const { method = 'GET', host, headers = {}, body, within = 15000 } = options;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const all = host === undefined ? headers : { host, ...headers };
  const request = httpRequest(url, { method, headers: all, agent }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () => {
      const bytes = Buffer.concat(chunks);
      resolve({
        status: response.statusCode ?? 0,
        reason: response.statusMessage ?? '',
        headers: response.headers,
        rawHeaders: response.rawHeaders,
        bytes,
        text: bytes.toString('utf8'),
      });
    });
  });
  const timer = setTimeout(() => request.destroy(new Error(`${method} ${url}: no answer within ${within} ms`)), within);
  request.on('error', reject);
  request.end(body);
  return promise.finally(() => clearTimeout(timer));
}

// Closes the kept-alive connections, so that a test process can end.
export function closeConnections(): void {
  agent.destroy();
}

// Bytes in, bytes out: for requests that no HTTP library would send.
export class RawConnection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #isClosed = false;
  readonly #changed = new Set<() => void>();

  private constructor(socket: Socket) {
    this.#socket = socket;
    const wake = (): void => {
      for (const check of [...this.#changed]) check();
    };
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      wake();
    });
    socket.on('close', () => {
      this.#isClosed = true;
      wake();
    });
    socket.on('error', () => {}); // seen as the close that follows
  }

  static open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const { promise, resolve, reject } = Promise.withResolvers<RawConnection>();
    const socket = connect(Number(port), hostname, () => resolve(new RawConnection(socket)));
    socket.once('error', reject);
    return promise;
  }

  get text(): string {
    return this.#received.toString('latin1');
  }

  get byteLength(): number {
    return this.#received.length;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  // False when the kernel's buffer is full and the bytes wait here.
  send(bytes: string | Uint8Array): boolean {
    return this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  // Waits until what has arrived satisfies `enough`.
  until(enough: (text: string) => boolean, within = 10000): Promise<string> {
    return this.#wait(() => enough(this.text), within, 'the expected bytes');
  }

  closed(within = 10000): Promise<string> {
    return this.#wait(() => this.#isClosed, within, 'the end of the connection');
  }

  drained(within = 10000): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`nothing was read within ${within} ms`)), within);
    this.#socket.once('drain', resolve);
    return promise.finally(() => clearTimeout(timer));
  }

  close(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #wait(isDone: () => boolean, within: number, what: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const fail = (why: string): void => reject(new Error(`${what}: ${why}; received so far:\n${this.text.slice(0, 2000)}`));
    const check = (): void => {
      if (isDone()) resolve(this.text);
      else if (this.#isClosed) fail('the connection was closed');
    };
    const timer = setTimeout(() => fail(`not within ${within} ms`), within);
    this.#changed.add(check);
    check();
    return promise.finally(() => {
      clearTimeout(timer);
      this.#changed.delete(check);
    });
  }
}
