// SPDX-License-Identifier: Apache-2.0
//
// Origin: an HTTP server inside the test, which sees what Workers ask the network for and answers when told to.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Arrival {
  path: string;
  method: string;
  headers: IncomingMessage['headers'];
  answer(text: string, status?: number): void;
  gone: Promise<void>; // the connection of this request was closed
}

export class Origin {
  readonly #server: Server;
  readonly #waiting: Arrival[] = [];
  readonly #waiters: ((arrival: Arrival) => void)[] = [];
  arrivals = 0;

  private constructor() {
    this.#server = createServer((request, response) => this.#arrive(request, response));
  }

  static async start(): Promise<Origin> {
    const origin = new Origin();
    const { promise, resolve } = Promise.withResolvers<void>();
    origin.#server.listen(0, '127.0.0.1', resolve);
    await promise;
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  // The next request, which stays open until it is answered.
  next(within = 10000): Promise<Arrival> {
    const ready = this.#waiting.shift();
    if (ready) return Promise.resolve(ready);
    const { promise, resolve, reject } = Promise.withResolvers<Arrival>();
    const timer = setTimeout(() => {
      this.#waiters.splice(this.#waiters.indexOf(resolve), 1); // or it would swallow a later request
      reject(new Error(`no request reached the origin within ${within} ms`));
    }, within);
    this.#waiters.push(resolve);
    return promise.finally(() => clearTimeout(timer));
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #arrive(request: IncomingMessage, response: ServerResponse): void {
    this.arrivals++;
    const closed = Promise.withResolvers<void>();
    request.resume();
    response.on('close', () => closed.resolve());
    const arrival: Arrival = {
      path: request.url ?? '/',
      method: request.method ?? '',
      headers: request.headers,
      answer: (text, status = 200) => {
        response.writeHead(status, { 'content-type': 'text/plain' });
        response.end(text);
      },
      gone: closed.promise,
    };
    const waiter = this.#waiters.shift();
    if (waiter) waiter(arrival);
    else this.#waiting.push(arrival);
  }
}
