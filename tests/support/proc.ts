// SPDX-License-Identifier: Apache-2.0
//
// What the kernel knows about processes: families, CPU time, memory.
import { readdirSync, readFileSync } from 'node:fs';

const kMillisPerTick = 10; // USER_HZ is 100 on every Linux that we support

interface Stat {
  parent: number;
  state: string;
  cpuMillis: number;
}

// Fields of /proc/PID/stat, undefined when there is no such process. The name in parentheses may hold anything.
function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return {
      state: fields[0]!,
      parent: Number(fields[1]),
      cpuMillis: (Number(fields[11]) + Number(fields[12])) * kMillisPerTick,
    };
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number): boolean {
  const stat = readStat(pid);
  return stat !== undefined && stat.state !== 'Z' && stat.state !== 'X';
}

// The process and all its descendants that live now.
export function processTree(top: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? readStat(pid) : undefined;
    if (!stat || stat.state === 'Z') continue;
    const siblings = children.get(stat.parent);
    if (siblings) siblings.push(pid);
    else children.set(stat.parent, [pid]);
  }
  const found = isAlive(top) ? [top] : [];
  for (let index = 0; index < found.length; ++index) found.push(...(children.get(found[index]!) ?? []));
  return found;
}

// User and system time of all these processes, in ms. Resolution: one tick each.
export function cpuMillisOf(pids: number[]): number {
  return pids.reduce((sum, pid) => sum + (readStat(pid)?.cpuMillis ?? 0), 0);
}

export interface Memory {
  pssBytes: number; // shared pages divided among their users: the honest sum over several processes
  rssBytes: number;
}

export function memoryOf(pids: number[]): Memory {
  const memory = { pssBytes: 0, rssBytes: 0 };
  for (const pid of pids) {
    const sum = readRollup(pid);
    if (sum) {
      memory.pssBytes += sum.Pss! * 1024;
      memory.rssBytes += sum.Rss! * 1024;
      continue;
    }
    // A process that is not dumpable hides its map; its resident size is still readable and an upper bound.
    const rss = residentBytes(pid);
    memory.pssBytes += rss;
    memory.rssBytes += rss;
  }
  return memory;
}

export function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * 4096;
  } catch {
    return 0;
  }
}

function readRollup(pid: number): Record<string, number> | undefined {
  try {
    const values: Record<string, number> = {};
    for (const [, key, kib] of readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1').matchAll(/^(\w+):\s+(\d+) kB/gm)) {
      values[key!] = Number(kib);
    }
    return 'Pss' in values ? values : undefined;
  } catch {
    return undefined;
  }
}
