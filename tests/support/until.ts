// SPDX-License-Identifier: Apache-2.0
//
// until: for facts that nobody announces, such as the end of a process that is no child of the test.
import { setTimeout as delay } from 'node:timers/promises';

export async function until(isTrue: () => boolean | Promise<boolean>, what: string, within = 10000): Promise<void> {
  const end = performance.now() + within;
  while (!(await isTrue())) {
    if (performance.now() > end) throw new Error(`not true within ${within} ms: ${what}`);
    await delay(10);
  }
}

// Value at the given share of a list: quantile(list, 0.99).
export function quantile(values: number[], share: number): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

export function median(values: number[]): number {
  return quantile(values, 0.5);
}
