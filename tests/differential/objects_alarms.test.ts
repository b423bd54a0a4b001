// SPDX-License-Identifier: Apache-2.0
//
// Durable Objects: alarms (docs: durable objects, section 7).
import { probes } from '../support/differential.ts';

const setup = {
  objects: [{ binding: 'OBJECTS', class: 'Actor' }, { binding: 'SILENT', class: 'Silent' }],
  prelude: `import * as workers from 'cloudflare:workers';
export class Actor extends workers.DurableObject {
  set(delay, mode) { const { storage } = this.ctx; storage.kv.put('mode', mode); const at = Date.now() + delay; storage.setAlarm(at); storage.kv.put('at', at); }
  clear() { return this.ctx.storage.deleteAlarm(); }
  async pending() { return typeof await this.ctx.storage.getAlarm(); }
  heard() { return this.ctx.storage.kv.get('heard') ?? []; }
  async alarm(info) {
    const { storage } = this.ctx;
    const heard = storage.kv.get('heard') ?? [];
    heard.push([info.isRetry, info.retryCount, info.scheduledTime === storage.kv.get('at'), await storage.getAlarm(), this.ctx.id.name]);
    storage.kv.put('heard', heard);
    await storage.sync();
    const mode = storage.kv.get('mode');
    if (mode === 'throw' && heard.length === 1) throw new Error('the first time');
    if (mode === 'abort' && heard.length === 1) this.ctx.abort('in an alarm');
    if (mode === 'no retry') this.ctx.abort('in an alarm', { retryAlarm: false });
    if (mode === 'again' && heard.length === 1) { const at = Date.now() + 10; storage.kv.put('at', at); await storage.setAlarm(at); }
  }
}
export class Silent extends workers.DurableObject { set() { return this.ctx.storage.setAlarm(Date.now()); } }
globalThis.heardOf = async (stub, count) => {
  for (let turn = 0; turn < 500; turn++) { const heard = await stub().heard().catch(() => []); if (heard.length >= count) return heard; await scheduler.wait(10); }
  return 'not heard';
};
`,
};

probes('objects: alarms', {
  'runs, with its time; getAlarm() is null meanwhile': async ({ env }) => {
    const stub = (): any => env.OBJECTS.getByName('once');
    await stub().set(20, 'plain');
    const before = await stub().pending();
    const heard = await (globalThis as any).heardOf(stub, 1);
    await scheduler.wait(50);
    return [before, heard, await stub().pending(), (await stub().heard()).length];
  },
  'of a past time runs at once': async ({ env }) => {
    const stub = (): any => env.OBJECTS.getByName('past');
    await stub().set(-1000, 'plain');
    return ((await (globalThis as any).heardOf(stub, 1)) as unknown[]).length;
  },
  'set anew in the handler stays': async ({ env }) => {
    const stub = (): any => env.OBJECTS.getByName('again');
    await stub().set(5, 'again');
    return (globalThis as any).heardOf(stub, 2);
  },
  'deleted does not run': async ({ env }) => {
    const stub = (): any => env.OBJECTS.getByName('deleted');
    await stub().set(60, 'plain');
    await stub().clear();
    await scheduler.wait(150);
    return [await stub().pending(), await stub().heard()];
  },
  'that throws is tried again': async ({ env }) => {
    const stub = (): any => env.OBJECTS.getByName('throws');
    await stub().set(5, 'throw');
    return ((await (globalThis as any).heardOf(stub, 2)) as unknown[][]).map((one) => one.slice(0, 2));
  },
  'aborted with retryAlarm: false is not': async ({ env }) => {
    const stub = (): any => env.OBJECTS.getByName('over');
    await stub().set(5, 'no retry');
    await (globalThis as any).heardOf(stub, 1);
    await scheduler.wait(3500);  // the first retry comes after 2 to 2.5 s
    return [(await stub().heard()).length, await stub().pending()];
  },
  'aborted is tried again': async ({ env }) => {
    const stub = (): any => env.OBJECTS.getByName('aborts');
    await stub().set(5, 'abort');
    return ((await (globalThis as any).heardOf(stub, 2)) as unknown[][]).length;
  },
  'without a handler': ({ env, caught }) => caught(() => env.SILENT.getByName('silent').set()),
}, setup);
