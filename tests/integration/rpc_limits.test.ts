// SPDX-License-Identifier: Apache-2.0
//
// RPC under limits: who is charged, what the caller sees when a callee is stopped, lost, hung or evicted, what tails hear of
// it, and that a callee ends with a caller who goes away.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closeConnections, RawConnection } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { Origin } from '../support/origin.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const tenantSource = `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
class Thing extends RpcTarget { hi() { return 'hi'; } spin() { for (;;) {} } async ask(origin) { return (await fetch(origin)).text(); } }
export default class extends WorkerEntrypoint {
  hi() { return 'hi'; }
  spin() { for (;;) {} }
  work() { let n = 0; while (n < 2e8) n++; return n; }
  grow() { const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1)); }
  hang() { return new Promise(() => {}); }
  thing() { return new Thing(); }
  async ask(origin) { return (await fetch(origin)).text(); }
  async many(count) { let done = 0; try { for (; done < count; done++) await this.env.POWER.hi(); } catch (error) { return [done, error.code]; } return [done]; }
  async session(count) { const thing = await this.env.POWER.thing(); let done = 0; try { for (; done < count; done++) await thing.hi(); } catch (error) { return [done, error.code]; } return [done]; }
  deeper(n) { return this.env.POWER.deeper(n + 1); }
  callHost(fn) { return fn(); }
  logs(text) { console.log(text); return 'logged'; }
  async wait(ms) { await new Promise((resolve) => setTimeout(resolve, ms)); return 'waited'; }
  functions(count) { return Array.from({ length: count }, () => () => 1); }
  fetch() { return new Response('fetched'); }
}
`;

const dispatcher: WorkerSpec = {
  name: 'dispatcher',
  loaders: [{ binding: 'LOADER' }],
  services: [{ binding: 'SELF', service: 'dispatcher', entrypoint: 'Power' }],
  source: `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
const source = ${JSON.stringify(tenantSource)};
let heard = [];
class Thing extends RpcTarget { hi() { return 'hi'; } }
export class Power extends WorkerEntrypoint {
  hi() { return 'power'; }
  thing() { return new Thing(); }
  async deeper(n) { try { return await this.env.SELF.deeper(n + 1); } catch (error) { return [n, error.code]; } }
}
export class Tail extends WorkerEntrypoint { tail(events) { for (const event of events) heard.push([this.ctx.props.id, event.outcome, event.event?.rpcMethod ?? 'fetch', event.truncated, event.exceptions.length]); } }
const tell = (error) => ({ name: error.name, code: error.code, remote: error.remote, retryable: error.retryable, message: error.message });
const spin = () => { let n = 0; while (n < 2e8) n++; return n; };
const acts = {
  spin: (t) => t.spin(), grow: (t) => t.grow(), hang: (t) => t.hang(), work: (t) => t.work(), hi: (t) => t.hi(),
  spinInObject: async (t) => (await t.thing()).spin(),
  many: (t, url) => t.many(Number(url.searchParams.get('n'))), session: (t, url) => t.session(Number(url.searchParams.get('n'))), deeper: (t) => t.deeper(0),
  charged: (t) => t.callHost(spin), logs: (t) => t.logs('x'.repeat(300000)), fetch: async (t) => (await t.fetch('http://t/')).text(),
  after: async (t) => { await t.spin().catch(() => {}); return t.hi(); },
  behind: async (t) => {
    const spun = t.spin().catch((error) => error.code);
    const behind = [t.hi(), t.thing().hi(), t.fetch('http://t/', { method: 'POST', body: 'sent' }).then((response) => response.text()), t.hi()];
    return Promise.all([spun, ...behind.map((one) => one.catch(tell))]);
  },
  flood: async (t) => {
    const all = await Promise.allSettled(Array.from({ length: 6000 }, () => t.wait(50)));
    const refused = all.filter((one) => one.status === 'rejected').map((one) => one.reason);
    return { answered: all.length - refused.length, refused: refused.length, codes: [...new Set(refused.map((error) => error.code ?? error.message))] };
  },
  functions: async (t) => {
    let given = 0;
    const held = [];
    try { for (; given < 130; given++) held.push(await t.functions(1000)); } catch (error) { return { given, ...tell(error) }; }
    return { given };
  },
  ask: (t, url, env) => t.ask(env.ORIGIN), askObject: async (t, url, env) => (await t.thing()).ask(env.ORIGIN),
  keep: async (t, url, env) => { const thing = await t.thing(); const before = await thing.hi(); await fetch(env.ORIGIN); return [before, await thing.hi().catch(tell), await t.hi()]; },
};
export default { async fetch(request, env, ctx) {
  const url = new URL(request.url);
  const [, id, act] = url.pathname.split('/');
  if (act === 'heard') return Response.json(heard.filter(([name]) => name === id).map((one) => one.slice(1)));
  const limits = url.searchParams.has('cpu') ? { cpuMs: Number(url.searchParams.get('cpu')) } : url.searchParams.has('sub') ? { subRequests: Number(url.searchParams.get('sub')) } : undefined;
  const t = env.LOADER.get(id, () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': source },
    env: { POWER: ctx.exports.Power({ props: {} }) }, tails: [ctx.exports.Tail({ props: { id } })] })).getEntrypoint(null, { limits });
  try { return Response.json({ got: await acts[act](t, url, env) ?? null }); } catch (error) { return Response.json(tell(error)); }
} };
`,
};

for (const isolation of ['shared', 'cordon', 'process'] as const) {
  describe(`RPC under limits (${isolation})`, () => {
    let insula: Insula;
    let origin: Origin;
    before(async () => {
      origin = await Origin.start();
      insula = await Insula.start({ ...dispatcher, vars: { ORIGIN: origin.url } }, { isolation, flags: ['--allow-private-addresses'], node: '[tenant_limits]\ncpu_ms = 3000\nmemory_mib = 64\n' });
    });
    after(async () => {
      closeConnections();
      origin.stop();
      await insula.stop();
    });
    const ask = async (path: string): Promise<any> => JSON.parse((await insula.call(path, { within: 30000 })).text);
    const heard = async (id: string, count: number): Promise<any[]> => {
      for (let turn = 0; ; ++turn) {
        const list = await ask(`/${id}/heard`);
        if (list.length >= count) return list;
        assert.ok(turn < 2000, `the tail heard ${JSON.stringify(list)}`);
      }
    };

    for (const act of ['spin', 'spinInObject']) {
      it(`${act}: the CPU limit ends the callee, not the caller`, async () => {
        const told = await ask(`/${act}/${act}?cpu=100`);
        assert.equal(told.code, 'ERR_CPU_LIMIT');
        assert.equal(told.message, 'Worker exceeded CPU time limit.');
        assert.equal(told.remote, undefined);
        assert.deepEqual(await ask(`/${act}/hi`), { got: 'hi' });
      });
    }

    it('after it the same stub can be called again', async () => {
      assert.deepEqual(await ask('/again/after?cpu=100'), { got: 'hi' });
    });

    it('calls that wait behind it never saw the isolate, and go to the fresh one', async () => {
      assert.deepEqual(await ask('/behind/behind?cpu=100'), { got: ['ERR_CPU_LIMIT', 'hi', 'hi', 'fetched', 'hi'] });
    });

    it('the work of a callback is the host\'s, not the tenant\'s', async () => {
      assert.deepEqual(await ask('/charged/charged?cpu=40'), { got: 2e8 });
      assert.equal((await ask('/charged/work?cpu=40')).code, 'ERR_CPU_LIMIT');
    });

    it('memory that grows ends that tenant only', async () => {
      const told = await ask('/grows/grow');
      assert.ok(['ERR_MEMORY_LIMIT', 'ERR_RUNNER_LOST', undefined].includes(told.code), JSON.stringify(told));
      assert.ok(told.got === undefined);
      assert.deepEqual(await ask('/grows/hi'), { got: 'hi' });
      assert.deepEqual(await ask('/neighbour/hi'), { got: 'hi' });
    });

    it('a call that can never end is cancelled', async () => {
      const told = await ask('/hangs/hang');
      assert.equal(told.code, 'ERR_HUNG');
      assert.match(told.message, /^The Workers runtime canceled this request because it detected that your Worker's code had hung/);
      assert.equal(told.remote, undefined);
    });

    it('calls are subrequests, calls of an object are not', async () => {
      assert.deepEqual(await ask('/counted/many?n=5&sub=3'), { got: [3, 'ERR_SUBREQUEST_LIMIT'] });
      assert.deepEqual(await ask('/counted/session?n=20&sub=3'), { got: [20] });
      assert.deepEqual(await ask('/counted/many?n=3&sub=3'), { got: [3] });
    });

    it('Workers that call each other by RPC stop at the sixteenth', async () => {
      const { got } = await ask('/deep/deeper');
      assert.equal(got[1], 'ERR_DEPTH_LIMIT');
      assert.ok(got[0] >= 12 && got[0] <= 17, `stopped at ${got[0]}`);
    });

    it('tails hear the outcome', async () => {
      await ask('/tailed/spin?cpu=50');
      await ask('/tailed/hi');
      await ask('/tailed/logs');
      await ask('/tailed/fetch');
      const list = await heard('tailed', 4);
      const of = (method: string): any => list.find(([, name]) => name === method);
      assert.equal(of('spin')[0], 'exceededCpu');
      assert.deepEqual(of('hi').slice(0, 3), ['ok', 'hi', false]);
      assert.equal(of('logs')[2], true, 'a log over its limit is marked as cut');
      assert.equal(of('fetch')[0], 'ok');
    });

    it('more calls at once than may run: the rest is refused with a code, and nobody is lost', async () => {
      const mark = insula.log.mark();
      const { got } = await ask('/flooded/flood');
      assert.equal(got.answered + got.refused, 6000);
      assert.ok(got.answered >= 64, `${got.answered} were answered`);
      for (const code of got.codes) assert.match(code, /^ERR_/);
      assert.deepEqual(await ask('/flooded/hi'), { got: 'hi' });
      assert.equal(insula.log.all('runner.lost', mark).length, 0);
    });

    it('more live stubs than may be: a clear error, and the tenant lives on', async () => {
      const { got } = await ask('/functions/functions');
      assert.ok(got.given >= 50, JSON.stringify(got));
      if (got.given < 130) assert.ok(got.message.length > 0 && got.name !== undefined, JSON.stringify(got));
      assert.deepEqual(await ask('/functions/hi'), { got: 'hi' });
    });

    for (const act of ['ask', 'askObject']) {
      it(`${act}: a client that goes away ends the callee`, async () => {
        const connection = await RawConnection.open(insula.url);
        connection.send(`GET /gone-${act}/${act} HTTP/1.1\r\nHost: x\r\n\r\n`);
        const arrival = await origin.next();
        connection.close();
        await arrival.gone;
        for (let turn = 0; ; ++turn) {
          const list = await ask(`/gone-${act}/heard`);
          if (list.some(([outcome]: string[]) => outcome === 'canceled')) break;
          assert.ok(turn < 2000, JSON.stringify(list));
        }
      });
    }
  });
}

describe('a tenant\'s process is lost while its objects are held', () => {
  it('their stubs break with a clear error, and a new call finds a new isolate', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start({ ...dispatcher, vars: { ORIGIN: origin.url } }, { isolation: 'cordon', flags: ['--allow-private-addresses'] });
    const pending = insula.call('/lost/keep', { within: 30000 });
    const arrival = await origin.next();
    const victims = insula.runners().filter((runner) => runner.role.startsWith('tenants'));
    assert.ok(victims.length > 0);
    for (const { pid, runner } of victims) {
      const mark = insula.log.mark();
      process.kill(pid, 'SIGKILL');
      await insula.log.wait('runner.exited', (event) => event.runner === runner, { after: mark });
    }
    arrival.answer('');
    const { got: [first, broken, again] } = JSON.parse((await pending).text);
    assert.equal(first, 'hi');
    assert.ok(broken.code === 'ERR_RUNNER_LOST' || broken.code === 'ERR_ISOLATE_LOST', JSON.stringify(broken));
    assert.equal(broken.remote, undefined);
    assert.equal(again, 'hi');
    closeConnections();
  });
});
