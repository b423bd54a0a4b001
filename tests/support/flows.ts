// SPDX-License-Identifier: Apache-2.0
//
// Probes of workflows. `flows` is text: an object of functions (event, step, env), each the run() of an instance whose
// params are {kind: its name, arg}. A probe plays them:
//
//   play(env, 'name', arg)         creates an instance, waits for its end, returns its status
//   settled(instance, ...states)   waits until the instance has one of these statuses
import { type GroupOptions, probes } from './differential.ts';

type ProbeSet = Parameters<typeof probes>[1];

export function flowProbes(group: string, flows: string, set: ProbeSet, options: GroupOptions = {}): void {
  const prelude = `import { WorkflowEntrypoint, WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
import { NonRetryableError } from 'cloudflare:workflows';
globalThis.NonRetryableError = NonRetryableError;
globalThis.seen = {};  // what flows leave behind in this isolate
// The peer's engine loses the names of classes that are not the language's own, or puts them before the message, and
// says with a link what is wrong in a configuration. Insula's names and reasons: tests/integration/workflow_errors.test.ts.
globalThis.plainError = ({ name, message }) => ({
  name: ['TypeError', 'RangeError', 'SyntaxError'].includes(name) ? name : 'Error',
  message: message.replace(/^[A-Za-z]+: (?=.)/, '').replace(/(is in a invalid format\\.).*/, '$1'),
});
const told = async (run) => {
  try { return { none: await run() }; } catch (e) { const { name, message } = plainError(e); return [name, message, e.remote ?? null, e instanceof Error]; }
};
globalThis.refused = async (run) => { try { return { none: await run() }; } catch (e) { return { ...plainError(e), remote: e.remote }; } };
const flows = { ${flows} };
export class Flow extends WorkflowEntrypoint {
  run(event, step) { return flows[event.payload.kind](event, step, this.env, this); }
}
const kFinal = ['complete', 'errored', 'terminated'];
globalThis.settled = async (instance, ...states) => {
  for (let turn = 0; turn < 1500; turn++) {
    const { status, output, error } = await instance.status();
    if ((states.length === 0 ? kFinal : states).includes(status)) return { status, output: output ?? null, error: error ? plainError(error) : null };
    await scheduler.wait(10);
  }
  throw new Error('not settled: ' + (await instance.status()).status);
};
globalThis.play = async (env, kind, arg) => settled(await env.FLOWS.create({ params: { kind, arg } }));
${options.prelude ?? ''}`;
  probes(group, set, {
    workflows: [{ binding: 'FLOWS', name: 'flows', class: 'Flow' }], compatibilityDate: '2026-06-01', ...options, prelude });
}

// What probes see as globals.
declare global {
  function play(env: unknown, kind: string, arg?: unknown): Promise<{ status: string; output: any; error: any }>;
  function settled(instance: unknown, ...states: string[]): Promise<{ status: string; output: any; error: any }>;
  function refused(run: () => unknown): Promise<unknown>;  // as caught(), without what only the peer loses
  var seen: Record<string, any>;
}
