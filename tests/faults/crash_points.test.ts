// SPDX-License-Identifier: Apache-2.0
//
// Every crash point of both kinds of process (src/base/crash_point.h): the server works, one of its processes ends there,
// and what was acknowledged is there afterwards. In CI each point once; then random ones.
//
// INSULA_FAULT_ROUNDS: how many rounds (each point, and 8 of the random kind); a pass through all points begins in a new
// data directory. INSULA_FAULT_SEED: printed, and brings the same
// rounds back. `make faults ROUNDS=3000` sets it, and those of the unit tests.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';

import { CrashWorld, crashWorker } from '../support/crash_world.ts';
import { Effects } from '../support/effects.ts';
import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { requireInsula } from '../support/paths.ts';
import { randomness } from '../support/randomness.ts';

const kRandomRounds = 8;
// Happen when a data directory is used for the first time, and in this order.
const kFirst = ['store.migrating', 'store.migrated', 'store.opened', 'objects.migrating', 'objects.migrated'];
// Needs a log of 32 MiB: the unit tests of the storage reach it (src/runner/actors/crash_points_test.cc).
const kElsewhere = ['actor.history.cut'];

const seed = Number(process.env.INSULA_FAULT_SEED ?? Date.now() % 1000000);
const random = randomness(seed);
const points = execFileSync(requireInsula(), ['crash-points'], { encoding: 'utf8' }).trim().split('\n')
  .map((line) => ({ name: line.split(' ')[1]! }));
const asked = process.env.INSULA_FAULT_ROUNDS === undefined ? undefined : Number(process.env.INSULA_FAULT_ROUNDS);

interface Plan {
  at: string;
  mustReach: boolean;
}

// What a pass through all points arms, in order. The first pass takes each point the first time that it is reached.
function planOf(pass: number): Plan[] {
  const rank = (name: string): number => (kFirst.includes(name) ? kFirst.indexOf(name) : kFirst.length);
  const named = points.filter(({ name }) => !kElsewhere.includes(name)).sort((a, b) => rank(a.name) - rank(b.name))
    .map(({ name }): Plan => {
      const nth = pass === 0 || kFirst.includes(name) ? 1 : 1 + Math.floor(random() * 6);
      return { at: `${name}:${nth}`, mustReach: nth === 1 };
    });
  const wild = Array.from({ length: kRandomRounds }, (): Plan =>
    ({ at: `*:${1 + Math.floor(random() * 300)}`, mustReach: false }));
  return [...named, ...wild];
}

class Rounds {
  readonly #effects: Effects;
  readonly #world: CrashWorld;
  readonly #data = join(mkdtempSync(join(tmpdir(), 'insula-crash-')), 'data');
  readonly reached = new Map<string, number>();
  lives = 0;

  constructor(effects: Effects) {
    this.#effects = effects;
    this.#world = new CrashWorld(effects);
  }

  // What a point needs may only be there in the next life: an instance that has expired, a log that is left.
  async rounds(plan: Plan): Promise<void> {
    for (let attempt = 0; attempt < 3; ++attempt) {
      const at = await this.#round(plan);
      if (at !== undefined) this.reached.set(at, (this.reached.get(at) ?? 0) + 1);
      if (!plan.mustReach || at === plan.at.split(':')[0]) return;
    }
    assert.fail('it was not reached');
  }

  // One life of the server, from the check of what the one before has left to an end at the point, or by kill -9.
  async #round(plan: Plan): Promise<string | undefined> {
    const insula = Insula.spawn([crashWorker(this.#effects)], {
      env: { INSULA_CRASH_AT: plan.at }, flags: ['--allow-private-addresses', '--data', this.#data],
    });
    await using _ = insula;
    ++this.lives;
    try {
      // A server that ends while it starts, or under the check, is at its point; the next one is checked instead.
      await insula.listening();
      await this.#check(insula);
      await this.#world.work(insula);
      if (plan.at.startsWith('alarm.again')) await this.#world.remindUnkindly(insula);
      if (/^workflow\.(row\.due|trimming)/.test(plan.at)) await this.#world.sleepLong(insula);
      await this.#check(insula);
    } catch (error) {
      if (!(await hasCrashed(insula))) throw error;
    }
    for (const pid of insula.tree()) process.kill(pid, 'SIGKILL');
    await insula.exited();
    closeConnections();
    return pointOf(insula);
  }

  // A runner may end in the middle of it: another one takes over, and it is looked at again.
  async #check(insula: Insula): Promise<void> {
    for (let attempt = 0; ; ++attempt) {
      try {
        return await this.#world.verify(insula);
      } catch (error) {
        if (attempt === 3 || !(await hasCrashed(insula)) || insula.hasEnded) throw error;
      }
    }
  }

  // The last life: nothing is armed, all is well, and the files are whole.
  async end(): Promise<void> {
    await using insula = await Insula.start([crashWorker(this.#effects)], { flags: ['--allow-private-addresses', '--data', this.#data] });
    await this.#world.verify(insula);
    await this.#world.work(insula);
    await this.#world.verify(insula);
    insula.signal('SIGTERM');
    await insula.exited();
    closeConnections();
    let checked = 0;
    for (const path of (readdirSync(this.#data, { recursive: true }) as string[]).filter((name) => name.endsWith('.sqlite'))) {
      const database = new DatabaseSync(join(this.#data, path));
      assert.deepEqual(database.prepare('PRAGMA integrity_check').all().map((row) => row.integrity_check), ['ok'], path);
      database.close();
      ++checked;
    }
    assert.ok(checked > 5 && existsSync(join(this.#data, 'store.sqlite')));
  }

  get acknowledged(): number {
    return this.#world.acknowledged;
  }
  [Symbol.dispose](): void {
    rmSync(join(this.#data, '..'), { recursive: true, force: true });
  }
}

// The point at which one of the processes has ended, as its own last line says.
function pointOf(insula: Insula): string | undefined {
  return insula.log.all('crash.reached')[0]?.point as string | undefined;
}

// A connection may be cut a moment before the last line of the process is read.
async function hasCrashed(insula: Insula): Promise<boolean> {
  await insula.log.wait('crash.reached', () => true, { within: 2000 }).catch(() => undefined);
  return pointOf(insula) !== undefined;
}

describe(`crash points (INSULA_FAULT_SEED=${seed})`, () => {
  it('lose nothing that was acknowledged', { timeout: 24 * 3600 * 1000 }, async () => {
    using effects = await Effects.start();
    const reached = new Map<string, number>();
    let rounds = 0;
    let acknowledged = 0;
    for (let pass = 0; pass === 0 || (asked !== undefined && rounds < asked); ++pass) {
      using life = new Rounds(effects);
      for (const plan of planOf(pass)) {
        if (asked !== undefined && rounds + life.lives >= asked) break;
        try {
          await life.rounds(plan);
        } catch (error) {
          throw new Error(`INSULA_FAULT_SEED=${seed}, pass ${pass}, ${plan.at}: ${(error as Error).message}`, { cause: error });
        }
      }
      await life.end();
      rounds += life.lives;
      acknowledged += life.acknowledged;
      for (const [name, count] of life.reached) reached.set(name, (reached.get(name) ?? 0) + count);
      if (asked !== undefined) console.log(`${rounds} rounds, ${[...reached.values()].reduce((a, b) => a + b, 0)} at a point, ${acknowledged} operations acknowledged`);
    }
    if (asked === undefined) {
      const never = points.filter(({ name }) => !kElsewhere.includes(name) && !reached.has(name)).map(({ name }) => name);
      assert.deepEqual(never, [], 'points that were never reached');
    }
  });
});
