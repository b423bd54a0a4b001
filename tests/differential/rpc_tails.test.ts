// SPDX-License-Identifier: Apache-2.0
//
// Tails: what an entrypoint of the host hears of each invocation of a tenant (docs: loader contract, section 4; handlers,
// section 3).
import { probes } from '../support/differential.ts';

const setup = {
  loaders: [{ binding: 'LOADER' }],
  services: [{ binding: 'SELF', service: 'probes', entrypoint: 'Power' }],
  prelude: `import * as workers from 'cloudflare:workers';
globalThis.heard = [];
export class Tail extends workers.WorkerEntrypoint {
  async tail(events) {
    globalThis.heard.push({ props: this.ctx.props, count: events.length, isArray: Array.isArray(events), events });
    if (this.ctx.props.fails) throw new Error('the tail is broken');
  }
}
export const objectTail = { tail(events, env, ctx) { globalThis.heard.push({ props: ctx.props, count: events.length, isArray: Array.isArray(events), events, env: Object.keys(env).length > 0 }); } };
export class Power extends workers.WorkerEntrypoint { use() { console.log('line of the host'); return 'power'; } }
globalThis.until = async (holds, turns = 400) => {
  for (let turn = 0; turn < turns; turn++) { if (await holds()) return true; await new Promise((resolve) => setTimeout(resolve, 5)); }
  return false;
};
// The events that tails with these props heard, as data without what differs from run to run.
globalThis.of = async (name, count = 1) => {
  const mine = () => globalThis.heard.filter((one) => one.props.name === name);
  await globalThis.until(() => mine().length >= count);
  return mine().map((one) => ({ ...one, events: one.events.map((event) => ({
    outcome: event.outcome, entrypoint: event.entrypoint ?? null, model: event.executionModel, truncated: event.truncated, times: [typeof event.eventTimestamp, typeof event.cpuTime, typeof event.wallTime],
    logs: event.logs.map((log) => [log.level, log.message, typeof log.timestamp]), exceptions: event.exceptions.map((error) => [error.name, error.message, typeof error.timestamp]),
    event: event.event && Object.fromEntries(Object.entries({ request: event.event.request && [event.event.request.method, event.event.request.url], response: event.event.response && event.event.response.status, rpcMethod: event.event.rpcMethod }).filter(([, v]) => v !== undefined)),
  })) }));
};
globalThis.kEntry = 'import { WorkerEntrypoint, RpcTarget } from "cloudflare:workers"; ';
`,
};

probes('rpc: tails', {
  'one event with the console lines of the invocation, and own props': async ({ env, ctx, code, ask }) => {
    await ask(env.LOADER.load(code(`export default { fetch() { console.log('a line', 1, { b: [2] }); console.warn('careful'); console.error(new Error('shown').message); console.debug('d'); console.info('i'); return new Response('ok', { status: 201 }); } }`,
      { tails: [ctx.exports.Tail({ props: { name: 'one', tenant: 'acme' } })] })), 'http://tenant.example/path?q=1');
    return (globalThis as any).of('one');
  },
  'one for each invocation': async ({ env, ctx, code, ask }) => {
    const stub = env.LOADER.load(code('let n = 0; export default { fetch() { console.log(++n); return new Response(); } }', { tails: [ctx.exports.Tail({ props: { name: 'each' } })] }));
    for (let n = 0; n < 3; n++) await ask(stub);
    return (await (globalThis as any).of('each', 3)).map((one: any) => [one.count, one.events[0].logs]).sort();
  },
  'nothing of the host or of other tenants': async ({ env, ctx, code, ask }) => {
    const source = (line: string): string => `export default { async fetch(r, env) { console.log('${line}'); await env.P?.use(); return new Response(); } }`;
    await ask(env.LOADER.load(code(source('inside'), { env: { P: env.SELF }, tails: [ctx.exports.Tail({ props: { name: 'only' } })] })));
    await ask(env.LOADER.load(code(source('of another'))));
    return (await (globalThis as any).of('only')).map((one: any) => one.events[0].logs);
  },
  'several tails': async ({ env, ctx, code, ask }) => {
    await ask(env.LOADER.load(code('export default { fetch() { console.log("both"); return new Response(); } }', { tails: [ctx.exports.Tail({ props: { name: 'many', n: 1 } }), ctx.exports.Tail({ props: { name: 'many', n: 2 } }), ctx.exports.objectTail({ props: { name: 'many', n: 3 } })] })));
    return (await (globalThis as any).of('many', 3)).map((one: any) => [one.props.n, one.events[0].logs[0][1], one.env]).sort();
  },
  'a call by RPC': async ({ env, ctx, code }) => {
    await env.LOADER.load(code(`${(globalThis as any).kEntry}export class Named extends WorkerEntrypoint { method(a) { console.log('called', a); return a; } } export default {};`, { tails: [ctx.exports.Tail({ props: { name: 'rpc' } })] }))
      .getEntrypoint('Named').method(5);
    return (globalThis as any).of('rpc');
  },
  'a fetch that throws': async ({ env, ctx, code, caught, ask }) => {
    await caught(() => ask(env.LOADER.load(code('export default { fetch() { console.log("before"); throw new RangeError("it broke"); } }', { tails: [ctx.exports.Tail({ props: { name: 'throws' } })] }))));
    return (await (globalThis as any).of('throws')).map((one: any) => [one.events[0].outcome, one.events[0].exceptions, one.events[0].logs]);
  },
  'a fetch that throws what is no error': async ({ env, ctx, code, caught, ask }) => {
    await caught(() => ask(env.LOADER.load(code('export default { async fetch() { throw "a string"; } }', { tails: [ctx.exports.Tail({ props: { name: 'string' } })] }))));
    return (await (globalThis as any).of('string')).map((one: any) => [one.events[0].outcome, one.events[0].exceptions]);
  },
  'a call that throws': async ({ env, ctx, code, caught }) => {
    await caught(() => env.LOADER.load(code(`${(globalThis as any).kEntry}export default class extends WorkerEntrypoint { breaks() { throw new RangeError('by a call'); } }`, { tails: [ctx.exports.Tail({ props: { name: 'call throws' } })] })).getEntrypoint().breaks());
    return (await (globalThis as any).of('call throws')).map((one: any) => [one.events[0].outcome, one.events[0].exceptions.length]);
  },
  'what happens in waitUntil is heard too': async ({ env, ctx, code, ask }) => {
    await ask(env.LOADER.load(code('export default { fetch(r, env, ctx) { ctx.waitUntil(new Promise((f) => setTimeout(f, 5)).then(() => console.log("later"))); console.log("first"); return new Response(); } }', { tails: [ctx.exports.Tail({ props: { name: 'waits' } })] })));
    return (await (globalThis as any).of('waits')).map((one: any) => one.events[0].logs.map((log: any) => log[1]));
  },
  'a failing tail changes nothing': async ({ env, ctx, code, ask }) => {
    const stub = env.LOADER.load(code('export default { fetch() { return new Response("fine"); } }', { tails: [ctx.exports.Tail({ props: { name: 'fails', fails: true } })] }));
    const answers = [await ask(stub), await ask(stub)];
    return [answers, (await (globalThis as any).of('fails', 2)).length];
  },
  'a tail without the handler changes nothing': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code('export default { fetch() { return new Response("fine"); } }', { tails: [ctx.exports.Power({ props: {} })] }))),
  'the tail does not delay the answer': async ({ env, ctx, code, ask }) => {
    const before = (globalThis as any).heard.filter((one: any) => one.props.name === 'async').length;
    const answer = await ask(env.LOADER.load(code('export default { fetch() { return new Response("fine"); } }', { tails: [ctx.exports.Tail({ props: { name: 'async' } })] })));
    return [before, answer, (await (globalThis as any).of('async')).length];
  },
  'of a wrong kind': async ({ env, ctx, code, caught }) => (await Promise.all([5, [5], [{}], {}].map((tails) => caught(() => { env.LOADER.load(code('export default {}', { tails })); })))).map((error: any) => error.name ?? 'taken'),
  'streaming tails need permission': ({ env, ctx, code, caught }) => caught(() => { env.LOADER.load(code('export default {}', { streamingTails: [ctx.exports.Tail({ props: {} })] })); }),
  'experiments need permission': ({ env, code, caught }) => caught(() => { env.LOADER.load(code('export default {}', { allowExperimental: true })); }),
  'headers that look secret are hidden': async ({ env, ctx, code, ask }) => {
    await ask(env.LOADER.load(code('export default { fetch() { return new Response(); } }', { tails: [ctx.exports.Tail({ props: { name: 'headers' } })] })), 'http://t.example/', { headers: { authorization: 'Bearer key', cookie: 'c=secret', 'x-plain': 'shown', 'x-api-key': 'secret' } });
    await (globalThis as any).until(() => (globalThis as any).heard.some((one: any) => one.props.name === 'headers'));
    const { headers } = (globalThis as any).heard.find((one: any) => one.props.name === 'headers').events[0].event.request;
    return ['authorization', 'cookie', 'x-plain', 'x-api-key'].map((name) => [name, headers[name]]);
  },
}, setup);
