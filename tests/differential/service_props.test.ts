// SPDX-License-Identifier: Apache-2.0
//
// Props of service bindings, written in the configuration.
import { probes } from '../support/differential.ts';

const props = {
  text: 'plain', wide: 'ü € 😀', number: -1.5, whole: 42, large: 5000000000, flags: [true, false, null], empty: {}, none: [],
  nested: { list: [{ a: 1 }, 'x'], 7: 'seven', '01': 'name' }, long: 'x'.repeat(1000),
};

const setup = {
  services: [
    { binding: 'WITH', service: 'probes', entrypoint: 'Own', props },
    { binding: 'OTHERS', service: 'probes', entrypoint: 'Own', props: { who: 'others' } },
    { binding: 'WITHOUT', service: 'probes', entrypoint: 'Own' },
    { binding: 'PLAIN', service: 'probes', entrypoint: 'plain', props: { a: 1 } },
  ],
  loaders: [{ binding: 'LOADER' }],
  prelude: `import * as workers from 'cloudflare:workers';
export class Own extends workers.WorkerEntrypoint {
  all() { return this.ctx.props; }
  one(name) { return [typeof this.ctx.props[name], this.ctx.props[name]]; }
  fetch() { return Response.json(this.ctx.props); }
}
export const plain = { all(arg, env, ctx) { return ctx.props; } };
`,
};

probes('props of service bindings', {
  'reach the entrypoint as they are written': ({ env }) => env.WITH.all(),
  'keep their types': async ({ env }) => [await env.WITH.one('large'), await env.WITH.one('flags'), await env.WITH.one('nested'), await env.WITH.one('wide')],
  'are each binding\'s own': async ({ env }) => [await env.OTHERS.all(), await env.WITHOUT.all()],
  'reach fetch and plain handlers too': async ({ env }) => [await (await env.WITH.fetch('http://x/')).json(), await env.PLAIN.all('x')],
  'travel with the stub': async ({ env }) => {
    const stub = env.LOADER.load({
      compatibilityDate: '2026-06-01', mainModule: 'm.js', env: { GIVEN: env.OTHERS },
      modules: { 'm.js': 'export default { async fetch(request, env) { return Response.json(await env.GIVEN.all()); } };' },
    });
    return (await stub.getEntrypoint().fetch('http://x/')).json();
  },
}, setup);
