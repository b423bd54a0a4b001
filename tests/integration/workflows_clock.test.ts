// SPDX-License-Identifier: Apache-2.0
//
// Workflows over months, tested by moving their clock: `insula serve --test-clock`, `insula workflows clock`.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { until } from '../support/until.ts';
import { type FlowStatus, statusOf, waitForStatus, workflowWorker } from '../support/workflows.ts';
import { askWorkflows, type Said } from '../support/workflows_cli.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const kDayMs = 86400000;

class World implements AsyncDisposable {
  readonly #data = mkdtempSync(join(tmpdir(), 'insula-clock-'));
  readonly #worker: WorkerSpec;
  insula!: Insula;

  private constructor(worker: WorkerSpec) {
    this.#worker = worker;
  }
  static async start(worker: WorkerSpec): Promise<World> {
    const world = new World(worker);
    await world.#launch();
    return world;
  }
  async #launch(): Promise<void> {
    this.insula = await Insula.start(this.#worker, { flags: ['--test-clock', '--data', this.#data] });
  }
  // The new process has the machine's time again: behind what the last one has seen.
  async restart(): Promise<void> {
    this.insula.signal('SIGKILL');
    await this.insula.exited();
    closeConnections();
    await this.#launch();
  }
  ask(...words: string[]): Promise<Said> {
    return askWorkflows(this.#data, ...words);
  }
  async clock(...words: string[]): Promise<number> {
    const { code, out, error } = await this.ask('clock', ...words);
    assert.equal(code, 0, error);
    const [, time] = /^it is (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})\n$/.exec(out) ?? [];
    return Date.parse(`${time}Z`);
  }
  async create(id: string): Promise<void> {
    assert.equal((await this.insula.call(`/create?id=${id}`, { method: 'POST' })).status, 200);
  }
  async timeline(id: string): Promise<string> {
    const { out, error } = await this.ask('show', 'flow', id);
    assert.equal(error, '');
    return out;
  }
  async reaches(id: string, event: string): Promise<void> {
    await until(async () => (await this.timeline(id)).includes(event), `the instance has come to: ${event}`);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.insula.stop();
    closeConnections();
    rmSync(this.#data, { recursive: true, force: true });
  }
}

// What a customer's first month may look like: a sleep, a step that fails for days, a wait for what never comes.
const month = workflowWorker(`
  const seen = [];
  seen.push(await step.do('greet', async () => 'greeted'));
  await step.sleep('first week', '7 days');
  seen.push(await step.do('charge', { retries: { limit: 3, delay: '2 days', backoff: 'constant' } }, async ({ attempt }) => {
    if (attempt < 3) throw new Error('the card was refused');
    return 'charged at attempt ' + attempt;
  }));
  await step.waitForEvent('review', { type: 'reviewed', timeout: '10 days' }).catch((error) => { seen.push(error.name); });
  await step.sleepUntil('the last day', event.timestamp.getTime() + 30 * ${kDayMs});
  seen.push(await step.do('invoice', async () => 'invoiced'));
  return seen;`);
const monthEnds = ['greeted', 'charged at attempt 3', 'WorkflowTimeoutError', 'invoiced'];

// With restarts, a new process at each stop.
async function liveThroughAMonth(world: World, { restarts }: { restarts: boolean }): Promise<FlowStatus> {
  await world.create('a');
  const stops: [event: string, days: number][] = [
    ['sleep_started', 7], ['attempt 1  again in 172800000 ms', 2], ['attempt 2  again in 172800000 ms', 2],
    ['wait_started', 10], ['the last day', 9],
  ];
  for (const [event, days] of stops) {
    await world.reaches('a', event);
    if (restarts) await world.restart();
    await world.clock(`${days} days`);
    // Ahead of the machine's clock, the clock of record is slower by a tenth until that has caught up.
    if (restarts) await world.clock(String(Math.ceil((days * kDayMs) / 9) + 60000));
  }
  return waitForStatus(world.insula, 'a', 'complete');
}

describe('the clock of workflows', () => {
  it('a workflow of a month runs through in seconds', async () => {
    await using world = await World.start(month);
    assert.deepEqual((await liveThroughAMonth(world, { restarts: false })).output, monthEnds);
    const starts = (await world.timeline('a')).match(/attempt_started .*/g);
    assert.equal(starts?.length, 5, 'greet and invoice once, charge three times');
  });

  it('the same with a restart at each stop, each of which sets the clock back by all that has passed', async () => {
    await using world = await World.start(month);
    assert.deepEqual((await liveThroughAMonth(world, { restarts: true })).output, monthEnds);
    assert.equal((await world.timeline('a')).match(/attempt_started .*/g)?.length, 5);
  });

  it('nothing wakes before its time', async () => {
    await using world = await World.start(month);
    await world.create('a');
    await waitForStatus(world.insula, 'a', 'waiting');
    await world.clock('6 days');
    await world.clock('23 hours');
    assert.equal((await statusOf(world.insula, 'a')).status, 'waiting');
    assert.doesNotMatch(await world.timeline('a'), /sleep_completed/);
    await world.clock('1 hour');
    await world.reaches('a', 'sleep_completed');
  });

  it('a clock that is set back loses no time, and one that is set forward gains none', async () => {
    await using world = await World.start(workflowWorker("await step.sleep('two days', '2 days'); return 'awake';"));
    await world.create('a');
    await waitForStatus(world.insula, 'a', 'waiting');
    const before = await world.clock('0');
    assert.ok(await world.clock('-3 days', '--set') >= before, 'the clock of record does not go back');
    await world.clock('1 day');
    assert.equal((await statusOf(world.insula, 'a')).status, 'waiting');
    await world.clock('60 days', '--set');
    assert.equal((await statusOf(world.insula, 'a')).status, 'waiting');
    // The clock of record closes the distance by a tenth of the time that passes: two days are enough, seen from either.
    await world.clock('27 hours');
    assert.equal((await waitForStatus(world.insula, 'a', 'complete')).output, 'awake');
    assert.equal((await world.timeline('a')).match(/sleep_completed/g)?.length, 1);
    await world.clock('-100 days', '--set');
    await world.restart();
    assert.equal((await statusOf(world.insula, 'a')).output, 'awake');
    assert.equal((await world.timeline('a')).match(/sleep_completed/g)?.length, 1);
  });

  it('the state of a finished instance goes when its retention has passed', async () => {
    await using world = await World.start(workflowWorker('return 1;'));
    await world.create('a');
    await waitForStatus(world.insula, 'a', 'complete');
    await world.clock('6 days');
    assert.equal((await statusOf(world.insula, 'a')).status, 'complete');
    await world.clock('25 hours');
    await until(async () => (await world.ask('show', 'flow', 'a')).error.includes('instance.not_found'), 'it is gone');
  });

  it('moves only where that was asked for, and never backwards', async () => {
    await using insula = await Insula.start(month);
    const { code, error } = await askWorkflows(join(insula.folder, 'data'), 'clock', '1 day');
    assert.equal(code, 1);
    assert.match(error, /start one with --test-clock/);
    await using world = await World.start(month);
    assert.match((await world.ask('clock', '-1 day')).error, /time does not pass backwards; --set sets/);
    assert.match((await world.ask('clock', 'soon')).error, /"soon" is not a duration/);
    assert.match((await world.ask('clock')).error, /insula workflows clock DURATION/);
  });
});

describe('schedules of workflows', () => {
  const scheduled = (schedules: string[]): WorkerSpec => workflowWorker('return { ...event, id: event.instanceId };', {
    workflows: [{ binding: 'FLOW', name: 'flow', class: 'Flow', schedules }],
  });
  const instances = async (world: World): Promise<string[]> => {
    const { instances: listed } = JSON.parse((await world.ask('list', '--json')).out) as { instances: { id: string }[] };
    return listed.map(({ id }) => id);
  };

  it('each time makes one instance, which knows its schedule', async () => {
    await using world = await World.start(scheduled(['0 0 * * *']));
    const now = await world.clock('0');
    const midnight = (Math.floor(now / kDayMs) + 1) * kDayMs;
    assert.deepEqual(await instances(world), []);
    await world.clock(String(midnight - now + 1000));
    const id = `0 0 * * *#${midnight}`;
    await until(async () => (await instances(world)).length === 1, 'an instance is there');
    const { output } = await waitForStatus(world.insula, encodeURIComponent(id), 'complete');
    const { schedule, payload, instanceId, workflowName } = output as Record<string, unknown>;
    assert.deepEqual({ schedule, payload, instanceId, workflowName }, {
      schedule: { cron: '0 0 * * *', scheduledTime: midnight }, payload: {}, instanceId: id, workflowName: 'flow',
    });
    await world.insula.log.wait('workflow.scheduled', (event) => event.instance === id);
    await world.clock('1 day');
    await until(async () => (await instances(world)).length === 2, 'another one a day later');
  });

  it('of times that pass at once only the last one counts, and a clock that was set back makes none twice', async () => {
    await using world = await World.start(scheduled(['0 0 * * *']));
    const now = await world.clock('3 days');
    const midnight = Math.floor(now / kDayMs) * kDayMs;
    await until(async () => (await instances(world)).length > 0, 'an instance is there');
    assert.deepEqual(await instances(world), [`0 0 * * *#${midnight}`]);
    await world.restart();
    await world.clock('0');
    assert.deepEqual(await instances(world), [`0 0 * * *#${midnight}`]);
  });

  it('no code can make an instance with such an id, and a wrong schedule is refused at the start', async () => {
    await using world = await World.start(scheduled(['0 0 * * *']));
    const made = await world.insula.call(`/create?id=${encodeURIComponent('0 0 * * *#0')}`, { method: 'POST' });
    assert.match(made.text, /Workflow instance has invalid id/);
    const wrong = Insula.spawn([scheduled(['0 25 * * *'])]);
    await wrong.exited();
    assert.match(wrong.log.tail(), /workflows\[0\]\.schedules.*"25\\?" is no hour/s);
    await wrong.stop();
  });
});
