// SPDX-License-Identifier: Apache-2.0
//
// capnweb in tenants, over batches of fetch: an RPC library that knows nothing of Insula, as an independent check. One
// tenant serves; its clients are this process and another tenant.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { newHttpBatchRpcSession, RpcTarget } from 'capnweb';

import { bundle } from '../support/bundle.ts';
import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const server = bundle(`
import { RpcTarget, newWorkersRpcResponse } from 'capnweb';
class Account extends RpcTarget {
  #name; #balance;
  constructor(name, balance) { super(); this.#name = name; this.#balance = balance; }
  get name() { return this.#name; }
  deposit(amount) { if (!(amount > 0)) throw new RangeError('amount must be positive'); this.#balance += amount; return this.#balance; }
  async history(visit) { const seen = []; for (const n of [1, 2, 3]) seen.push(await visit(n * this.#balance)); return seen; }
}
class Bank extends RpcTarget {
  authenticate(token) { if (token !== 'good') throw new TypeError('bad token'); return new Account('ann', 10); }
  accounts() { return [{ id: 1, tags: new Set(['x']) }, { id: 2 }].map((one) => ({ id: one.id })); }
  echo(...args) { return args; }
  greet(name) { return 'hello ' + name; }
  ids() { return [1, 2, 3]; }
  nameOf(id) { return 'name ' + id; }
}
export default { fetch(request) { return newWorkersRpcResponse(request, new Bank()); } };
`);

// The client's requests to the outside go to the bank: nobody reaches the platform's own door from within.
const client = bundle(`
import { newHttpBatchRpcSession } from 'capnweb';
export default { async fetch() {
  const api = newHttpBatchRpcSession('http://bank.example/');
  const account = api.authenticate('good');
  const [name, balance, greeting] = await Promise.all([account.name, account.deposit(5), api.greet(account.name)]);
  return Response.json([name, balance, greeting]);
} };
`);

const dispatcher: WorkerSpec = {
  name: 'dispatcher',
  loaders: [{ binding: 'LOADER' }],
  source: `import { WorkerEntrypoint } from 'cloudflare:workers';
const sources = ${JSON.stringify({ bank: server, client })};
const tenant = (env, name, outbound) => env.LOADER.get(name, () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': sources[name] },
  globalOutbound: outbound })).getEntrypoint();
export class Outside extends WorkerEntrypoint { fetch(request) { return tenant(this.env, 'bank', null).fetch(request); } }
export default { fetch(request, env, ctx) {
  const name = new URL(request.url).pathname.split('/')[1];
  return tenant(env, name, name === 'client' ? ctx.exports.Outside({}) : null).fetch(request);
} };
`,
};

describe('capnweb in tenants', () => {
  let insula: Insula;
  before(async () => {
    insula = await Insula.start(dispatcher);
  });
  after(async () => {
    closeConnections();
    await insula.stop();
  });
  const session = (): any => newHttpBatchRpcSession(`${insula.url}/bank/`);

  it('calls and values', async () => {
    const api = session();
    const date = new Date(5);
    const [greeting, echoed, accounts] = await Promise.all([api.greet('you'), api.echo(1, 'two', { three: [3, null] }, date, 4n, new Uint8Array([1, 2])), api.accounts()]);
    assert.equal(greeting, 'hello you');
    assert.deepEqual(echoed, [1, 'two', { three: [3, null] }, date, 4n, Buffer.from([1, 2])]); // bytes are a Buffer in this client
    assert.deepEqual(accounts, [{ id: 1 }, { id: 2 }]);
  });

  it('a whole pipeline in one batch', async () => {
    const api = session();
    const account = api.authenticate('good');
    assert.deepEqual(await Promise.all([account.name, account.deposit(5), api.greet(account.name)]), ['ann', 15, 'hello ann']);
  });

  it('map over a result that is still there', async () => {
    const api = session();
    assert.deepEqual(await api.ids().map((id: any) => api.nameOf(id)), ['name 1', 'name 2', 'name 3']);
  });

  it('errors, also of what was pipelined on them', async () => {
    const api = session();
    const account = api.authenticate('bad');
    const outcomes = await Promise.allSettled([account, account.name, api.greet('still')]);
    assert.deepEqual(outcomes.map((one: any) => one.reason?.message ?? one.value), ['bad token', 'bad token', 'hello still']);
    assert.ok((outcomes[0] as PromiseRejectedResult).reason instanceof TypeError);
    const again = session();
    await assert.rejects(async () => again.authenticate('good').deposit(-1), /amount must be positive/);
  });

  it('names that are not there', async () => {
    const api = session();
    const outcomes = await Promise.allSettled([api.absent(), api.constructor2(), api.authenticate('good').balance]);
    assert.deepEqual(outcomes.map((one) => one.status).slice(0, 2), ['rejected', 'rejected']);
    assert.equal((outcomes[2] as PromiseFulfilledResult<unknown>).value, undefined);
  });

  it('targets of the client as arguments are refused in a batch, and the server lives on', async () => {
    class Mine extends RpcTarget { hi(): string { return 'hi'; } }
    await Promise.allSettled([session().echo(new Mine())]);
    assert.equal(await session().greet('after'), 'hello after');
  });

  it('one tenant is the client of another', async () => {
    const answer = await insula.call('/client/');
    assert.deepEqual(JSON.parse(answer.text), ['ann', 15, 'hello ann']);
  });

  it('a request that is no batch is refused', async () => {
    assert.equal((await insula.call('/bank/')).status, 400);
    assert.notEqual((await insula.call('/bank/', { method: 'POST', body: 'no batch' })).status, 200);
    assert.equal(await session().greet('after'), 'hello after');
  });

  it('many batches at once', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => session().authenticate('good').deposit(n + 1)));
    assert.deepEqual(answers, Array.from({ length: 100 }, (_, n) => n + 11));
  });
});
