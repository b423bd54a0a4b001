// SPDX-License-Identifier: Apache-2.0
//
// CrashWorld: a Worker that keeps everything that can be kept (objects, facets, alarms, bookmarks, workflows), what a
// client was told of it, and whether the two agree after processes have ended.
//
// An operation that was answered must have happened, once and whole. One that was not may have happened, but not by half.
import assert from 'node:assert/strict';

import type { Effects } from './effects.ts';
import type { Insula } from './insula.ts';
import { until } from './until.ts';
import type { WorkerSpec } from './worker_spec.ts';

const kObjects = ['o0', 'o1', 'o2'];

const source = `import { DurableObject, WorkflowEntrypoint } from 'cloudflare:workers';
const list = (sql, table) => sql.exec('SELECT id FROM ' + table + ' ORDER BY id').raw().toArray().map(([id]) => id);
export class Store extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    for (const table of ['a', 'b', 'asked', 'fired']) ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS ' + table + ' (id INTEGER PRIMARY KEY)');
  }
  add(id) {
    const { storage } = this.ctx;
    storage.sql.exec('INSERT INTO a VALUES (?)', id);
    storage.put('count', (storage.kv.get('count') ?? 0) + 1);
    storage.put('weight', 'x'.repeat(id * 97 % 20000));
    storage.sql.exec('INSERT INTO b VALUES (?)', id);
  }
  async remind(id, ms) {
    this.ctx.storage.sql.exec('INSERT INTO asked VALUES (?)', id);
    await this.ctx.storage.setAlarm(Date.now() + ms);
  }
  remindUnkindly(id) { this.unkind = true; return this.remind(id, 1); }
  alarm() {
    if (this.unkind) { this.unkind = false; throw new Error('not now'); }
    this.ctx.storage.sql.exec('INSERT OR IGNORE INTO fired SELECT id FROM asked');
  }
  look() {
    const { sql, kv } = this.ctx.storage;
    return { a: list(sql, 'a'), b: list(sql, 'b'), asked: list(sql, 'asked'), fired: list(sql, 'fired'), count: kv.get('count') ?? 0,
             check: sql.exec('PRAGMA quick_check').one().quick_check };
  }
  // ---- everything goes
  async wipe() { await this.ctx.storage.deleteAll(); }
  keep(id) { this.ctx.storage.kv.put('k' + id, id); }
  kept() { return [...this.ctx.storage.kv.list({ prefix: 'k' })].map(([, id]) => id); }
  // ---- back in time
  async mark(id) { this.keep(id); const bookmark = await this.ctx.storage.getCurrentBookmark(); return bookmark; }
  async back(bookmark) { await this.ctx.storage.onNextSessionRestoreBookmark(bookmark); await this.ctx.storage.sync(); this.ctx.waitUntil(Promise.resolve().then(() => this.ctx.abort('back'))); }
  // ---- facets
  part(name) { return this.ctx.facets.get(name, () => ({ class: this.ctx.exports.Part })); }
  facetAdd(name, id) { return this.part(name).add(name, id); }
  facetLook(name) { return this.part(name).look(); }
  facetClone(from, to) { this.ctx.facets.clone(from, to); return this.part(to).look(); }
  async facetDelete(name) { this.ctx.facets.delete(name); return (await this.part(name).look()).ids.length; }
}
export class Part extends DurableObject {
  constructor(ctx, env) { super(ctx, env); ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS a (id INTEGER PRIMARY KEY)'); }
  add(name, id) {
    const { kv, sql } = this.ctx.storage;
    if (kv.get('owner') === undefined) kv.put('owner', name);
    sql.exec('INSERT INTO a VALUES (?)', id);
  }
  look() { return { owner: this.ctx.storage.kv.get('owner') ?? null, ids: list(this.ctx.storage.sql, 'a') }; }
}
export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const { kind } = event.payload;
    if (kind === 'quick') return step.do('only', () => 'quick');
    if (kind === 'slept') { await step.sleep('long', 2500); return step.do('after', () => 'slept'); }
    const results = [];
    const tell = async () => Number(await (await fetch(this.env.EFFECTS + '/?id=' + event.instanceId + '&results=' + JSON.stringify(results))).text());
    const retries = { limit: 100, delay: 5, backoff: 'constant' };
    for (let i = 0; i < 2; i++) results.push(await step.do('step ' + i, { retries }, kind === 'full' ? tell : () => i));
    await step.sleep('nap', 200);
    let failures = 0;
    await step.do('stubborn', { retries }, () => { if (failures++ === 0) throw new Error('once more'); });
    const got = await step.waitForEvent('go', { type: 'go', timeout: '1 hour' });
    results.push(await step.do('last', { retries }, kind === 'full' ? tell : () => 2));
    return [results.length, got.payload.go];
  }
}
export default { async fetch(request, env) {
  const [kind, name, what, ...rest] = JSON.parse(await request.text());
  try {
    if (kind === 'object') return Response.json((await env.STORE.getByName(name)[what](...rest)) ?? null);
    if (what === 'create') return Response.json((await env.FLOW.create({ id: name, params: rest[0], retention: rest[1] })).id);
    const instance = await env.FLOW.get(name);
    return Response.json((await instance[what](...rest)) ?? null);
  } catch (error) {
    return Response.json({ name: error.name, message: error.message }, { status: 500 });
  }
} };`;

export function crashWorker(effects: Effects): WorkerSpec {
  return {
    name: 'world', source,
    objects: [{ binding: 'STORE', class: 'Store' }],
    workflows: [{ binding: 'FLOW', name: 'flow', class: 'Flow' }],
    vars: { EFFECTS: effects.url },
    limits: { cpu_ms: 300000, subrequests: 1000000 },
  };
}

interface Look {
  a: number[];
  b: number[];
  asked: number[];
  fired: number[];
  count: number;
  check: string;
}

interface Facet {
  home: string; // the object that it is below
  owner: string; // who wrote into it first
  acknowledged: number[];
  perhaps: number[]; // written, but nobody said so
  fate: 'there' | 'perhaps there' | 'perhaps gone' | 'gone';
}

// One answered or unanswered request.
interface Told {
  isDone: boolean;
  value?: unknown;
  problem?: string;
}

export class CrashWorld {
  #next = 1;
  readonly #added = new Map<string, number[]>(kObjects.map((name) => [name, []]));
  readonly #reminded = new Map<string, number[]>(kObjects.map((name) => [name, []]));
  readonly #facets = new Map<string, Facet>();
  #wiped = { acknowledged: [] as number[], perhaps: [] as number[], mayBeEmpty: false };
  #marked: { sure: number[]; mark: number[]; alternatives: number[][]; bookmark: unknown } = { sure: [], mark: [], alternatives: [], bookmark: undefined };
  readonly #flows = new Map<string, { kind: string; isSure: boolean; isSent: boolean; ends: string[] }>();
  readonly #effects: Effects;
  acknowledged = 0;

  constructor(effects: Effects) {
    this.#effects = effects;
  }

  // ---- Work

  // A little of everything, several writers side by side; returns when all of it was answered or was lost.
  async work(insula: Insula): Promise<void> {
    const tag = `${this.#next}`;
    const ask = (...words: unknown[]): Promise<Told> => this.#ask(insula, words);
    await Promise.all([
      ...kObjects.flatMap((name) => [this.#addSome(ask, name), this.#addSome(ask, name)]),
      ...kObjects.map((name) => this.#remind(ask, name)),
      ask('object', `new${tag}`, 'add', this.#next++),
      this.#workOnFacets(ask, 'o0', tag),
      this.#wipe(ask),
      this.#goBack(ask),
      ...['full', 'full', 'full', 'ended', 'restarted'].map((kind, index) => this.#flow(ask, `${kind}-${tag}-${index}`, kind)),
      this.#quick(ask, `quick-${tag}`),
    ]);
  }

  // The first try of this alarm fails; the second comes after two seconds.
  async remindUnkindly(insula: Insula): Promise<void> {
    const id = this.#next++;
    if ((await this.#ask(insula, ['object', 'o1', 'remindUnkindly', id])).isDone) this.#reminded.get('o1')!.push(id);
  }

  // An instance that sleeps longer than its run is kept.
  async sleepLong(insula: Insula): Promise<void> {
    const id = `slept-${this.#next++}`;
    const flow = { kind: 'slept', isSure: false, isSent: true, ends: ['complete'] };
    this.#flows.set(id, flow);
    flow.isSure = (await this.#ask(insula, ['flow', id, 'create', { kind: 'slept' }])).isDone;
  }

  async #ask(insula: Insula, words: unknown[]): Promise<Told> {
    try {
      const answer = await insula.call('/', { method: 'POST', body: JSON.stringify(words), within: 20000 });
      if (answer.status !== 200) return { isDone: false, problem: answer.text };
      ++this.acknowledged;
      return { isDone: true, value: JSON.parse(answer.text) };
    } catch (error) {
      return { isDone: false, problem: String(error) };
    }
  }

  async #addSome(ask: Ask, name: string): Promise<void> {
    for (let count = 0; count < 4; ++count) {
      const id = this.#next++;
      if ((await ask('object', name, 'add', id)).isDone) this.#added.get(name)!.push(id);
    }
  }

  async #remind(ask: Ask, name: string): Promise<void> {
    const id = this.#next++;
    if ((await ask('object', name, 'remind', id, 20)).isDone) this.#reminded.get(name)!.push(id);
  }

  async #workOnFacets(ask: Ask, home: string, tag: string): Promise<void> {
    const [first, second, third] = [`f${tag}`, `g${tag}`, `h${tag}`];
    const one = await this.#addToFacet(ask, home, first, first);
    if (!one) return;
    const copied = await ask('object', home, 'facetClone', first, second);
    const from = this.#facets.get(first)!;
    this.#facets.set(second, { ...from, acknowledged: [...from.acknowledged], perhaps: [...from.perhaps], fate: copied.isDone ? 'there' : 'perhaps there' });
    if (!copied.isDone) return;
    await this.#addToFacet(ask, home, second, first);
    const deleted = await ask('object', home, 'facetDelete', first);
    from.fate = deleted.isDone ? 'gone' : 'perhaps gone';
    await this.#addToFacet(ask, home, third, third);
  }

  async #addToFacet(ask: Ask, home: string, name: string, owner: string): Promise<boolean> {
    const facet = this.#facets.get(name) ?? { home, owner, acknowledged: [], perhaps: [], fate: 'perhaps there' };
    this.#facets.set(name, facet);
    const id = this.#next++;
    const { isDone } = await ask('object', home, 'facetAdd', name, id);
    if (isDone) {
      facet.acknowledged.push(id);
      facet.fate = 'there';
    } else {
      facet.perhaps.push(id);
    }
    return isDone;
  }

  async #wipe(ask: Ask): Promise<void> {
    const keep = async (): Promise<void> => {
      const id = this.#next++;
      if ((await ask('object', 'wiped', 'keep', id)).isDone) this.#wiped.acknowledged.push(id);
      else this.#wiped.perhaps.push(id);
    };
    await keep();
    if ((await ask('object', 'wiped', 'wipe')).isDone) this.#wiped = { acknowledged: [], perhaps: [], mayBeEmpty: false };
    else this.#wiped.mayBeEmpty = true;
    await keep();
  }

  // keep 1, mark, keep 2, back: 1 is there and 2 is not.
  async #goBack(ask: Ask): Promise<void> {
    const state = this.#marked;
    const id = this.#next++;
    const mark = await ask('object', 'back', 'mark', id);
    if (!mark.isDone) {
      state.alternatives = [...state.alternatives, [...state.sure, id]];
      return;
    }
    state.sure = [...state.sure, id];
    state.mark = state.sure;
    state.alternatives = [];
    const later = this.#next++;
    const kept = await ask('object', 'back', 'keep', later);
    if (kept.isDone) state.sure = [...state.sure, later];
    else state.alternatives = [[...state.sure, later]];
    if (!kept.isDone) return;
    const back = await ask('object', 'back', 'back', mark.value);
    if (back.isDone) state.sure = state.mark;
    else state.alternatives = [...state.alternatives, state.mark];
  }

  async #flow(ask: Ask, id: string, kind: string): Promise<void> {
    const flow = { kind, isSure: false, isSent: false, ends: ['complete'] };
    this.#flows.set(id, flow);
    flow.isSure = (await ask('flow', id, 'create', { kind })).isDone;
    if (!flow.isSure) return;
    if (kind === 'restarted' && !(await ask('flow', id, 'restart')).isDone) return;
    if (kind === 'ended') {
      flow.ends = (await ask('flow', id, 'terminate')).isDone ? ['terminated'] : ['terminated', 'complete'];
      return;
    }
    flow.isSent = (await ask('flow', id, 'sendEvent', { type: 'go', payload: { go: id } })).isDone;
  }

  // Two that end at once: one is removed by its owner, the other by its retention.
  async #quick(ask: Ask, id: string): Promise<void> {
    for (const which of ['a', 'b']) {
      const { isDone } = await ask('flow', id + which, 'create', { kind: 'quick' }, { successRetention: 1, errorRetention: 1 });
      if (!isDone) return;
    }
    await ask('flow', `${id}a`, 'delete');
  }

  // ---- What is there

  async verify(insula: Insula): Promise<void> {
    const look = async (...words: unknown[]): Promise<unknown> => {
      const told = await this.#ask(insula, words);
      assert.ok(told.isDone, `${JSON.stringify(words)}: ${told.problem}`);
      return told.value;
    };
    for (const name of kObjects) await this.#verifyObject(look, name);
    for (const [name, facet] of this.#facets) await this.#verifyFacet(look, name, facet);
    await this.#verifyWiped(look);
    await this.#verifyBack(look);
    for (const id of this.#flows.keys()) await this.#verifyFlow(insula, id);
    assert.deepEqual(this.#effects.problems, []);
  }

  async #verifyObject(look: LookUp, name: string): Promise<void> {
    const first = await look('object', name, 'look') as Look;
    assert.equal(first.check, 'ok', name);
    assert.deepEqual(first.a, first.b, `${name}: a turn was kept by half`);
    assert.equal(first.count, first.a.length, `${name}: keys and rows of a turn belong together`);
    assert.deepEqual(missing(first.a, this.#added.get(name)!), [], `${name}: acknowledged writes are gone`);
    assert.deepEqual(missing(first.asked, this.#reminded.get(name)!), [], `${name}: acknowledged reminders are gone`);
    await until(async () => missing((await look('object', name, 'look') as Look).fired, first.asked).length === 0,
                `${name}: all its alarms have rung`, 20000);
    this.#added.set(name, first.a);
    this.#reminded.set(name, first.asked);
  }

  async #verifyFacet(look: LookUp, name: string, facet: Facet): Promise<void> {
    const found = await look('object', facet.home, 'facetLook', name) as { owner: string | null; ids: number[] };
    const what = `facet ${name}: ${JSON.stringify(found)} against ${JSON.stringify(facet)}`;
    if (found.owner === null) {
      assert.deepEqual(found.ids, [], what);
      assert.ok(facet.fate !== 'there', what);
    } else {
      assert.ok(facet.fate !== 'gone', what);
      assert.equal(found.owner, facet.owner, what);
      assert.deepEqual(missing(found.ids, facet.acknowledged), [], what);
      assert.deepEqual(missing([...facet.acknowledged, ...facet.perhaps], found.ids), [], what);
    }
    this.#facets.delete(name);  // it stays as it is
  }

  async #verifyWiped(look: LookUp): Promise<void> {
    const kept = await look('object', 'wiped', 'kept') as number[];
    const what = `wiped: ${JSON.stringify(kept)} against ${JSON.stringify(this.#wiped)}`;
    assert.deepEqual(missing([...this.#wiped.acknowledged, ...this.#wiped.perhaps], kept), [], what);
    if (!this.#wiped.mayBeEmpty) assert.deepEqual(missing(kept, this.#wiped.acknowledged), [], what);
    this.#wiped = { acknowledged: kept, perhaps: [], mayBeEmpty: false };
  }

  async #verifyBack(look: LookUp): Promise<void> {
    const kept = (await look('object', 'back', 'kept') as number[]).sort((a, b) => a - b);
    const possible = [this.#marked.sure, ...this.#marked.alternatives];
    assert.ok(possible.some((state) => JSON.stringify(state) === JSON.stringify(kept)),
              `back: ${JSON.stringify(kept)} is none of ${JSON.stringify(possible)}`);
    this.#marked = { sure: kept, mark: kept, alternatives: [], bookmark: undefined };
  }

  async #verifyFlow(insula: Insula, id: string): Promise<void> {
    const flow = this.#flows.get(id)!;
    const status = async (): Promise<{ status: string; output: unknown; error: unknown } | undefined> => {
      const told = await this.#ask(insula, ['flow', id, 'status']);
      if (told.isDone) return told.value as { status: string; output: unknown; error: unknown };
      assert.ok(!flow.isSure && told.problem!.includes('instance.not_found'), `instance ${id}: ${told.problem}`);
      return undefined;
    };
    let now = await status();
    // What was not acknowledged is said again.
    if (now !== undefined && now.status !== 'complete' && now.status !== 'terminated' && !flow.isSent) {
      assert.ok((await this.#ask(insula, ['flow', id, 'sendEvent', { type: 'go', payload: { go: id } }])).isDone, id);
    }
    await until(async () => {
      now = await status();
      return now === undefined || ['complete', 'errored', 'terminated'].includes(now.status);
    }, `instance ${id} has ended`, 30000);
    if (now !== undefined) {
      assert.ok(flow.ends.includes(now.status), `instance ${id}: ${JSON.stringify(now)}`);
      if (now.status === 'complete') assert.deepEqual(now.output, flow.kind === 'slept' ? 'slept' : [3, id]);
    }
    this.#flows.delete(id);
  }
}

type Ask = (...words: unknown[]) => Promise<Told>;
type LookUp = (...words: unknown[]) => Promise<unknown>;

function missing(there: number[], wanted: number[]): number[] {
  const set = new Set(there);
  return wanted.filter((one) => !set.has(one));
}
