// SPDX-License-Identifier: Apache-2.0
//
// The bench: the peer and Insula on equivalent configurations, in one run, in turn. Prints a table and writes it with
// date and machine to docs/benchmarks.md. Absolute times on a shared machine mean little; the ratio is the result.
//
//   node bench/run.ts [--rounds=3] [--quick] [--no-write] [ROW ...]      rows: see rows.ts; default: all
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { insulaProgram, peerProgram, root } from '../tests/support/paths.ts';
import { median } from '../tests/support/until.ts';
import { hasWrk } from './client.ts';
import { machine } from './machine.ts';
import { type Metric, type Row, rows, type Scale } from './rows.ts';

interface Line {
  row: string;
  metric: Metric;
  peer: number[];
  ours: number[];
}

const flags = process.argv.slice(2).filter((argument) => argument.startsWith('--'));
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const isQuick = flags.includes('--quick');
const rounds = Number(flags.find((flag) => flag.startsWith('--rounds='))?.slice(9) ?? (isQuick ? 1 : 3));
const scale: Scale = isQuick ? { seconds: 2, loads: 100, tenants: 1000 } : { seconds: 5, loads: 400, tenants: 1000 };

function chosenRows(): Row[] {
  const names = wanted.length > 0 ? wanted : Object.keys(rows);
  return names.map((name) => {
    const row = rows[name];
    if (!row) throw new Error(`no row "${name}"; there are: ${Object.keys(rows).join(', ')}`);
    return row;
  });
}

async function measure(row: Row): Promise<Line[]> {
  const lines = row.metrics.map((metric): Line => ({ row: row.title, metric, peer: [], ours: [] }));
  for (let round = 0; round < rounds; ++round) {
    for (const side of ['peer', 'ours'] as const) {
      const numbers = await row.measure(side === 'peer' ? 'peer' : row.ours, scale);
      for (const [index, number] of numbers.entries()) lines[index]![side].push(number);
      const shown = numbers.map((number, index) => `${number.toFixed(row.metrics[index]!.digits)} ${row.metrics[index]!.unit}`);
      console.log(`  ${row.title}, round ${round + 1}, ${side}: ${shown.join(', ')}`);
    }
  }
  return lines;
}

// Both sides of one round saw the same machine, so rounds are compared first and the median taken after.
function ratio(line: Line): number {
  return median(line.ours.map((value, index) => value / line.peer[index]!));
}

function show(values: number[], metric: Metric): string {
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(metric.digits));
  return `${median(values).toFixed(metric.digits)} ${metric.unit}${least === most ? '' : ` (${least} to ${most})`}`;
}

function table(lines: Line[]): string {
  const cells = lines.map((line) => {
    const value = ratio(line);
    const met = line.metric.atMost === undefined ? '' : value <= line.metric.atMost ? ' (met)' : ' (not met)';
    return [line.row, line.metric.name, show(line.peer, line.metric), show(line.ours, line.metric), value.toFixed(3), line.metric.target + met];
  });
  const all = [['Work', 'Measure', 'Peer', 'Insula', 'Ratio', 'Wanted'], ...cells];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const text = all.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`);
  text.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
  return text.join('\n');
}

const versionOf = (program: string): string => execFileSync(program, ['--version'], { encoding: 'utf8' }).trim().split('\n')[0]!;

const lines: Line[] = [];
for (const row of chosenRows()) lines.push(...(await measure(row)));

const report = `# Benchmarks

Written by \`make bench\` on ${new Date().toISOString().slice(0, 10)}.

- Machine: ${machine()}
- Insula: ${versionOf(insulaProgram)}
- Peer: ${versionOf(peerProgram())}
- Client: ${hasWrk() ? 'wrk, one thread' : 'the keep-alive client of bench/'}, on the same machine; its CPU time is not counted
- ${rounds} round${rounds === 1 ? '' : 's'}, peer and Insula in turn, a fresh server each time; figures are medians (least to most), the
  ratio is the median over the rounds of Insula / peer

CPU is user and system time of all server processes together. Memory is proportional set size, summed over all server
processes. Isolation is \`cordon\` unless the row says otherwise: the dispatcher and its tenants are in different
sandboxed processes, where the peer has one process and no sandbox.

${table(lines)}
`;
console.log(`\n${table(lines)}\n`);
if (!flags.includes('--no-write')) {
  writeFileSync(join(root, 'docs/benchmarks.md'), report);
  console.log('written to docs/benchmarks.md');
}
