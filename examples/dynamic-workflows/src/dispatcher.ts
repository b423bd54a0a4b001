// SPDX-License-Identifier: Apache-2.0
//
// A platform whose tenants write workflows. @cloudflare/dynamic-workflows, unmodified, puts an envelope around the params
// of each instance: {tenant, version}. When the engine runs the instance, at once or after a month, the envelope says whose
// code is to be loaded, and step goes to that code.
import {
  createDynamicWorkflowEntrypoint, DynamicWorkflowBinding as LibraryBinding, wrapWorkflowBinding,
} from '@cloudflare/dynamic-workflows';

interface Env {
  LOADER: WorkerLoader;
  ASSETS: Fetcher;
  WORKFLOWS: Workflow;
}

interface Deployment {
  tenant: string;
  version: string;
}

// What tenants have as env.WORKFLOWS. All instances are of one workflow, so a tenant's ids carry its name: no tenant can
// name an instance of another one.
export class DynamicWorkflowBinding extends LibraryBinding {
  #own(id: string = crypto.randomUUID()): string {
    const { tenant } = (this as unknown as { ctx: { props: { metadata: Deployment } } }).ctx.props.metadata;
    return id.startsWith(`${tenant}-`) ? id : `${tenant}-${id}`;
  }

  create(options?: WorkflowInstanceCreateOptions): ReturnType<LibraryBinding['create']> {
    return super.create({ ...options, id: this.#own(options?.id) });
  }

  createBatch(batch: WorkflowInstanceCreateOptions[]): ReturnType<LibraryBinding['createBatch']> {
    return super.createBatch(batch.map((options) => ({ ...options, id: this.#own(options.id) })));
  }

  get(id: string): ReturnType<LibraryBinding['get']> {
    return super.get(this.#own(id));
  }
}

async function read(env: Env, path: string): Promise<string | undefined> {
  const response = await env.ASSETS.fetch(`https://assets.local/${path}`);
  return response.ok ? response.text() : undefined;
}

// The one way in which a tenant's code comes to run, for its requests and for its workflows. The version is part of the
// id: two versions are two Workers.
function workerOf(env: Env, { tenant, version }: Deployment): WorkerStub {
  return env.LOADER.get(`${tenant}@${version}`, async () => {
    const source = await read(env, `${tenant}/${version}.js`);
    if (source === undefined) throw new Error(`Tenant ${tenant} has no version ${version}.`);
    return {
      compatibilityDate: '2026-11-01',
      mainModule: 'index.js',
      modules: { 'index.js': source },
      env: { WORKFLOWS: wrapWorkflowBinding({ tenant, version }) },
      globalOutbound: null,
    };
  });
}

// The class that the engine knows. It runs code of the version that the instance was created with.
export const TenantWorkflows = createDynamicWorkflowEntrypoint(({ env, metadata }) =>
  workerOf(env as Env, metadata as unknown as Deployment).getEntrypoint('Flow') as never);

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const [, tenant = '', path = ''] = /^\/([a-z0-9]+)(\/.*)?$/.exec(url.pathname) ?? [];
    const version = tenant === '' ? undefined : await read(env, `${tenant}/current.txt`);
    if (version === undefined) return new Response(`There is no tenant "${tenant}".\n`, { status: 404 });
    const worker = workerOf(env, { tenant, version: version.trim() });
    return worker.getEntrypoint().fetch(new Request(new URL((path || '/') + url.search, url), request));
  },
};
