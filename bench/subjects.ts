// SPDX-License-Identifier: Apache-2.0
//
// The servers that are measured, on equivalent configurations: the same Workers, the same bindings.
import { Insula } from '../tests/support/insula.ts';
import { cpuMillisOf, memoryOf } from '../tests/support/proc.ts';
import type { ServerProcess } from '../tests/support/server_process.ts';
import type { WorkerSpec } from '../tests/support/worker_spec.ts';
import { Peer } from '../tests/support/workerd.ts';

export type Side = 'peer' | 'cordon' | 'shared';

export interface Subject extends ServerProcess {
  readonly url: string;
}

export function start(side: Side, worker: WorkerSpec, node?: string): Promise<Subject> {
  return side === 'peer' ? Peer.start(worker) : Insula.start(worker, { isolation: side, node });
}

export const cpuMillis = (subject: Subject): number => cpuMillisOf(subject.tree());
export const pssBytes = (subject: Subject): number => memoryOf(subject.tree()).pssBytes;

export const hello: WorkerSpec = {
  name: 'hello',
  source: 'export default { fetch() { return new Response("Hello, World!"); } };',
};

// One dispatcher for all rows of the loader: the first path segment names the tenant, whose code is made for that id,
// so that no two tenants share a compiled source.
export const dispatcher: WorkerSpec = {
  name: 'dispatcher',
  loaders: [{ binding: 'LOADER' }],
  source: `const codeOf = (id) => \`
const routes = new Map([['/', () => new Response('Hello from \${id}')],
  ['/spin', (url) => { const end = Number(url.searchParams.get('n')); let sum = 0; for (let i = 0; i < end; i++) sum = (sum * 31 + i) | 0; return new Response(String(sum)); }]]);
export default { fetch(request) {
  const url = new URL(request.url);
  const route = routes.get(url.pathname.slice(url.pathname.indexOf('/', 1))) ?? routes.get('/');
  return route(url);
} };\`;
export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    const id = pathname.slice(1, pathname.indexOf('/', 1));
    return env.LOADER.get(id, () => ({
      compatibilityDate: '2026-06-01', mainModule: 'main.js', modules: { 'main.js': codeOf(id) }, globalOutbound: null,
    })).getEntrypoint().fetch(request);
  },
};`,
};
