// SPDX-License-Identifier: Apache-2.0
//
// Test: runs every suite and ends in one line, "N passed, N failed". Exit code 1 when anything failed.
//
//   node tools/test.ts              all suites, cheapest first; one that fails does not stop the others
//   node tools/test.ts unit fuzz    only these
//
// INSULA_BUILD names another build folder than build/. What each suite said is kept in <build>/test-logs/<suite>.log
// and printed when it failed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { runDocs } from './suites/docs.ts';
import { runFuzzers } from './suites/fuzz.ts';
import { runNodeTests } from './suites/node_tests.ts';
import { buildFolder, type Outcome } from './suites/outcome.ts';
import { runRooms } from './suites/rooms.ts';
import { runTypes } from './suites/types.ts';
import { runUnitTests } from './suites/unit.ts';

type Suite = () => Promise<Outcome>;

const minute = 60_000;

const suites: Record<string, Suite> = {
  rooms: runRooms,
  types: runTypes,
  unit: runUnitTests,
  docs: runDocs,
  builtins: () => runNodeTests('tests/builtins', 3 * minute),
  integration: () => runNodeTests('tests/integration', 6 * minute),
  differential: () => runNodeTests('tests/differential', 5 * minute),
  faults: () => runNodeTests('tests/faults', 5 * minute),
  fuzz: runFuzzers,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in suites));
if (unknown.length > 0) {
  console.error(`test: no suite '${unknown.join("', '")}'; there are ${Object.keys(suites).join(', ')}`);
  process.exit(2);
}

const logFolder = join(buildFolder, 'test-logs');
mkdirSync(logFolder, { recursive: true });
let passed = 0;
let failed = 0;
for (const [name, run] of Object.entries(suites)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const started = performance.now();
  const outcome = await run().catch(
    (error: Error): Outcome => ({ passed: 0, failed: 1, skipped: 0, log: `${name}: ${error.stack ?? error.message}\n` }),
  );
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  passed += outcome.passed;
  failed += outcome.failed;
  writeFileSync(join(logFolder, `${name}.log`), outcome.log);
  if (outcome.failed > 0) process.stdout.write(outcome.log.endsWith('\n') ? outcome.log : `${outcome.log}\n`);
  const skipped = outcome.skipped > 0 ? `, ${outcome.skipped} skipped` : '';
  console.log(`${name.padEnd(13)} ${outcome.passed} passed, ${outcome.failed} failed${skipped} (${seconds} s)`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1; // not exit(): what was written may still be on its way
