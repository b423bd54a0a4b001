// SPDX-License-Identifier: Apache-2.0
//
// Durable Objects: the life of an instance, its gate, critical sections and abort() (docs: durable objects, sections 2 and 7).
import { probes } from '../support/differential.ts';

const setup = {
  objects: [{ binding: 'OBJECTS', class: 'Actor' }, { binding: 'BAD', class: 'Bad' }, { binding: 'SLOW', class: 'Slow' }],
  prelude: `import * as workers from 'cloudflare:workers';
const facts = async (run) => {
  try { return { none: await run() }; } catch (error) { return [error.name, error.message, error.constructor?.name, error.durableObjectReset, error.remote, typeof error.durableObjectId]; }
};
globalThis.facts = facts;
export class Actor extends workers.DurableObject {
  n = 0;
  bump() { return ++this.n; }
  throws() { this.n++; throw new RangeError('of the handler'); }
  fetch(request) { if (request.url.endsWith('throw')) throw new RangeError('of fetch'); return new Response('object'); }
  abort(reason, options) { this.ctx.abort(reason, options); }
  abortPlain() { this.ctx.abort(); }
  abortWith(name) { this.ctx.abort(name === 'error' ? new TypeError('typed') : { toString: () => 'an object' }); }
  abortCaught() { try { this.ctx.abort('not to be caught'); } catch {} return 'went on'; }
  write(value) { this.ctx.storage.kv.put('v', value); }
  writeAndAbort(value) { this.ctx.storage.kv.put('v', value); this.ctx.abort('after a write'); }
  read() { return this.ctx.storage.kv.get('v'); }
  async hang(ms = 400) { await scheduler.wait(ms); return 'hung'; }
  async wait() { await new Promise((resolve) => { (this.waiters ??= []).push(resolve); }); return 'woken'; }
  wake() { const { length } = this.waiters ?? []; for (const resolve of this.waiters ?? []) resolve(); return length; }
  log() { return this.list; }
  note(what) { (this.list ??= []).push(what); return what; }
  async order() { const list = ['a']; const p = this.ctx.blockConcurrencyWhile(async () => { list.push('in'); return 5; }); list.push('after'); list.push(await p); return list; }
  async two() { const list = []; const one = (name) => this.ctx.blockConcurrencyWhile(async () => { list.push(name + 1); await scheduler.wait(5); list.push(name + 2); }); const a = one('a'); const b = one('b'); await a; await b; return list; }
  async nested() { const list = []; await this.ctx.blockConcurrencyWhile(async () => { list.push('a1'); const p = this.ctx.blockConcurrencyWhile(async () => { list.push('b1'); await scheduler.wait(5); list.push('b2'); }); list.push('a2'); await scheduler.wait(1); list.push('a3'); await p; list.push('a4'); }); return list; }
  async nestedFails() { const list = []; try { await this.ctx.blockConcurrencyWhile(async () => { try { await this.ctx.blockConcurrencyWhile(async () => { throw new Error('inner'); }); } catch (error) { list.push(String(error)); } }); } catch (error) { list.push(String(error)); } return list; }
  async fails() { return this.ctx.blockConcurrencyWhile(async () => { throw new TypeError('critical'); }); }
  async failsAtOnce() { return this.ctx.blockConcurrencyWhile(() => { throw new TypeError('at once'); }); }
  async failsCaught() { try { await this.ctx.blockConcurrencyWhile(async () => { throw new TypeError('caught'); }); } catch (error) { return String(error); } }
  async block(ms) { this.note('block'); await this.ctx.blockConcurrencyWhile(async () => { this.note('in'); await scheduler.wait(ms); this.note('out'); }); return 'done'; }
  async timers() { this.list = []; const p = new Promise((resolve) => setTimeout(() => { this.note('timer'); resolve(); }, 2)); await this.ctx.blockConcurrencyWhile(async () => { await scheduler.wait(20); this.note('section'); }); await p; return this.list; }
  async fetches() { const { env } = this; await this.ctx.blockConcurrencyWhile(async () => { const reply = await env.OBJECTS.getByName('another').bump(); const text = await (await env.OBJECTS.getByName('another').fetch('http://x/')).text(); this.note([reply > 0, text]); }); return this.list; }
  async increment() { const value = (await this.ctx.storage.get('count')) ?? 0; await this.ctx.storage.put('count', value + 1); }
  count() { return this.ctx.storage.get('count'); }
  async interleaved() { const value = (await this.ctx.storage.get('loose')) ?? 0; await scheduler.wait(5); await this.ctx.storage.put('loose', value + 1); return value; }
  async misuse(kind) { return this.ctx.blockConcurrencyWhile(kind === 'none' ? undefined : kind); }
  look() { const names = []; for (const name in this.ctx) names.push(name); return [String(this.ctx), this.ctx.constructor.name, Object.getOwnPropertyNames(this.ctx), JSON.stringify(this.ctx.props), Object.keys(this.ctx.exports).sort(), String(this.ctx.facets), this.ctx.container]; }
  until() { this.ctx.waitUntil((async () => { await scheduler.wait(10); this.note('later'); })()); return 'now'; }
}
export class Bad extends workers.DurableObject {
  constructor(ctx, env) { super(ctx, env); const n = (ctx.storage.kv.get('n') ?? 0) + 1; ctx.storage.kv.put('n', n); if (globalThis.isGood !== true) throw new RangeError('constructor ' + n); }
  hi() { return this.ctx.storage.kv.get('n'); }
}
export class Slow extends workers.DurableObject {
  constructor(ctx, env) { super(ctx, env); this.list = []; ctx.blockConcurrencyWhile(async () => { this.list.push('begin'); await scheduler.wait(30); if (ctx.id.name === 'failing') throw new RangeError('set-up'); this.list.push('end'); }); }
  call(n) { this.list.push(n); return this.list; }
  fetch() { this.list.push('fetch'); return Response.json(this.list); }
}
`,
};

probes('objects: life', {
  'an error of a handler resets nothing': async ({ env }) => {
    const stub = env.OBJECTS.getByName('handler');
    const { facts } = globalThis as any;
    return [await stub.bump(), await facts(() => stub.throws()), await facts(() => stub.fetch('http://x/throw')), await stub.bump()];
  },
  'an error of the constructor is told, and the next event tries again': async ({ env }) => {
    const { facts } = globalThis as any;
    const stub = env.BAD.getByName('bad');
    const list = [await facts(() => stub.hi()), await facts(() => stub.hi()), await facts(() => env.BAD.getByName('bad').hi()), (await facts(() => env.BAD.getByName('bad').fetch('http://x/'))).slice(0, 4)];
    (globalThis as any).isGood = true;
    return [...list, await facts(() => stub.hi()), await facts(() => env.BAD.getByName('bad').hi())];
  },
  'set-up in the constructor holds all events': async ({ env }) => {
    const stub = env.SLOW.getByName('held');
    const [one, two] = await Promise.all([stub.call(1), stub.call(2)]);
    const other: any = await env.SLOW.getByName('held by fetch').fetch('http://x/');
    return [one.slice(0, 3), two.slice(0, 4), await other.json()];
  },
  'set-up that fails': async ({ env }) => {
    const { facts } = globalThis as any;
    const stub = env.SLOW.getByName('failing');
    return Promise.all([facts(() => stub.call(1)), facts(() => stub.call(2)), facts(() => stub.fetch('http://x/')).then((list: unknown[]) => list.slice(0, 4))]);
  },
  'a call may wait for another one': async ({ env }) => {
    const stub = env.OBJECTS.getByName('waiters');
    const waiting = [stub.wait(), stub.wait()];
    await stub.bump();
    return [await stub.wake(), await Promise.all(waiting)];
  },
  'waitUntil': async ({ env }) => {
    const stub = env.OBJECTS.getByName('until');
    const said = await stub.until();
    await scheduler.wait(60);
    return [said, await stub.log()];
  },
  'a response from inside': async ({ env }) => (await env.OBJECTS.getByName('response').fetch('http://x/')).text(),
}, setup);

probes('objects: abort', {
  'reaches pending calls and later ones': async ({ env }) => {
    const { facts } = globalThis as any;
    const stub = env.OBJECTS.getByName('pending');
    const pending = facts(() => stub.hang());
    const other = facts(() => env.OBJECTS.getByName('pending').hang());
    await stub.bump();
    const list = [await facts(() => stub.abort('because')), await pending, await other, await facts(() => stub.bump()), await facts(() => stub.fetch('http://x/'))];
    return [...list, await facts(() => env.OBJECTS.getByName('pending').bump())];
  },
  'a stub that nobody waits for': {
    run: async ({ env }) => {
      const { facts } = globalThis as any;
      const stub = env.OBJECTS.getByName('idle');
      await stub.bump();
      await facts(() => env.OBJECTS.getByName('idle').abort('because'));
      return facts(() => stub.bump());
    },
    differs: { reason: 'a stub learns of a reset by a call that meets it; without one it reaches the next instance', insula: { none: 1 } },
  },
  'its texts': async ({ env }) => {
    const { facts } = globalThis as any;
    const stub = (): any => env.OBJECTS.getByName('texts');
    return [await facts(() => stub().abortPlain()), await facts(() => stub().abort('')), await facts(() => stub().abort(5)), await facts(() => stub().abortWith('error')), await facts(() => stub().abortWith('object'))];
  },
  'cannot be caught': ({ env }) => (globalThis as any).facts(() => env.OBJECTS.getByName('caught').abortCaught()),
  'drops what was not committed': async ({ env }) => {
    const { facts } = globalThis as any;
    await env.OBJECTS.getByName('writes').write('kept');
    await facts(() => env.OBJECTS.getByName('writes').writeAndAbort('lost'));
    return env.OBJECTS.getByName('writes').read();
  },
}, setup);

probes('objects: critical sections', {
  'begin after what their caller goes on to do': async ({ env }) => env.OBJECTS.getByName('order').order(),
  'follow each other': async ({ env }) => env.OBJECTS.getByName('two').two(),
  'nest': async ({ env }) => env.OBJECTS.getByName('nested').nested(),
  'that fail reset the object': async ({ env }) => {
    const { facts } = globalThis as any;
    const stub = env.OBJECTS.getByName('fails');
    const pending = facts(() => stub.hang());
    await stub.bump();
    return [await facts(() => stub.fails()), await pending, await facts(() => stub.bump()), await facts(() => env.OBJECTS.getByName('fails').bump()),
      await facts(() => env.OBJECTS.getByName('fails').failsAtOnce()), await facts(() => env.OBJECTS.getByName('fails').failsCaught()), await facts(() => env.OBJECTS.getByName('fails').nestedFails())];
  },
  'hold calls back': async ({ env }) => {
    const stub = env.OBJECTS.getByName('holds');
    const calls = [stub.block(20), stub.note('call 1'), stub.note('call 2')];
    await Promise.all(calls);
    return stub.log();
  },
  'hold timers back': async ({ env }) => env.OBJECTS.getByName('timers').timers(),
  'let their own replies in': async ({ env }) => env.OBJECTS.getByName('replies').fetches(),
  'want a function': async ({ env }) => (globalThis as any).facts(() => env.OBJECTS.getByName('misuse').misuse('none')),
}, setup);

probes('objects: the gate', {
  'no increment is lost': async ({ env }) => {
    const stub = env.OBJECTS.getByName('gate');
    await Promise.all(Array.from({ length: 100 }, () => stub.increment()));
    return stub.count();
  },
  'a timer lets others in': async ({ env }) => {
    const stub = env.OBJECTS.getByName('loose');
    return Promise.all([stub.interleaved(), stub.interleaved(), stub.interleaved()]);
  },
}, setup);
