// SPDX-License-Identifier: Apache-2.0
//
// Fuzz: builds the fuzzers with clang in a folder of their own and runs each one shortly. The seed and the number of
// runs are fixed, so that the same sources give the same inputs; the time is only a bound for slow machines.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { add, filesEndingIn, nothing, type Outcome, root, runProgram } from './outcome.ts';

const seed = 20260101;
const runs = 20_000;
const secondsMax = 20;
const buildWithin = 12 * 60_000;

async function runOne(name: string): Promise<Outcome> {
  // New inputs go to a folder that is thrown away; the kept ones are only read.
  const found = mkdtempSync(join(tmpdir(), `insula-fuzz-${name}-`));
  const kept = join(root, 'tests/fuzz/corpus', name);
  const crashes = join(root, 'build-fuzz/crashes/');
  mkdirSync(crashes, { recursive: true });
  const ended = await runProgram(
    join(root, 'build-fuzz', `${name}_fuzz`),
    [
      found,
      ...(existsSync(kept) ? [kept] : []),
      `-seed=${seed}`,
      `-runs=${runs}`,
      `-max_total_time=${secondsMax}`,
      '-timeout=5',
      '-rss_limit_mb=2048',
      `-artifact_prefix=${crashes}${name}-`,
    ],
    { within: (secondsMax + 60) * 1000 },
  );
  rmSync(found, { recursive: true });
  const log = `--- fuzz ${name}: ${ended.ok ? 'passed' : ended.reason}\n${ended.output}\n`;
  return { passed: ended.ok ? 1 : 0, failed: ended.ok ? 0 : 1, skipped: 0, log };
}

export async function runFuzzers(): Promise<Outcome> {
  const names = filesEndingIn('tests/fuzz', '_fuzz.cc').map((path) => basename(path, '_fuzz.cc'));
  if (names.length === 0) return { ...nothing, failed: 1, log: 'fuzz: there is no *_fuzz.cc in tests/fuzz\n' };
  const built = await runProgram('tools/build', ['fuzz', 'fuzzers'], { within: buildWithin });
  if (!built.ok) return { ...nothing, failed: 1, log: `fuzz: cannot build: ${built.reason}\n${built.output}` };
  let total = nothing;
  for (const name of names) total = add(total, await runOne(name));
  return total;
}
