// SPDX-License-Identifier: Apache-2.0
//
// Many tenants: a thousand loaded, ten thousand known, memory within its budget, and everyone comes back.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { memoryOf } from '../support/proc.ts';
import { until } from '../support/until.ts';

// Every id is a tenant of its own whose code knows its name.
const dispatcher = {
  name: 'many',
  loaders: [{ binding: 'LOADER' }],
  source: `let loads = 0;
export default { async fetch(request, env) {
  const id = new URL(request.url).pathname.slice(1);
  if (id === 'loads') return new Response(String(loads));
  const worker = env.LOADER.get(id, () => { loads++; return {
    compatibilityDate: '2026-06-01', mainModule: 'm.js', globalOutbound: null,
    modules: { 'm.js': 'let n = 0; export default { fetch() { return new Response("' + id + ' " + ++n); } };' } }; });
  return worker.getEntrypoint().fetch(request);
} };`,
};

async function visit(insula: Insula, ids: string[], lanes = 8): Promise<string[]> {
  const answers: string[] = new Array(ids.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < ids.length) {
      const index = next++;
      const answer = await insula.call(`/${ids[index]}`, { within: 30000 });
      assert.equal(answer.status, 200, answer.text);
      answers[index] = answer.text;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return answers;
}

const kMiB = 1024 * 1024;
const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `t${index}`);

describe('density', { timeout: 280000 }, () => {
  it('holds a thousand loaded tenants in little more than a mebibyte each', async () => {
    await using insula = await Insula.start(dispatcher);
    await visit(insula, ['warm']);
    const before = memoryOf(insula.tree()).pssBytes;
    const ids = names(1000);
    assert.deepEqual(await visit(insula, ids), ids.map((id) => `${id} 1`));
    const each = (memoryOf(insula.tree()).pssBytes - before) / 1000 / kMiB;
    assert.deepEqual(await visit(insula, ids), ids.map((id) => `${id} 2`));
    assert.equal((await insula.call('/loads')).text, '1001');
    assert.ok(each < 1.4, `${each.toFixed(2)} MiB per tenant`);
    closeConnections();
  });

  it('keeps ten thousand known tenants within the budget, and evicted ones come back', async () => {
    await using insula = await Insula.start(dispatcher, { node: 'isolates_max = 200\nrunner_memory_mib = 512\n' });
    const ids = names(10000);
    let most = 0;
    for (let start = 0; start < ids.length; start += 1000) {
      const part = ids.slice(start, start + 1000);
      assert.deepEqual(await visit(insula, part), part.map((id) => `${id} 1`));
      most = Math.max(most, memoryOf(insula.tree()).pssBytes / kMiB);
    }
    assert.ok(most < 1500, `${most.toFixed(0)} MiB at the most`);
    assert.deepEqual(await visit(insula, ['t0', 't1', 't2']), ['t0 1', 't1 1', 't2 1']);
    assert.equal(insula.log.all('runner.exited').length, 0, 'a runner was lost');
    closeConnections();
  });

  it('gives memory back when tenants are idle', async () => {
    await using insula = await Insula.start(dispatcher, { node: 'idle_after_ms = 300\n' });
    await visit(insula, ['warm']);
    const before = memoryOf(insula.tree()).pssBytes;
    await visit(insula, names(300));
    const loaded = memoryOf(insula.tree()).pssBytes;
    await until(() => memoryOf(insula.tree()).pssBytes < before + (loaded - before) / 2, 'half of the memory is back', 20000);
    assert.deepEqual(await visit(insula, ['t5']), ['t5 1']);
    closeConnections();
  });

  it('never evicts a tenant that is at work', async () => {
    await using insula = await Insula.start({
      ...dispatcher,
      source: dispatcher.source.replace('"let n = 0;', '"let n = 0;').replace('fetch() { return', 'async fetch(r) { if (r.url.endsWith("?slow")) await new Promise((f) => setTimeout(f, 3000)); return'),
    }, { node: 'isolates_max = 20\nidle_after_ms = 200\n' });
    const slow = insula.call('/keep?slow');
    await visit(insula, names(200));
    assert.equal((await slow).text, 'keep 1');
    closeConnections();
  });
});
