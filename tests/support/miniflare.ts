// SPDX-License-Identifier: Apache-2.0
//
// The peer of workflows: `workerd` has no engine for them, so it is miniflare with its local one.
import { Miniflare } from 'miniflare';

import { type Answer, call, type CallOptions } from './http_client.ts';
import { kCompatibilityDate, freshFolder, type WorkerSpec } from './worker_spec.ts';

export class MiniflarePeer {
  readonly #miniflare: Miniflare;
  readonly url: string;

  private constructor(miniflare: Miniflare, url: string) {
    this.#miniflare = miniflare;
    this.url = url;
  }

  static async start(workers: WorkerSpec[]): Promise<MiniflarePeer> {
    const miniflare = new Miniflare({
      host: '127.0.0.1', port: 0, cf: false, defaultPersistRoot: freshFolder(),
      workers: workers.map((worker) => ({
        name: worker.name,
        modules: [{ type: 'ESModule' as const, path: 'index.js', contents: worker.source }],
        compatibilityDate: worker.compatibilityDate ?? kCompatibilityDate,
        compatibilityFlags: worker.compatibilityFlags ?? [],
        bindings: worker.vars as Record<string, string> | undefined,
        workerLoaders: Object.fromEntries((worker.loaders ?? []).map(({ binding }) => [binding, {}])),
        serviceBindings: Object.fromEntries((worker.services ?? []).map(({ binding, service, entrypoint }) =>
          [binding, { name: service, entrypoint }])),
        workflows: Object.fromEntries((worker.workflows ?? []).map(({ binding, name, class: className }) =>
          [binding, { name, className }])),
      })),
    });
    try {
      const url = await miniflare.ready;
      return new MiniflarePeer(miniflare, url.href.replace(/\/$/, ''));
    } catch (error) {
      await miniflare.dispose();
      throw error;
    }
  }

  call(path: string, options: CallOptions = {}): Promise<Answer> {
    return call(this.url + path, options);
  }

  stop(): Promise<void> {
    return this.#miniflare.dispose();
  }
}
