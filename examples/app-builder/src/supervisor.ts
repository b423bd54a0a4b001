// SPDX-License-Identifier: Apache-2.0
//
// Supervisor: the platform's object in front of one tenant's app. The app is a class that the tenant wrote, run as a facet:
// an object below this one with a database of its own. Each request of the app passes through here, and the app reaches
// nothing of here: not this database, not `env`, not the network.
import { DurableObject } from 'cloudflare:workers';

interface Env {
  LOADER: WorkerLoader;
}

// What Insula adds to the types: a limit of bytes, and figures of use, of which this is one.
type Startup = { class: DurableObjectClass; quotaBytes: number };
interface FacetUsage {
  databaseBytes: number;
}
interface Facets {
  get(name: string, startup: () => Startup): Fetcher;
  abort(name: string, reason: Error): void;
  delete(name: string): void;
  usage(name: string): Promise<FacetUsage>;
}

const plan = { bytes: 256 * 1024, calls: 20, cpuMs: 200 };
const app = 'app';

export class Supervisor extends DurableObject<Env> {
  readonly #facets = this.ctx.facets as unknown as Facets;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS versions (version INTEGER PRIMARY KEY, source TEXT NOT NULL)');
  }

  #version(): { version: number; source: string } | undefined {
    const newest = 'SELECT version, source FROM versions ORDER BY version DESC LIMIT 1';
    return this.ctx.storage.sql.exec<{ version: number; source: string }>(newest).toArray()[0];
  }

  // The running app, or one that starts with the code and the limits of now.
  #app(): Fetcher {
    return this.#facets.get(app, () => {
      const { version, source } = this.#version()!;
      const worker = this.env.LOADER.get(`${this.ctx.id}@${version}`, () => ({
        compatibilityDate: '2026-11-01',
        mainModule: 'app.js',
        modules: { 'app.js': source },
        globalOutbound: null,
        limits: { cpuMs: plan.cpuMs },
      }));
      return { class: worker.getDurableObjectClass('App'), quotaBytes: plan.bytes };
    });
  }

  async fetch(request: Request): Promise<Response> {
    if (this.#version() === undefined) return new Response('Nothing is deployed here.\n', { status: 404 });
    const calls = (this.ctx.storage.kv.get<number>('calls') ?? 0) + 1;
    if (calls > plan.calls) return new Response(`The app has used its ${plan.calls} calls.\n`, { status: 429 });
    this.ctx.storage.kv.put('calls', calls);
    try {
      return await this.#app().fetch(request);
    } catch (error) {
      // An error with a code is the runtime's word (docs/errors); any other is the app's own, and not for its visitors.
      const { code, message } = error as Error & { code?: string };
      console.warn(`${this.ctx.id.name}: ${message}`);
      if (code === undefined) return new Response('The app threw an error.\n', { status: 500 });
      return new Response(`${code}: ${message}\n`, { status: 503 });
    }
  }

  // The data stays: the next request starts the new class on the old database.
  deploy(source: string): number {
    const version = (this.#version()?.version ?? 0) + 1;
    this.ctx.storage.sql.exec('INSERT INTO versions VALUES (?, ?)', version, source);
    this.#facets.abort(app, new Error('A new version has been deployed.'));
    return version;
  }

  reset(): void {
    this.#facets.delete(app);
    this.ctx.storage.kv.delete('calls');
  }

  async usage(): Promise<object> {
    const { databaseBytes } = await this.#facets.usage(app);
    const calls = this.ctx.storage.kv.get<number>('calls') ?? 0;
    return { version: this.#version()?.version, calls, callsMax: plan.calls, onDisk: databaseBytes, databaseMax: plan.bytes };
  }
}
