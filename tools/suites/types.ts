// SPDX-License-Identifier: Apache-2.0
//
// Types: the TypeScript compiler over each project of ours. The engine only erases types, so nothing else reads them.
import { join } from 'node:path';

import { add, nothing, type Outcome, root, runProgram } from './outcome.ts';

const projects = ['src/builtins', 'examples/platform', 'examples/app-builder', 'examples/dynamic-workflows', 'tools'];
const compiler = join(root, 'node_modules/typescript/bin/tsc');

export async function runTypes(): Promise<Outcome> {
  let total = nothing;
  for (const project of projects) {
    const ended = await runProgram(process.execPath, [compiler, '-p', project, '--noEmit'], { within: 120_000 });
    const log = `--- types of ${project}: ${ended.ok ? 'passed' : ended.reason}\n${ended.output}`;
    total = add(total, { passed: ended.ok ? 1 : 0, failed: ended.ok ? 0 : 1, skipped: 0, log });
  }
  return total;
}
