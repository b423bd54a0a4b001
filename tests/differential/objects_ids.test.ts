// SPDX-License-Identifier: Apache-2.0
//
// Durable Objects: namespaces, ids and stubs (docs: durable objects, section 1).
import { probes } from '../support/differential.ts';

const setup = {
  objects: [{ binding: 'OBJECTS', class: 'Actor' }, { binding: 'OTHERS', class: 'Other' }],
  prelude: `import * as workers from 'cloudflare:workers';
export class Actor extends workers.DurableObject {
  who() { return [String(this.ctx.id), this.ctx.id.name, this.ctx.id.constructor.name]; }
  put(value) { this.ctx.storage.kv.put('v', value); }
  get() { return this.ctx.storage.kv.get('v'); }
  async slow(n) { this.list ??= []; this.list.push(n); return this.list.length; }
  once() { globalThis.made ??= 0; return [this.mine ??= ++globalThis.made]; }
}
export class Other extends Actor {}
`,
};

probes('objects: ids', {
  'equal names give equal ids': ({ env }) => {
    const { OBJECTS } = env;
    const id = OBJECTS.idFromName('x');
    return [String(id) === String(OBJECTS.idFromName('x')), id.equals(OBJECTS.idFromName('x')), id.equals(OBJECTS.idFromName('y')), String(id) === String(env.OTHERS.idFromName('x')), /^[0-9a-f]{64}$/.test(String(id))];
  },
  'a name is kept, whatever it is': ({ env }) => [env.OBJECTS.idFromName('n').name, env.OBJECTS.idFromName(5).name, env.OBJECTS.idFromName('').name, env.OBJECTS.idFromName('a'.repeat(1025)).name.length, env.OBJECTS.newUniqueId().name],
  'what an id shows': ({ env }) => {
    const id = env.OBJECTS.idFromName('x');
    return [Object.keys(id), JSON.stringify(id), JSON.stringify(env.OBJECTS.newUniqueId()), Object.prototype.toString.call(id), id.constructor.name, id.jurisdiction];
  },
  'random ids differ': ({ env }) => new Set(Array.from({ length: 100 }, () => String(env.OBJECTS.newUniqueId()))).size,
  'as text, and back': ({ env }) => {
    const id = env.OBJECTS.newUniqueId();
    const again = env.OBJECTS.idFromString(String(id));
    const named = env.OBJECTS.idFromString(String(env.OBJECTS.idFromName('x')));
    return [again.equals(id), String(again) === String(id), named.name, env.OBJECTS.idFromString(String(id).toUpperCase()).equals(id)];
  },
  'texts that are no ids': ({ env, caught }) => {
    const id = String(env.OBJECTS.idFromName('x'));
    return Promise.all(['', 'zz', id.slice(1), id + '0', 'g' + id.slice(1), '0'.repeat(64), id.slice(0, 63) + (id[63] === '0' ? '1' : '0'), String(env.OTHERS.idFromName('x'))]
      .map((text) => caught(() => env.OBJECTS.idFromString(text)).then((error: any) => [error.name, error.message])));
  },
  'missing and wrong arguments': ({ env, caught }) => {
    const id = env.OBJECTS.idFromName('x');
    return Promise.all([() => env.OBJECTS.idFromName(), () => env.OBJECTS.idFromString(), () => env.OBJECTS.get(), () => env.OBJECTS.get('x'), () => env.OBJECTS.get({}), () => env.OBJECTS.getByName(),
      () => env.OBJECTS.getByName('x', 5), () => id.equals('x'), () => id.equals(), () => new env.OBJECTS.constructor(), () => new id.constructor(), () => env.OBJECTS.get(id, { routingMode: 'bogus' }),
      () => id.toString.call({}), () => env.OBJECTS.get.call({}, id)].map((run) => caught(run)));
  },
  'options about the place are taken': ({ env }) => {
    const id = env.OBJECTS.idFromName('x');
    return [env.OBJECTS.get(id, { locationHint: 'weur' }).id.equals(id), env.OBJECTS.get(id, { routingMode: 'primary-only' }).id.equals(id), env.OBJECTS.getByName('x', {}).name];
  },
  'jurisdictions are taken, and mean nothing': {
    run: ({ env, caught }) => {
      const eu = env.OBJECTS.jurisdiction('eu');
      return Promise.all([() => env.OBJECTS.newUniqueId({ jurisdiction: 'eu' }).jurisdiction, () => eu.idFromName('x').jurisdiction, () => eu.get(eu.idFromName('x')).name, () => eu.get(env.OBJECTS.idFromName('x'))].map((run) => caught(run)))
        .then((list) => list.map((one: any) => one.none ?? one.name));
    },
    differs: { reason: 'one node has one place: who asks for a jurisdiction gets his objects', insula: ['eu', 'eu', 'x', 'TypeError'] },
  },
  'an id of another namespace can be used': async ({ env }) => {
    const id = env.OTHERS.idFromName('foreign');
    const [text, name] = await env.OBJECTS.get(id).who();
    return [text === String(id), name];
  },
}, setup);

probes('objects: stubs', {
  'what a stub shows': ({ env }) => {
    const stub = env.OBJECTS.getByName('x');
    const unnamed = env.OBJECTS.get(env.OBJECTS.newUniqueId());
    return [String(stub), stub.constructor.name, Object.getOwnPropertyNames(stub), stub.name, String(stub.id).length, unnamed.name, 'name' in unnamed, typeof stub.then];
  },
  'what a namespace shows': ({ env }) => {
    const names = [];
    for (const name in env.OBJECTS) names.push(name);
    return [String(env.OBJECTS), env.OBJECTS.constructor.name, names, typeof (globalThis as any).DurableObjectNamespace];
  },
  'ctx.id inside': async ({ env }) => {
    const { OBJECTS } = env;
    const unique = OBJECTS.newUniqueId();
    const list = [await OBJECTS.getByName('named').who(), await OBJECTS.get(OBJECTS.idFromString(String(OBJECTS.idFromName('by text')))).who(), await OBJECTS.get(unique).who(), await OBJECTS.getByName('ü'.repeat(10)).who()];
    return [list.map(([text, ...rest]) => [text.length, ...rest]), list[2][0] === String(unique)];
  },
  'a long name is not told inside': async ({ env }) => (await env.OBJECTS.getByName('b'.repeat(1025)).who())[1] ?? 'none',
  'one instance under a thousand first calls': async ({ env }) => new Set((await Promise.all(Array.from({ length: 1000 }, () => env.OBJECTS.getByName('first').once()))).map(String)).size,
  'calls on one stub keep their order': async ({ env }) => {
    const stub = env.OBJECTS.getByName('ordered');
    return (await Promise.all(Array.from({ length: 200 }, (_, n) => stub.slow(n)))).every((n, index) => n === index + 1);
  },
  'namespaces share nothing': async ({ env }) => {
    await env.OBJECTS.getByName('same').put('of objects');
    await env.OTHERS.getByName('same').put('of others');
    return [await env.OBJECTS.getByName('same').get(), await env.OTHERS.getByName('same').get()];
  },
}, setup);
