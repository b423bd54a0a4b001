// SPDX-License-Identifier: Apache-2.0
//
// Node tests: one folder of *.test.ts, run by the test runner of the pinned engine.
import { filesEndingIn, nothing, type Outcome, runProgram } from './outcome.ts';

// The figures at the end of TAP output: "# pass 12".
function figure(output: string, name: string): number {
  return Number(output.match(new RegExp(`^# ${name} (\\d+)$`, 'm'))?.[1] ?? 0);
}

export async function runNodeTests(folder: string, within: number): Promise<Outcome> {
  const files = filesEndingIn(folder, '.test.ts');
  if (files.length === 0) return { ...nothing, failed: 1, log: `${folder}: there is no test in it\n` };
  const ended = await runProgram(process.execPath, ['--test', '--test-reporter=tap', ...files], { within });
  const passed = figure(ended.output, 'pass');
  const failed = figure(ended.output, 'fail') + figure(ended.output, 'cancelled');
  const skipped = figure(ended.output, 'skipped') + figure(ended.output, 'todo');
  const reason = ended.ok ? '' : `${folder}: ${ended.reason}\n`;
  // No figures, or success claimed by them alone, is a failure all the same.
  return { passed, failed: ended.ok && passed > 0 ? failed : Math.max(failed, 1), skipped, log: ended.output + reason };
}
