// SPDX-License-Identifier: Apache-2.0
//
// Facets: start, ids and props, abort, delete and clone, depth, what may not travel (docs: facets contract).
import { type Difference, type Probe, probes } from '../support/differential.ts';

interface FacetTools {
  ctx: any;
  env: any;
  facets: any;
  app: (props?: object) => () => { class: unknown }; // a callback for get()
  facts(run: () => unknown): Promise<any>;
}
type FacetProbe = (tools: FacetTools) => unknown;

// Each case runs inside an object of its own, whose facets are of a dynamic Worker's class.
function facetProbes(group: string, cases: Record<string, FacetProbe | { run: FacetProbe; differs: Difference }>): void {
  const list = Object.entries(cases).map(([name, value]) => ({ name, ...(typeof value === 'function' ? { run: value } : value) }));
  const prelude = `import * as workers from 'cloudflare:workers';
const cases = [\n${list.map(({ run }) => run.toString()).join(',\n')}\n];
const tenant = \`import { DurableObject } from 'cloudflare:workers';
export class App extends DurableObject {
  n = 0;
  bump() { return ++this.n; }
  put(v) { this.ctx.storage.kv.put('v', v); }
  get() { return this.ctx.storage.kv.get('v'); }
  throws() { throw Object.assign(new RangeError('in the facet'), { code: 'E_FACET' }); }
  who() { return [String(this.ctx.id), this.ctx.id.constructor.name, this.ctx.id.name, this.ctx.props, Object.keys(this.ctx.exports)]; }
  abort(reason) { this.ctx.abort(reason); }
  async hang() { await scheduler.wait(400); return 'hung'; }
  fetch(request) { return new Response('facet ' + request.url); }
}
export class Plain { fetch() { return new Response('plain facet'); } }
export default { fetch() { return new Response('default'); } }\`;
const facts = async (run) => {
  try { return { none: await run() }; } catch (error) { return typeof error === 'object' ? [error.name, error.message, error.constructor?.name, error.code, error.durableObjectReset, error.remote, typeof error.durableObjectId] : { thrown: error }; }
};
export class Parent extends workers.DurableObject {
  async run(index) {
    const { ctx, env } = this;
    const worker = env.LOADER.get('tenant', () => code(tenant));
    const app = (props) => () => ({ class: worker.getDurableObjectClass('App', props && { props }) });
    try { return describe(await cases[index]({ ctx, env, facets: ctx.facets, app, worker, facts, tenant })); } catch (error) { return describe({ thrown: error }); }
  }
  take() { return 'taken'; }
}
export class Own extends workers.DurableObject {
  n = 0;
  bump() { return ++this.n; }
  hi() { return ['own', this.ctx.props, Object.keys(this.env).sort()]; }
  async nest(levels) { return levels === 0 ? 'bottom' : this.ctx.facets.get('below', () => ({ class: this.ctx.exports.Own })).nest(levels - 1); }
}
export class NoBase { fetch() { return new Response('no base'); } }`;
  const set = Object.fromEntries(list.map((item, index) => {
    const run: Probe = () => undefined;
    run.toString = () => `({ env }) => env.PARENTS.getByName('${index}').run(${index})`;
    return [item.name, { run, ...('differs' in item && { differs: item.differs as Difference }) }];
  }));
  probes(group, set, { prelude, objects: [{ binding: 'PARENTS', class: 'Parent' }], loaders: [{ binding: 'LOADER' }] });
}

facetProbes('facets: start', {
  'the stub comes before the callback is called': async ({ facets, app }) => {
    const list: unknown[] = [];
    const stub = facets.get('a', () => {
      list.push('callback');
      return app()();
    });
    list.push('after', await stub.bump(), String(stub), Object.getOwnPropertyNames(stub));
    return list;
  },
  'a running one asks no other callback': async ({ facets, app }) => {
    const first = await facets.get('a', app()).bump();
    const again = facets.get('a', () => {
      throw new Error('never');
    });
    return [first, await again.bump(), await (await again.fetch('http://x/y')).text()];
  },
  'early calls wait for it, in order': async ({ facets, app }) => {
    const slow = async (): Promise<unknown> => {
      await scheduler.wait(20);
      return app()();
    };
    const one = facets.get('a', slow);
    const two = facets.get('a', slow);
    return Promise.all([one.bump(), two.bump(), one.bump(), two.bump()]);
  },
  'an error of the callback reaches all who wait': async ({ facets, facts }) => {
    const stub = facets.get('a', () => {
      throw new RangeError('of the callback');
    });
    return Promise.all([facts(() => stub.bump()), facts(() => stub.bump()), facts(() => stub.fetch('http://x/'))]);
  },
  'a good callback after one that failed': {
    run: async ({ facets, app, facts }) => {
      await facts(() => facets.get('a', () => {
        throw new RangeError('first');
      }).bump());
      return facts(() => facets.get('a', app()).bump());
    },
    differs: { reason: 'a name does not stay broken', insula: { none: 1 } },
  },
  'classes that are none': async ({ facets, facts, env, worker }: any) => {
    const given: Record<string, unknown> = { none: {}, text: { class: 'x' }, namespace: { class: env.PARENTS }, entrypoint: { class: worker.getEntrypoint() }, number: 5, missing: { class: worker.getDurableObjectClass('Nope') }, unnamed: { class: worker.getDurableObjectClass() }, plain: { class: worker.getDurableObjectClass('Plain') } };
    const list = [];
    for (const [name, options] of Object.entries(given)) list.push([name, await facts(() => facets.get(name, () => options).bump())]);
    return list;
  },
  'ctx.id, props and exports inside': async ({ facets, app, ctx, env }) => {
    const made = app({ p: 1 })();
    const show = (all: any[]): unknown[] => [all[0] === String(ctx.id) ? 'the parent' : all[0].length === 64 ? 'another' : all[0], ...all.slice(1)];
    const ids = [undefined, 'custom', '', env.PARENTS.idFromName('named'), env.PARENTS.newUniqueId()];
    return Promise.all(ids.map(async (id, index) => show(await facets.get(String(index), () => ({ ...made, id })).who())));
  },
  'classes of the Worker itself': async ({ facets, facts, ctx }) => {
    const own = ctx.exports;
    const list = [];
    for (const [name, given] of Object.entries({ bare: own.Own, called: own.Own({ props: { x: 1 } }), namespace: own.Parent, props: own.Parent({ props: { y: 1 } }) })) {
      list.push(await facts(() => facets.get(name, () => ({ class: given })).hi()));
    }
    return [...list, await (await facets.get('base', () => ({ class: own.NoBase })).fetch('http://x/')).text()];
  },
  'names': async ({ facets, facts, app }) => {
    const long = 'y'.repeat(257);
    const list = [];
    for (const run of [() => facets.get(), () => facets.get('x'), () => facets.get('x', 5), () => facets.get(long, app()), () => facets.abort(long, 1), () => facets.delete(long), () => facets.clone(long, 'a'), () => facets.clone('a', long), () => facets.get('z'.repeat(256), app()).bump(), () => facets.get('\u00e9'.repeat(129), app()), () => facets.abort('x'), () => facets.delete(), () => facets.clone('x')]) list.push(await facts(run));
    return list;
  },
  'four levels, and not five': async ({ facets, facts, ctx }) => {
    const stub = facets.get('a', () => ({ class: ctx.exports.Own }));
    return [await facts(() => stub.nest(2)), await facts(() => stub.nest(3))];
  },
});

facetProbes('facets: storage and ends', {
  'two facets share nothing': async ({ facets, app, ctx }) => {
    ctx.storage.kv.put('v', 'of the parent');
    await facets.get('a', app()).put('of a');
    await facets.get('b', app()).put('of b');
    return [await facets.get('a', app()).get(), await facets.get('b', app()).get(), ctx.storage.kv.get('v')];
  },
  'errors of a handler reset nothing': async ({ facets, app, facts }) => {
    const stub = facets.get('a', app());
    return [await stub.bump(), await facts(() => stub.throws()), await stub.bump()];
  },
  'its own abort ends it alone': async ({ facets, app, facts }) => {
    const stub = facets.get('a', app());
    const other = facets.get('b', app());
    await stub.put(7);
    await other.bump();
    return [await facts(() => stub.abort('by itself')), await facts(() => stub.bump()), await other.bump(), await facets.get('a', app()).get()];
  },
  'abort': async ({ facets, app, facts }) => {
    const stub = facets.get('a', app());
    await stub.put(7);
    const unused = facets.get('a', app());
    const pending = facts(() => stub.hang());
    await scheduler.wait(10);
    facets.abort('a', new RangeError('my reason'));
    facets.abort('nobody', 'x');
    return [await pending, await facts(() => stub.bump()), await facts(() => stub.fetch('http://x/')), await unused.bump(), await facets.get('a', app()).get()];
  },
  'abort while the callback is awaited': async ({ facets, app, facts }) => {
    const stub = facets.get('a', async () => {
      await scheduler.wait(50);
      return app()();
    });
    const early = facts(() => stub.bump());
    await scheduler.wait(5);
    facets.abort('a', new RangeError('too early'));
    return [await early, await facts(() => stub.bump()), await facts(() => facets.get('a', app()).bump())];
  },
  'a thousand of one parent': async ({ facets, app }) => {
    for (let at = 0; at < 1000; at += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => facets.get(String(at + index), app()).put(at + index)));
    }
    return [await facets.get('0', app()).get(), await facets.get('999', app()).get()];
  },
  'delete': async ({ facets, app, facts }) => {
    const stub = facets.get('a', app());
    await stub.put(7);
    const pending = facts(() => stub.hang());
    facets.delete('a');
    facets.delete('nobody');
    return [await pending, await facts(() => stub.bump()), await facts(() => facets.get('a', app()).get())];
  },
  'clone': async ({ facets, app, facts }) => {
    await facets.get('a', app()).put('of a');
    const over = facets.get('b', app());
    await over.put('of b');
    facets.clone('a', 'b');
    const list = [await facts(() => over.bump()), await facets.get('b', app()).get(), await facets.get('a', app()).get()];
    await facets.get('b', app()).put('changed');
    list.push(await facets.get('a', app()).get());
    facets.clone('a', 'a');
    list.push(await facets.get('a', app()).get());
    facets.clone('nobody', 'b');
    list.push((await facets.get('b', app()).get()) ?? 'empty');
    return list;
  },
  'deleteAll() of the parent': async ({ facets, app, ctx, facts }) => {
    await facets.get('a', app()).put(1);
    await ctx.storage.deleteAll();
    return facts(() => facets.get('a', app()).get());
  },
  'stubs do not travel': async ({ facets, app, env, facts, tenant }: any) => {
    const stub = facets.get('a', app());
    const made = { compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': tenant } };
    return [await facts(() => env.PARENTS.getByName('other').take(stub)), await facts(() => env.LOADER.load(made).getEntrypoint(null, { props: { stub } })), await facts(() => env.LOADER.load({ ...made, env: { stub } }))];
  },
});
