// SPDX-License-Identifier: Apache-2.0
//
// Steps of workflows beside miniflare's engine: contexts, retries, delays, time-outs, results, errors (docs: workflows
// contract, sections 1 and 4).
import { flowProbes } from '../support/flows.ts';

const flows = `
event: (event) => [Object.keys(event).sort(), event.payload, event.timestamp instanceof Date, typeof event.instanceId, event.workflowName],
context: (event, step) => step.do('a', async (ctx) => ctx),
configured: (event, step) => step.do('a', { retries: { limit: 2, delay: '5 seconds', backoff: 'linear' }, timeout: '1 minute' }, async (ctx) => ctx),
sensitive: (event, step) => step.do('a', { sensitive: 'output' }, async (ctx) => ctx.config),
names: async (event, step) => {
  const all = [];
  for (const name of ['a', 'b', 'a', 'a']) all.push(await step.do(name, async ({ step }) => [step.name, step.count]));
  return all;
},
parallel: async (event, step) => Promise.all([1, 2, 3].map((n) => step.do('p', async ({ step }) => [n, step.count]))),
attempts: async (event, step) => {
  const attempts = [];
  const error = await told(() => step.do('a', { retries: { limit: 2, delay: 5 } }, async (ctx) => { attempts.push(ctx.attempt); throw new TypeError('no'); }));
  return { attempts, error };
},
recovers: async (event, step) => {
  let n = 0;
  return [await step.do('a', { retries: { limit: 5, delay: 5 } }, async () => { if (++n < 3) throw new Error('not yet'); return n; }), n];
},
noRetries: async (event, step) => { let n = 0; return [await told(() => step.do('a', { retries: { limit: 0, delay: 5 } }, async () => { n++; throw new Error('x'); })), n]; },
backoff: async (event, step) => {
  const times = [];
  await told(() => step.do('a', { retries: { limit: 3, delay: 100, backoff: event.payload.arg } }, async () => { times.push(Date.now()); throw new Error('x'); }));
  return times.slice(1).map((time, i) => Math.round((time - times[i]) / 100));
},
delayFunction: async (event, step) => {
  const inputs = [];
  await told(() => step.do('a', { retries: { limit: 2, backoff: 'constant', delay: ({ ctx, error }) => { inputs.push([ctx, error.name, error.message]); return 5; } } },
    async () => { throw new RangeError('why'); }));
  return inputs;
},
delayThrows: (event, step) => told(() => step.do('a', { retries: { limit: 2, delay: () => { throw new Error('no idea'); } } }, async () => { throw new Error('x'); })),
delayBad: (event, step) => told(() => step.do('a', { retries: { limit: 2, delay: () => 'soon' } }, async () => { throw new Error('x'); })),
timeout: async (event, step) => {
  let n = 0;
  const error = await told(() => step.do('a', { retries: { limit: 1, delay: 5 }, timeout: 100 }, async () => { n++; await scheduler.wait(5000); }));
  return [error, n];
},
uncaught: async (event, step) => { await step.do('a', { retries: { limit: 0, delay: 1 } }, async () => { throw new TypeError('in a step'); }); },
throws: async () => { throw new TypeError('at top level'); },
throwsText: async () => { throw 'just text'; },
throwsSubclass: async () => { class Mine extends Error { name = 'Mine'; } throw new Mine('own class'); },
nonRetryable: async (event, step) => { let n = 0; return [await told(() => step.do('a', async () => { n++; throw new NonRetryableError('final'); })), n]; },
nonRetryableUncaught: async (event, step) => { await step.do('a', async () => { throw new NonRetryableError('final'); }); },
nonRetryableNamed: async (event, step) => { let n = 0; return [await told(() => step.do('a', { retries: { limit: 1, delay: 1 } }, async () => { n++; throw new NonRetryableError('final', 'Custom'); })), n]; },
byName: async (event, step) => { let n = 0; await told(() => step.do('a', async () => { n++; throw Object.assign(new Error('x'), { name: 'NonRetryableError' }); })); return n; },
values: async (event, step) => {
  const value = { text: 'é', date: new Date(5), map: new Map([[1, new Set([2])]]), bytes: new Uint8Array([1, 2, 3, 4]).subarray(1, 3), none: undefined, nan: NaN, list: [1, , 3] };
  const got = await step.do('a', async () => value);
  return [got.text, got.date.getTime(), got.map.get(1).has(2), [...got.bytes], got.bytes.buffer.byteLength, 'none' in got, Object.is(got.nan, NaN), 1 in got.list, got === value];
},
undefinedResult: async (event, step) => { const got = await step.do('a', async () => {}); return [got === undefined]; },
functionResult: async (event, step) => { let n = 0; try { await step.do('bad', async () => { seen.calls = ++n; return () => {}; }); } catch { return 'caught'; } },
classResult: (event, step) => step.do('a', { retries: { limit: 0, delay: 1 } }, async () => new (class Point { x = 1; })()),
outputFunction: async () => () => {},
outputUndefined: async () => {},
badName: (event, step) => told(() => step.do('x'.repeat(257), async () => 1)),
controlName: (event, step) => told(() => step.do('a\\nb', async () => 1)),
longName: (event, step) => step.do('x'.repeat(256), async ({ step }) => step.name.length),
badConfig: (event, step) => told(() => step.do('a', event.payload.arg, async () => 1)),
unlimited: (event, step) => told(() => step.do('a', { retries: { limit: Infinity, delay: 1 } }, async () => 1)),
streamResult: async (event, step) => {
  const stream = await step.do('a', async () => new Response('stream of bytes').body);
  return [stream instanceof ReadableStream, await new Response(stream).text()];
},
instanceMembers: (event, step) => [typeof step.do, typeof step.sleep, typeof step.sleepUntil, typeof step.waitForEvent],
caughtGoesOn: async (event, step) => {
  await step.do('a', { retries: { limit: 0, delay: 1 } }, async () => { throw new Error('x'); }).catch(() => {});
  return step.do('b', async () => 'went on');
},
nested: (event, step) => step.do('outer', async () => step.do('inner', async () => 5)),
`;

flowProbes('workflow steps', flows, {
  'the event': ({ env }) => play(env, 'event', { x: 1 }),
  'context with defaults': ({ env }) => play(env, 'context'),
  'context as configured': ({ env }) => play(env, 'configured'),
  'sensitive config': ({ env }) => play(env, 'sensitive'),
  'names are counted': ({ env }) => play(env, 'names'),
  'parallel steps of one name': ({ env }) => play(env, 'parallel'),
  'attempts are limit + 1': ({ env }) => play(env, 'attempts'),
  'an attempt that succeeds': ({ env }) => play(env, 'recovers'),
  'no retries': ({ env }) => play(env, 'noRetries'),
  'constant backoff': ({ env }) => play(env, 'backoff', 'constant'),
  'linear backoff': ({ env }) => play(env, 'backoff', 'linear'),
  'exponential backoff': ({ env }) => play(env, 'backoff', 'exponential'),
  'delay function': ({ env }) => play(env, 'delayFunction'),
  'delay function throws': ({ env }) => play(env, 'delayThrows'),
  'delay function gives no duration': {
    run: ({ env }) => play(env, 'delayBad'),
    differs: {
      reason: 'the text says what the function returned',
      insula: { status: 'complete', error: null, output: ['Error', 'The delay function for step "a-1" returned an invalid duration: "soon" is not a duration; write milliseconds or text such as "5 minutes"', true, true] },
    },
  },
  'time-out of an attempt': ({ env }) => play(env, 'timeout'),
  'uncaught error of a step': ({ env }) => play(env, 'uncaught'),
  'error of run': ({ env }) => play(env, 'throws'),
  'text thrown by run': ({ env }) => play(env, 'throwsText'),
  'own class thrown by run': ({ env }) => play(env, 'throwsSubclass'),
  'NonRetryableError': ({ env }) => play(env, 'nonRetryable'),
  'NonRetryableError uncaught': ({ env }) => play(env, 'nonRetryableUncaught'),
  'NonRetryableError with a name of its own': ({ env }) => play(env, 'nonRetryableNamed'),
  'non-retryable by name': ({ env }) => play(env, 'byName'),
  'values are copied': ({ env }) => play(env, 'values'),
  'undefined as a result': ({ env }) => play(env, 'undefinedResult'),
  'a function as a result': async ({ env }) => [await play(env, 'functionResult'), seen.calls],
  'an instance of a class as a result': {
    run: ({ env }) => play(env, 'classResult'),
    differs: {
      reason: 'the peer takes it for an error of the step and tries again; the contract ends the instance at once',
      insula: {
        status: 'errored', output: null,
        error: { name: 'Error', message: 'The execution of the Workflow instance was terminated, as the step "a" returned a value which is not serialisable' },
      },
    },
  },
  'a function as the output': {
    run: ({ env }) => play(env, 'outputFunction'),
    differs: {
      reason: 'an output that cannot be kept is no output: the instance says so',
      insula: { status: 'errored', output: null, error: { name: 'Error', message: '() => {} could not be cloned.' } },
    },
  },
  'no output': ({ env }) => play(env, 'outputUndefined'),
  'a name too long': ({ env }) => play(env, 'badName'),
  'a name with a line end': ({ env }) => play(env, 'controlName'),
  'the longest name': ({ env }) => play(env, 'longName'),
  'config: limit without delay': ({ env }) => play(env, 'badConfig', { retries: { limit: 7 } }),
  'config: negative limit': ({ env }) => play(env, 'badConfig', { retries: { limit: -1, delay: 1 } }),
  'config: unknown key': ({ env }) => play(env, 'badConfig', { retry: 1 }),
  'config: zero time-out': ({ env }) => play(env, 'badConfig', { timeout: 0 }),
  'config: no duration': ({ env }) => play(env, 'badConfig', { timeout: 'soon' }),
  'config: unknown backoff': ({ env }) => play(env, 'badConfig', { retries: { limit: 1, delay: 1, backoff: 'cubic' } }),
  'config: limit without end': {
    run: ({ env }) => play(env, 'unlimited'),
    differs: { reason: 'the contract accepts Infinity', insula: { status: 'complete', output: { none: 1 }, error: null } },
  },
  'a stream as a result': ({ env }) => play(env, 'streamResult'),
  'members of step': ({ env }) => play(env, 'instanceMembers'),
  'a caught error lets the run go on': ({ env }) => play(env, 'caughtGoesOn'),
  'a step within a step': ({ env }) => play(env, 'nested'),
});
