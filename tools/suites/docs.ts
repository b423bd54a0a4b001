// SPDX-License-Identifier: Apache-2.0
//
// Docs: the checks of tools/docs/checks.ts over all pages.
import { checks } from '../docs/checks.ts';
import { readPages } from '../docs/markdown.ts';
import { add, nothing, type Outcome } from './outcome.ts';

export async function runDocs(): Promise<Outcome> {
  const pages = readPages();
  let total = nothing;
  for (const [name, check] of Object.entries(checks)) {
    const complaints = await (async () => check(pages))().catch((error: Error) => [error.message]);
    const isFine = complaints.length === 0;
    const log = [`--- docs: ${name}: ${isFine ? 'passed' : 'failed'}`, ...complaints, ''].join('\n');
    total = add(total, { passed: isFine ? 1 : 0, failed: isFine ? 0 : 1, skipped: 0, log });
  }
  return total;
}
