// SPDX-License-Identifier: Apache-2.0
//
// Instances of workflows beside miniflare's engine: creation, handles, lifecycle, sleeping and events (docs: workflows
// contract, sections 2, 3, 5 and 6).
import { flowProbes } from '../support/flows.ts';

const flows = `
plain: async (event, step) => step.do('a', async () => [event.payload.arg ?? null, event.instanceId]),
fails: async () => { throw new RangeError('why'); },
gate: async (event, step) => { await step.do('before', async () => 1); const got = await step.waitForEvent('w', { type: event.payload.arg ?? 'go', timeout: '1 minute' }); return [got.payload ?? null, got.type, got.timestamp instanceof Date, Object.keys(got).sort()]; },
twoWaits: async (event, step) => {
  const [one, two] = await Promise.all([step.waitForEvent('w', { type: 'go', timeout: '1 minute' }), step.waitForEvent('w', { type: 'go', timeout: '1 minute' })]);
  return [one.payload, two.payload];
},
types: async (event, step) => {
  const two = await step.waitForEvent('2', { type: 'two', timeout: '1 minute' });
  const one = await step.waitForEvent('1', { type: 'one', timeout: '1 minute' });
  return [one.payload, two.payload];
},
waitTimeout: async (event, step) => {
  const error = await told(() => step.waitForEvent('w', { type: 'go', timeout: 100 }));
  const later = await step.waitForEvent('later', { type: 'go', timeout: '1 minute' });
  return [error, later.payload];
},
waitTimeoutUncaught: (event, step) => step.waitForEvent('w', { type: 'go', timeout: 50 }),
sleeps: async (event, step) => { const from = Date.now(); await step.sleep('s', event.payload.arg); return Date.now() - from >= 140; },
sleepValue: async (event, step) => (await step.sleep('s', 10)) === undefined,
until: async (event, step) => { const to = Date.now() + 150; await step.sleepUntil('u', event.payload.arg === 'date' ? new Date(to) : to); return Date.now() >= to - 20; },
untilPast: (event, step) => told(() => step.sleepUntil('u', new Date(Date.now() - 1000))),
sameName: async (event, step) => { await step.sleep('x', 5); await step.sleep('x', 5); return step.do('x', async ({ step }) => step.count); },
slow: async (event, step) => { await step.do('slow', async () => { await scheduler.wait(300); return 1; }); await step.do('after', async () => 2); return 'done'; },
counted: async (event, step) => {
  seen.runs = (seen.runs ?? 0) + 1;
  const first = await step.do('first', async () => { seen.first = (seen.first ?? 0) + 1; return 'one'; });
  await step.do('second', async () => { seen.second = (seen.second ?? 0) + 1; });
  return first;
},
forget: async () => { seen = {}; },
rolls: async (event, step) => {
  const log = (name) => ({ rollback: async ({ ctx, error, output, stepName }) => { seen.log.push([name, Object.keys(ctx).sort(), error.name, error.message, output ?? null, stepName]); } });
  seen.log = [];
  await step.do('a', async () => 'out a', log('a'));
  await step.do('b', async () => 'out b', log('b'));
  await step.do('none', async () => 1);
  await step.do('c', { retries: { limit: 0, delay: 1 } }, async () => { throw new TypeError('c failed'); }, log('c'));
},
rollsNot: async (event, step) => { seen.log = []; await step.do('a', async () => 1, { rollback: async () => { seen.log.push('a'); } }); },
rollFails: async (event, step) => {
  seen.log = [];
  await step.do('a', async () => 1, { rollback: async () => { seen.log.push('a'); } });
  await step.do('b', async () => 1, { rollback: async ({ ctx }) => { seen.log.push('b' + ctx.attempt); throw new Error('stuck'); }, rollbackConfig: { retries: { limit: 1, delay: 5 } } });
  throw new Error('run failed');
},
rollsThenWaits: async (event, step) => {
  seen.log = [];
  await step.do('a', async () => 'out', { rollback: async ({ error, output, stepName }) => { seen.log.push([plainError(error), output, stepName]); } });
  await step.waitForEvent('w', { type: 'never' });
},
rollBad: async (event, step) => [await told(() => step.do('a', async () => 1, event.payload.arg))],
rollNoFunction: async (event, step) => [await told(() => step.do('a', async () => 1, {}))],
`;

flowProbes('workflow instances', flows, {
  'id and params': async ({ env }) => {
    const made = await env.FLOWS.create({ id: 'named', params: { kind: 'plain', arg: { x: 1 } } });
    const anonymous = await env.FLOWS.create({ params: { kind: 'plain' } });
    return [made.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4/.test(anonymous.id), await settled(made), (await settled(anonymous)).status];
  },
  'the first status': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'slow' } });
    const first = await made.status();
    return [['queued', 'running'].includes(first.status), first.output ?? null, first.error ?? null];
  },
  'bad ids': async ({ env }) => {
    const all: unknown[] = [];
    for (const id of ['', '-x', 'a b', 'a/b', 'é', 'x'.repeat(101)]) all.push(await refused(() => env.FLOWS.create({ id })));
    return all;
  },
  'the longest id': async ({ env }) => (await env.FLOWS.create({ id: 'y'.repeat(100), params: { kind: 'plain' } })).id.length,
  'get of an unknown id': async ({ env }) => refused(() => env.FLOWS.get('nobody')),
  'get of a known id': async ({ env }) => {
    const { id } = await env.FLOWS.create({ params: { kind: 'plain', arg: 5 } });
    return (await settled(await env.FLOWS.get(id))).output[0];
  },
  'an id that exists': {
    run: async ({ env }) => {
      await env.FLOWS.create({ id: 'twice', params: { kind: 'plain', arg: 1 } });
      return refused(async () => (await env.FLOWS.create({ id: 'twice', params: { kind: 'plain', arg: 2 } })).id);
    },
    differs: { reason: 'types and documentation say that it is an error', insula: { name: 'Error', message: 'instance.already_exists', remote: true } },
  },
  'two at once with one id': {
    run: async ({ env }) => {
      const results = await Promise.allSettled([1, 2].map((arg) => env.FLOWS.create({ id: 'race', params: { kind: 'counted', arg } })));
      await settled(await env.FLOWS.get('race'));
      return results.filter((result) => result.status === 'fulfilled').length;
    },
    differs: { reason: 'an id that exists is an error', insula: 1 },
  },
  'createBatch of a list': async ({ env }) => {
    const all = await env.FLOWS.createBatch([{ id: 'b1', params: { kind: 'plain', arg: 1 } }, { id: 'b2', params: { kind: 'plain', arg: 2 } }]);
    return [all.map(({ id }: any) => id), await Promise.all(all.map(async (one: any) => (await settled(one)).output))];
  },
  'createBatch of nothing': ({ env }) => refused(() => env.FLOWS.createBatch([])),
  'createBatch of a hundred': async ({ env }) => {
    const all = await env.FLOWS.createBatch(Array.from({ length: 100 }, () => ({ params: { kind: 'plain' } })));
    for (const one of all) await settled(one);  // the peer is busy with them for a while
    return all.length;
  },
  'createBatch with an id that exists': {
    run: async ({ env }) => {
      await env.FLOWS.create({ id: 'there', params: { kind: 'plain' } });
      return (await env.FLOWS.createBatch([{ id: 'there', params: { kind: 'plain' } }, { id: 'fresh', params: { kind: 'plain' } }])).map(({ id }: any) => id);
    },
    differs: { reason: 'such ids are skipped', insula: ['fresh'] },
  },
  'params that cannot be kept': {
    run: ({ env }) => refused(async () => { await env.FLOWS.create({ params: { kind: () => {} } }); }),
    differs: { reason: 'what cannot be kept is refused instead of left out', insula: { name: 'Error', message: '() => {} could not be cloned.', remote: { $: 'undefined' } } },
  },
  'an event after the wait began': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'gate' } });
    await scheduler.wait(100);
    const sent = await made.sendEvent({ type: 'go', payload: { deep: [1] } });
    return [sent ?? null, await settled(made)];
  },
  'an event before the wait': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'gate' } });
    await made.sendEvent({ type: 'go', payload: 'early' });
    return settled(made);
  },
  'an event without payload': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'gate' } });
    await made.sendEvent({ type: 'go' });
    return settled(made);
  },
  'events in order, one for each waiter': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'twoWaits' } });
    await made.sendEvent({ type: 'go', payload: 1 });
    await made.sendEvent({ type: 'go', payload: 2 });
    return settled(made);
  },
  'events of two types': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'types' } });
    await made.sendEvent({ type: 'one', payload: 1 });
    await made.sendEvent({ type: 'two', payload: 2 });
    return settled(made);
  },
  'a wait that times out, and an event for the next': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'waitTimeout' } });
    await scheduler.wait(250);
    await made.sendEvent({ type: 'go', payload: 'kept' });
    return settled(made);
  },
  'a wait that times out ends the instance': ({ env }) => play(env, 'waitTimeoutUncaught'),
  'an event for one that has ended': {
    run: async ({ env }) => {
      const made = await env.FLOWS.create({ params: { kind: 'plain' } });
      await settled(made);
      return refused(() => made.sendEvent({ type: 'go', payload: 1 }));
    },
    differs: { reason: 'nobody will ever get it', insula: { name: 'Error', message: '(instance.cannot_send_event) Cannot send an event to an instance that is on a finite state', remote: true } },
  },
  'sleep by number': ({ env }) => play(env, 'sleeps', 150),
  'sleep by text': ({ env }) => play(env, 'sleeps', '1 second'),
  'sleep gives nothing': ({ env }) => play(env, 'sleepValue'),
  'sleepUntil a date': ({ env }) => play(env, 'until', 'date'),
  'sleepUntil a number': ({ env }) => play(env, 'until'),
  'sleepUntil the past': ({ env }) => play(env, 'untilPast'),
  'kinds count apart': ({ env }) => play(env, 'sameName'),
  'error of run': ({ env }) => play(env, 'fails'),
  'terminate while a step runs': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'slow' } });
    await scheduler.wait(100);
    return [(await made.terminate()) ?? null, await settled(made)];
  },
  'terminate while it waits': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'gate' } });
    await scheduler.wait(100);
    await made.terminate();
    return settled(made);
  },
  'terminate what has ended': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'plain' } });
    await settled(made);
    return refused(() => made.terminate());
  },
  'pause and resume while a step runs': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'slow' } });
    await scheduler.wait(100);
    await made.pause();
    const during = (await made.status()).status;
    const paused = await settled(made, 'paused');
    await made.resume();
    return [during, paused.status, await settled(made)];
  },
  'pause and resume while it waits': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'gate' } });
    await scheduler.wait(100);
    await made.pause();
    await settled(made, 'paused');
    await made.sendEvent({ type: 'go', payload: 'while paused' });
    await scheduler.wait(50);
    const still = (await made.status()).status;
    await made.resume();
    return [still, await settled(made)];
  },
  'resume of what runs, pause of what has ended': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'slow' } });
    const resumed = await refused(() => made.resume());
    await settled(made);
    return [resumed, await refused(() => made.pause()), (await made.status()).status];
  },
  'restart from the end': async ({ env }) => {
    seen.runs = seen.first = 0;
    const made = await env.FLOWS.create({ params: { kind: 'counted' } });
    await settled(made);
    await made.restart();
    await scheduler.wait(100);
    return [(await settled(made)).output, seen.runs, seen.first];
  },
  'restart from a step': async ({ env }) => {
    seen.first = seen.second = 0;
    const made = await env.FLOWS.create({ params: { kind: 'counted' } });
    await settled(made);
    await made.restart({ from: { name: 'second' } });
    await scheduler.wait(100);
    return [(await settled(made)).output, seen.first, seen.second];
  },
  'restart from an unknown step': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'counted' } });
    await settled(made);
    return refused(() => made.restart({ from: { name: 'third' } }));
  },
  'delete': {
    run: async ({ env }) => {
      const made = await env.FLOWS.create({ params: { kind: 'plain' } });
      await settled(made);
      return [await refused(() => made.delete()), await refused(() => env.FLOWS.get(made.id))];
    },
    differs: { reason: 'the peer does not have it yet', insula: [{ none: { $: 'undefined' } }, { name: 'Error', message: 'instance.not_found', remote: true }] },
  },
  'rollback, last first, with the failed step': async ({ env }) => [await play(env, 'rolls'), seen.log],
  'no rollback on success': async ({ env }) => [await play(env, 'rollsNot'), seen.log],
  'a rollback that fails stops the chain': {
    run: async ({ env }) => [await play(env, 'rollFails'), seen.log],
    differs: { reason: 'attempts of a handler count as those of a step', insula: [{ status: 'errored', output: null, error: { name: 'Error', message: 'run failed' } }, ['b1', 'b2']] },
  },
  'rollback options that are none': async ({ env }) => [await play(env, 'rollBad', 5), await play(env, 'rollBad', { rollback: 5 }), await play(env, 'rollNoFunction')],
  'terminate with rollback': async ({ env }) => {
    const made = await env.FLOWS.create({ params: { kind: 'rollsThenWaits' } });
    await scheduler.wait(100);
    await made.terminate({ rollback: true });
    return [await settled(made), seen.log];
  },
});
