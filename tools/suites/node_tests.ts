// SPDX-License-Identifier: Apache-2.0
//
// Node tests: one folder of *.test.ts, run by the test runner of the pinned engine.
import { filesEndingIn, nothing, type Outcome, runProgram } from './outcome.ts';

// The figures at the end of the report: "ℹ pass 12".
function figure(output: string, name: string): number {
  return Number(output.match(new RegExp(`^ℹ ${name} (\\d+)$`, 'm'))?.[1] ?? 0);
}

export async function runNodeTests(folder: string, within: number): Promise<Outcome> {
  const files = filesEndingIn(folder, '.test.ts');
  if (files.length === 0) return { ...nothing, failed: 1, log: `${folder}: there is no test in it\n` };
  const ended = await runProgram(process.execPath, ['--test', '--test-reporter=spec', ...files], { within });
  const passed = figure(ended.output, 'pass');
  const failures = figure(ended.output, 'fail') + figure(ended.output, 'cancelled');
  const skipped = figure(ended.output, 'skipped') + figure(ended.output, 'todo');
  // Figures that claim success do not count when the program says otherwise, or when nothing ran.
  const failed = ended.ok && passed > 0 ? failures : Math.max(failures, 1);
  // The report repeats its failures at the end; when it has no end, all of it is needed.
  const details = ended.output.slice(Math.max(0, ended.output.indexOf('✖ failing tests:')));
  const log = failed === 0 ? ended.output : `${details}\n${folder}: ${ended.reason || 'nothing ran'}\n`;
  return { passed, failed, skipped, log };
}
