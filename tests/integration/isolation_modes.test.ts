// SPDX-License-Identifier: Apache-2.0
//
// One program, three placements: a dispatcher, a service Worker and tenants that call each other in every direction, by
// methods, callbacks, objects, streams and gateways. Nothing that a Worker sees may depend on where the other one lives.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { quantile } from '../support/until.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const service: WorkerSpec = {
  name: 'service',
  source: `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
class Cart extends RpcTarget {
  #items = [];
  add(item) { this.#items.push(item); return this; }
  get items() { return this.#items; }
  async each(fn) { const list = []; for (const item of this.#items) list.push(await fn(item)); return list; }
}
export class Shop extends WorkerEntrypoint {
  hello(name) { return 'hello ' + name + ' from ' + this.env.NAME; }
  cart() { return new Cart(); }
  fails(kind) { throw Object.assign(new RangeError('no ' + kind), { code: 'E_SHOP' }); }
  upper(stream) { return stream.pipeThrough(new TransformStream({ transform(chunk, c) { c.enqueue(new TextEncoder().encode(new TextDecoder().decode(chunk).toUpperCase())); } })); }
  async request(request) { return new Response(request.method + ' ' + await request.text(), { status: 201, headers: { 'x-from': this.env.NAME } }); }
  use(stub, ...args) { return stub.who(...args); }
  fetch(request) { return new Response('shop ' + new URL(request.url).pathname); }
}
export default class extends WorkerEntrypoint { fetch() { return new Response('service'); } }
`,
  vars: { NAME: 'service' },
};

const tenantSource = `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
let calls = 0;
class Session extends RpcTarget { #n = 0; next() { return ++this.#n; } async ask(host) { return host('question ' + this.#n); } }
export class Api extends WorkerEntrypoint { who(...args) { return ['api', this.ctx.props, args]; } }
export default class extends WorkerEntrypoint {
  count() { return ++calls; }
  add(a, b) { return a + b; }
  session() { return new Session(); }
  async throughService() {
    const cart = await this.env.SHOP.cart();
    await cart.add('apple'); await cart.add({ deep: [1, new Date(5)] });
    const items = await cart.items;
    const mapped = await cart.each((item) => typeof item);
    return [await this.env.SHOP.hello(this.env.TENANT), items.length, items[1].deep[1].getTime(), mapped, await this.env.SHOP.cart().add('pipelined').add('twice').items];
  }
  power() { return this.env.POWER.who('asked'); }
  async errors() { const tell = (e) => [e.name, e.message, e.code, e.remote]; return [await this.env.SHOP.fails('stock').catch(tell), await this.env.POWER.absent().catch(tell)]; }
  async streams() { const out = await this.env.SHOP.upper(new Blob(['to be ', 'shouted']).stream()); return new Response(out).text(); }
  big(bytes) { return bytes.byteLength; }
  async request() { const r = await this.env.SHOP.request(new Request('http://x/', { method: 'POST', body: 'body' })); return [r.status, r.headers.get('x-from'), await r.text()]; }
  async outbound() { const r = await fetch('http://any.example/path', { method: 'PUT', body: 'to the gateway' }); return [r.status, await r.text()]; }
  own() { return this.ctx.exports.Api({ props: { of: this.env.TENANT } }).who(1); }
  throws() { throw Object.assign(new TypeError('of ' + this.env.TENANT), { code: 7 }); }
  chain() { return new Chain(0); }
  async fetch(request) { return Response.json([this.env.TENANT, request.method, await request.text(), ++calls]); }
}
class Chain extends RpcTarget { #n; constructor(n) { super(); this.#n = n; } next() { return new Chain(this.#n + 1); } get n() { return this.#n; } }
`;

const dispatcher: WorkerSpec = {
  name: 'dispatcher',
  services: [{ binding: 'SHOP', service: 'service', entrypoint: 'Shop' }],
  loaders: [{ binding: 'LOADER' }],
  source: `import { WorkerEntrypoint } from 'cloudflare:workers';
const source = ${JSON.stringify(tenantSource)};
let heard = [];
export class Power extends WorkerEntrypoint { who(...args) { return ['power', this.ctx.props, args]; } }
export class Gateway extends WorkerEntrypoint { async fetch(request) { return new Response('gateway of ' + this.ctx.props.tenant + ': ' + request.method + ' ' + request.url + ' ' + await request.text()); } }
export class Tail extends WorkerEntrypoint { tail(events) { heard.push([this.ctx.props.tenant, events.map((event) => event.event?.rpcMethod ?? 'fetch')]); } }
const tell = (e) => [e.name, e.message, e.code, e.remote];
const acts = {
  add: (t) => t.add(2, 3), count: async (t) => [await t.count(), await t.count()], through: (t) => t.throughService(), power: (t) => t.power(), errors: (t) => t.errors(), streams: (t) => t.streams(),
  request: (t) => t.request(), outbound: (t) => t.outbound(), own: (t) => t.own(), throws: (t) => t.throws().catch(tell), absent: (t) => t.absent().catch(tell),
  big: async (t) => t.big(new Uint8Array(1 << 20)),
  session: async (t) => { const s = await t.session(); return [await s.next(), await s.next(), await s.ask((q) => 'answer to ' + q), await t.session().next()]; },
  fetch: async (t) => (await t.fetch('http://tenant/', { method: 'POST', body: 'given' })).json(),
  service: async (t, env) => [await env.SHOP.hello('host'), await (await env.SHOP.fetch('http://x/p')).text()],
  travels: async (t, env, ctx) => env.SHOP.use(ctx.exports.Power({ props: { sent: true } }), 'far'),
  order: async (t) => { const list = await Promise.all(Array.from({ length: 200 }, () => t.count())); return list.every((n, i) => i === 0 || n === list[i - 1] + 1); },
  disposed: async (t) => { const s = await t.session(); s[Symbol.dispose](); return s.next().then(() => 'works', tell); },
  pipelined: async (t) => { let at = t.chain(); for (let n = 0; n < 40; n++) at = at.next(); return at.n; },
  awaited: async (t) => { let at = await t.chain(); for (let n = 0; n < 40; n++) at = await at.next(); return at.n; },
  refused: async (t, env) => env.SHOP.use(t).then(() => 'taken', (e) => e.name),
};
export default {
  async fetch(request, env, ctx) {
    const [, tenant, act] = new URL(request.url).pathname.split('/');
    if (act === 'heard') return Response.json(heard.filter(([name]) => name === tenant));
    const worker = env.LOADER.get(tenant, () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': source },
      env: { TENANT: tenant, SHOP: env.SHOP, POWER: ctx.exports.Power({ props: { tenant } }) },
      globalOutbound: ctx.exports.Gateway({ props: { tenant } }), tails: [ctx.exports.Tail({ props: { tenant } })] }));
    return Response.json(await acts[act](worker.getEntrypoint(), env, ctx) ?? null);
  },
};
`,
};

// What each act answers, for the tenant "acme".
const wanted: Record<string, unknown> = {
  add: 5,
  through: ['hello acme from service', 2, 5, ['string', 'object'], ['pipelined', 'twice']],
  power: ['power', { tenant: 'acme' }, ['asked']],
  errors: [['RangeError', 'no stock', 'E_SHOP', true], ['TypeError', 'The RPC receiver does not implement the method "absent".', null, true]],
  streams: 'TO BE SHOUTED',
  request: [201, 'service', 'POST body'],
  outbound: [200, 'gateway of acme: PUT http://any.example/path to the gateway'],
  own: ['api', { of: 'acme' }, [1]],
  throws: ['TypeError', 'of acme', 7, true],
  absent: ['TypeError', 'The RPC receiver does not implement the method "absent".', null, true],
  big: 1 << 20,
  session: [1, 2, 'answer to question 2', 1],
  service: ['hello host from service', 'shop /p'],
  travels: ['power', { sent: true }, ['far']],
  order: true,
  disposed: ['Error', 'RPC stub used after being disposed.', null, null],
  pipelined: 40,
  awaited: 40,
  refused: 'DataCloneError',
};

for (const isolation of ['shared', 'cordon', 'process'] as const) {
  describe(`RPC in every direction (${isolation})`, () => {
    let insula: Insula;
    before(async () => {
      insula = await Insula.start([dispatcher, service], { isolation });
    });
    after(async () => {
      closeConnections();
      await insula.stop();
    });
    const ask = async (path: string): Promise<any> => {
      const answer = await insula.call(path, { within: 30000 });
      assert.equal(answer.status, 200, answer.text);
      return JSON.parse(answer.text);
    };

    for (const [act, answer] of Object.entries(wanted)) {
      it(act, async () => {
        assert.deepEqual(await ask(`/acme/${act}`), answer);
      });
    }

    it('tenants have state of their own, and one isolate each', async () => {
      assert.deepEqual(await ask('/one/count'), [1, 2]);
      assert.deepEqual(await ask('/two/count'), [1, 2]);
      assert.deepEqual(await ask('/one/fetch'), ['one', 'POST', 'given', 3]);
    });

    it('tails hear of each call', async () => {
      await ask('/tailed/add');
      await ask('/tailed/fetch');
      for (let turn = 0; (await ask('/tailed/heard')).length < 2; ++turn) assert.ok(turn < 1000, 'the tail heard too little');
      const heard: [string, string[]][] = await ask('/tailed/heard');
      assert.deepEqual(heard.map(([, events]) => events).sort(), [['add'], ['fetch']]);
    });

    it('many tenants at once', async () => {
      const names = Array.from({ length: 20 }, (_, index) => `many-${index}`);
      const answers = await Promise.all(names.map((name) => ask(`/${name}/through`)));
      assert.deepEqual(answers.map(([hello]) => hello), names.map((name) => `hello ${name} from service`));
    });

    // A call on a result that is not there yet does not wait for it: a chain costs about one trip, not one for each link.
    it('a pipelined chain takes less time than an awaited one', { skip: isolation === 'shared' && 'within one process a trip costs next to nothing' }, async () => {
      const times: Record<string, number[]> = { pipelined: [], awaited: [] };
      for (let turn = 0; turn < 15; ++turn) {
        for (const act of ['pipelined', 'awaited']) {
          const start = performance.now();
          await ask(`/chain/${act}`);
          times[act]!.push(performance.now() - start);
        }
      }
      const [pipelined, awaited] = [quantile(times.pipelined!, 0.3), quantile(times.awaited!, 0.3)];
      assert.ok(pipelined < awaited, `pipelined ${pipelined.toFixed(2)} ms, awaited ${awaited.toFixed(2)} ms`);
    });
  });
}
