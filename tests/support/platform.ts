// SPDX-License-Identifier: Apache-2.0
//
// A small platform for tests: a dispatcher that loads the tenant named by the first path segment from `tenants`.
//
//   /acme/path        the tenant "acme" answers
//   /acme/path?id=x   the same code under another id
//
// What the dispatcher catches becomes a response: the status and code of the error, its message and its `remote` mark.
import type { WorkerSpec } from './worker_spec.ts';

export interface Tenant {
  source: string;
  limits?: { cpuMs?: number; subRequests?: number };
  env?: Record<string, unknown>;
  outbound?: 'inherit';
  wasm?: number[]; // bytes of a second module, "module.wasm"
}

export function platform(tenants: Record<string, string | Tenant>, more: Partial<WorkerSpec> = {}): WorkerSpec {
  const known = Object.fromEntries(Object.entries(tenants)
    .map(([name, tenant]) => [name, typeof tenant === 'string' ? { source: tenant } : tenant]));
  const source = `const tenants = ${JSON.stringify(known)};
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const name = url.pathname.split('/')[1];
    const tenant = tenants[name];
    if (!tenant) return new Response('no such tenant', { status: 404 });
    const worker = env.LOADER.get(url.searchParams.get('id') ?? name, () => ({
      compatibilityDate: '2026-06-01',
      mainModule: 'main.js',
      modules: { 'main.js': tenant.source, ...(tenant.wasm && { 'module.wasm': { wasm: Uint8Array.from(tenant.wasm) } }) },
      env: tenant.env,
      limits: tenant.limits,
      ...(tenant.outbound === 'inherit' ? {} : { globalOutbound: null }),
    }));
    try {
      return await worker.getEntrypoint().fetch(request);
    } catch (error) {
      return Response.json(
        { name: error.name, code: error.code, message: error.message, remote: error.remote },
        { status: 503, headers: { 'x-code': String(error.code) } });
    }
  },
};
`;
  return { name: 'platform', source, loaders: [{ binding: 'LOADER' }], ...more };
}

// A tenant that answers with its name and a counter: loss of the isolate shows as a counter that starts again.
export const counting = 'let n = 0; export default { fetch() { return new Response(String(++n)); } };';

export const hello = 'export default { fetch() { return new Response("hello"); } };';
