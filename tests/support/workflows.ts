// SPDX-License-Identifier: Apache-2.0
//
// A Worker with one workflow, "flow", whose run() a test writes, and which is operated over HTTP:
//
//   POST /create?id=  POST /event?id=&type=  GET /status?id=  POST /call?id=&method= (body: arguments)  GET /effects
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

import type { Insula } from './insula.ts';
import type { WorkerSpec } from './worker_spec.ts';

export interface FlowStatus {
  status: string;
  output: unknown;
  error: { name: string; message: string } | null;
}

// `run` sees event, step, env, and effects: an array that lives as long as the isolate.
export function workflowWorker(run: string, more: Partial<WorkerSpec> = {}): WorkerSpec {
  return {
    name: 'app',
    source: `
import { WorkflowEntrypoint } from 'cloudflare:workers';
import { NonRetryableError } from 'cloudflare:workflows';
const effects = [];
export class Flow extends WorkflowEntrypoint {
  async run(event, step) { const { env } = this; ${run} }
}
export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const id = searchParams.get('id') ?? undefined;
    const text = await request.text();
    const body = text === '' ? undefined : JSON.parse(text);
    try {
      if (pathname === '/effects') return Response.json(effects);
      if (pathname === '/create') return Response.json({ id: (await env.FLOW.create({ id, params: body })).id });
      const instance = await env.FLOW.get(id);
      if (pathname === '/status') return Response.json(await instance.status());
      if (pathname === '/event') await instance.sendEvent({ type: searchParams.get('type'), payload: body });
      if (pathname === '/call') await instance[searchParams.get('method')](...(body ?? []));
      return Response.json({});
    } catch (error) {
      return Response.json({ name: error.name, message: error.message }, { status: 500 });
    }
  },
};`,
    workflows: [{ binding: 'FLOW', name: 'flow', class: 'Flow' }],
    ...more,
  };
}

export async function statusOf(insula: Insula, id: string): Promise<FlowStatus> {
  const answer = await insula.call(`/status?id=${id}`);
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text) as FlowStatus;
}

export async function effectsOf(insula: Insula): Promise<unknown> {
  return JSON.parse((await insula.call('/effects')).text);
}

// Looks until it is there; fails at once when the instance has come to another end.
export async function waitForStatus(insula: Insula, id: string, wanted: string, within = 20000): Promise<FlowStatus> {
  const until = Date.now() + within;
  for (;;) {
    const now = await statusOf(insula, id);
    if (now.status === wanted) return now;
    assert.ok(!['complete', 'errored', 'terminated'].includes(now.status), `instance ${id} is ${JSON.stringify(now)}`);
    assert.ok(Date.now() < until, `instance ${id} is still ${now.status}, not ${wanted}`);
    await pause(20);
  }
}
