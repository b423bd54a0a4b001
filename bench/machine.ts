// SPDX-License-Identifier: Apache-2.0
//
// The machine that a bench ran on, for its report.
import { readFileSync } from 'node:fs';
import { availableParallelism, release } from 'node:os';

export function machine(): string {
  const model = /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown CPU';
  const memory = Number(/^MemTotal:\s*(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) / 1024 / 1024;
  return `${model}, ${availableParallelism()} cores, ${memory.toFixed(0)} GiB, Linux ${release()}`;
}
