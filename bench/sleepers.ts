// SPDX-License-Identifier: Apache-2.0
//
// What sleeping workflow instances cost, and how promptly they wake: makes COUNT of them that sleep for a month, tells time,
// memory and disk, lets a hundred more wake among them, and then moves the clock by a month, so that all are due at once.
//
//   node bench/sleepers.ts [COUNT]     default 1,000,000
import { statSync } from 'node:fs';
import { join } from 'node:path';

import { Insula } from '../tests/support/insula.ts';
import { memoryOf } from '../tests/support/proc.ts';
import { median, quantile, until } from '../tests/support/until.ts';
import { askWorkflows } from '../tests/support/workflows_cli.ts';
import type { WorkerSpec } from '../tests/support/worker_spec.ts';
import { machine } from './machine.ts';

const count = Number(process.argv[2] ?? 1000000);
const kAlarmClocks = 100;
const kMiB = 1024 * 1024;

const worker: WorkerSpec = {
  name: 'sleepers',
  source: `import { WorkflowEntrypoint } from 'cloudflare:workers';
const counts = { asleep: 0, awake: 0, late: [] };
export class Sleeper extends WorkflowEntrypoint {
  async run({ payload: { at } }, step) {
    await step.do('lie down', async () => { counts.asleep++; });
    if (at === undefined) await step.sleep('month', '30 days');
    else { await step.sleepUntil('dawn', at); counts.late.push(Date.now() - at); }
    counts.awake++;
  }
}
export default { async fetch(request, env) {
  const [, what, first, wait] = new URL(request.url).pathname.split('/');
  if (what === 'make') {
    const id = (index) => 's' + (Number(first) + index);
    await env.FLOW.createBatch(Array.from({ length: 100 }, (_, index) => ({ id: id(index), params: {} })));
  }
  if (what === 'alarm') await env.FLOW.create({ params: { at: Date.now() + Number(wait) } });
  return Response.json(counts);
} };`,
  workflows: [{ binding: 'FLOW', name: 'sleepers', class: 'Sleeper' }],
  limits: { cpu_ms: 300000, subrequests: 1000000 },
};

interface Counts {
  asleep: number;
  awake: number;
  late: number[];
}

await using insula = await Insula.start(worker, { flags: ['--test-clock'] });
const data = join(insula.folder, 'data');
const counts = async (): Promise<Counts> => JSON.parse((await insula.call('/counts')).text) as Counts;
const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1);
const resident = (): string => (memoryOf([insula.pid]).pssBytes / kMiB).toFixed(0);
const say = (line: string): void => console.log(line);

say(`${machine()}`);
say(`memory of the supervisor before: ${resident()} MiB`);
let start = performance.now();
let next = 0;
await Promise.all(Array.from({ length: 16 }, async () => {
  while (next < count) {
    const first = next;
    next += 100;
    const answer = await insula.call(`/make/${first}`);
    if (answer.status !== 200) throw new Error(answer.text);
  }
}));
await until(async () => (await counts()).asleep >= count, 'all sleep', 600000);
const took = (performance.now() - start) / 1000;
say(`${count.toLocaleString('en')} instances made, each with a step, and asleep: ${took.toFixed(0)} s, ${(count / took).toFixed(0)} a second`);
await until(async () => !(await askWorkflows(data, 'list', '--status', 'running', '--limit', '1')).out.includes('running'), 'none runs', 60000);
say(`memory of the supervisor: ${resident()} MiB; store.sqlite: ${(statSync(join(data, 'store.sqlite')).size / kMiB).toFixed(0)} MiB`);

for (let index = 0; index < kAlarmClocks; ++index) await insula.call(`/alarm/0/${2000 + index * 20}`);
await until(async () => (await counts()).late.length === kAlarmClocks, 'the alarm clocks have rung', 30000);
const { late } = await counts();
say(`${kAlarmClocks} more that slept for 2 to 4 s woke ${median(late)} ms late (median), ${quantile(late, 0.99)} ms at most`);

start = performance.now();
await askWorkflows(data, 'clock', '30 days');
await until(async () => (await counts()).awake > kAlarmClocks, 'the first wakes', 60000);
say(`a month later: the first is awake after ${seconds(start)} s`);
await until(async () => (await counts()).awake >= count + kAlarmClocks, 'all are awake', 900000);
const woke = (performance.now() - start) / 1000;
say(`all are awake after ${woke.toFixed(0)} s, ${(count / woke).toFixed(0)} a second; memory of the supervisor: ${resident()} MiB`);
