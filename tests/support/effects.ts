// SPDX-License-Identifier: Apache-2.0
//
// Effects: the world outside that the steps of workflows have effects on. It notices a step that runs again after a later
// one has seen its result, and a result that changes.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

// It says how often a step has run, which is what the step returns; a step comes with what those before it returned.
export class Effects {
  readonly problems: string[] = [];
  readonly #runs = new Map<string, number>();
  readonly #known = new Map<string, number[]>(); // by instance: results that a later step has seen
  readonly #server: Server;
  total = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      const url = new URL(request.url!, 'http://x');
      const id = url.searchParams.get('id')!;
      const results = JSON.parse(url.searchParams.get('results')!) as number[];
      response.end(String(this.#note(id, results)));
    });
  }
  static async start(): Promise<Effects> {
    const effects = new Effects();
    effects.#server.listen(0, '127.0.0.1');
    await once(effects.#server, 'listening');
    return effects;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  #note(id: string, results: number[]): number {
    ++this.total;
    const known = this.#known.get(id) ?? [];
    for (const [index, result] of known.entries()) {
      if (index >= results.length) this.problems.push(`${id}: step ${index} ran again after it was finished`);
      else if (results[index] !== result) this.problems.push(`${id}: step ${index} returned ${result}, and then ${results[index]}`);
    }
    if (results.length > known.length) this.#known.set(id, results);
    const key = `${id}/${results.length}`;
    const run = (this.#runs.get(key) ?? 0) + 1;
    this.#runs.set(key, run);
    return run;
  }
  [Symbol.dispose](): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
