// SPDX-License-Identifier: Apache-2.0
//
// bundle: an ES module with npm imports as one module, the way people bundle their Workers.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { root } from './paths.ts';

export function bundle(source: string): string {
  return execFileSync(join(root, 'node_modules/@esbuild/linux-x64/bin/esbuild'), [
    '--bundle', '--format=esm', '--platform=neutral', '--main-fields=module,main', '--conditions=workerd,worker,browser,import', '--external:cloudflare:*',
  ], { input: source, cwd: root, encoding: 'utf8' });
}
