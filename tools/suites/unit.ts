// SPDX-License-Identifier: Apache-2.0
//
// Unit: the test programs of the rooms, as ctest lists them, two at a time; counts GoogleTest's cases, not programs.
import { add, buildFolder, type Ended, nothing, type Outcome, runProgram } from './outcome.ts';

const parallel = 2;

interface ListedTest {
  name: string;
  command?: string[]; // absent when its program is not there
  properties?: { name: string; value: unknown }[];
}

function property(test: ListedTest, name: string): unknown {
  return test.properties?.find((one) => one.name === name)?.value;
}

// A program without GoogleTest's closing lines counts as one test; so does one that broke off before them. Of a program
// that passed only the first line is worth keeping.
function outcomeOf(test: ListedTest, ended: Ended): Outcome {
  const count = (pattern: RegExp): number => Number(ended.output.match(pattern)?.[1] ?? 0);
  const passed = count(/^\[ {2}PASSED {2}\] (\d+) tests?\./m);
  const listed = count(/^\[ {2}FAILED {2}\] (\d+) tests?, listed below/m);
  const skipped = count(/^\[ {2}SKIPPED \] (\d+) tests?, listed below/m);
  const failed = ended.ok ? listed : Math.max(listed, 1);
  const isCounted = passed + failed + skipped > 0;
  const log = failed === 0 ? `--- ${test.name}: passed\n` : `--- ${test.name}: ${ended.reason}\n${ended.output}\n`;
  return { passed: isCounted ? passed : 1, failed, skipped, log };
}

export async function runUnitTests(): Promise<Outcome> {
  const list = await runProgram('ctest', ['--test-dir', buildFolder, '--show-only=json-v1'], { within: 30_000 });
  if (!list.ok) return { ...nothing, failed: 1, log: `unit: ctest cannot list the tests: ${list.reason}\n${list.output}` };
  const tests = (JSON.parse(list.output) as { tests: ListedTest[] }).tests;
  if (tests.length === 0) return { ...nothing, failed: 1, log: `unit: no test programs in ${buildFolder}\n` };

  let total = nothing;
  const waiting = [...tests];
  const work = async (): Promise<void> => {
    for (let test = waiting.shift(); test !== undefined; test = waiting.shift()) {
      if (test.command === undefined) {
        total = add(total, { ...nothing, failed: 1, log: `--- ${test.name}: its program has not been built\n` });
        continue;
      }
      const [program, ...args] = test.command;
      const folder = property(test, 'WORKING_DIRECTORY') as string | undefined;
      const seconds = Number(property(test, 'TIMEOUT') ?? 120);
      const listed = (property(test, 'ENVIRONMENT') ?? []) as string[];
      const env = Object.fromEntries(listed.map((pair) => pair.split(/=(.*)/s).slice(0, 2)));
      const ended = await runProgram(program, args, { within: seconds * 1000, folder, env });
      total = add(total, outcomeOf(test, ended));
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return total;
}
