// SPDX-License-Identifier: Apache-2.0
//
// The bench of workflows: Insula, miniflare and Restate in one run, in turn, all with durability on. Prints a table and
// writes it to docs/benchmarks-workflows.md. What the disk takes for one sync is printed beside it, because a step that
// is durable before anybody is told of it cannot take less.
//
//   node bench/workflows.ts [--rounds=3] [--quick] [--no-write] [--only=Insula,Restate]
import { closeSync, fdatasyncSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { root } from '../tests/support/paths.ts';
import { median, quantile } from '../tests/support/until.ts';
import { freshFolder } from '../tests/support/worker_spec.ts';
import { load } from './client.ts';
import { type FlowSubject, subjects, versionOf } from './flow_subjects.ts';
import { machine } from './machine.ts';

const kConnections = 32;

const flags = process.argv.slice(2);
const isQuick = flags.includes('--quick');
const valueOf = (name: string): string | undefined => flags.find((flag) => flag.startsWith(`--${name}=`))?.slice(name.length + 3);
const rounds = Number(valueOf('rounds') ?? (isQuick ? 1 : 3));
const names = valueOf('only')?.split(',') ?? Object.keys(subjects);

interface Measure {
  title: string;
  unit: string;
  digits: number;
  wanted: string;
  take(subject: FlowSubject): Promise<number>;
}

// Seconds from the first request until the last run has ended.
async function burst(subject: FlowSubject, instances: number, steps: number): Promise<number> {
  const before = await subject.ended();
  const start = performance.now();
  await subject.begin(instances, steps);
  while ((await subject.ended()) < before + instances) await new Promise((resolve) => setTimeout(resolve, 2));
  return (performance.now() - start) / 1000;
}

const perSecond = (instances: number, steps: number): Measure => ({
  title: `${instances.toLocaleString('en')} instances at once, ${steps} steps each: steps`,
  unit: '/s', digits: 0, wanted: 'at least 20,000/s',
  take: async (subject) => (instances * steps) / (await burst(subject, instances, steps)),
});

const measures: Measure[] = [
  { title: 'One instance, 100 steps one after the other: per step', unit: 'ms', digits: 2, wanted: 'at most 0.45 ms',
    take: async (subject) => {
      const times: number[] = [];
      for (let turn = 0; turn < (isQuick ? 3 : 7); ++turn) times.push(((await burst(subject, 1, 100)) * 1000) / 100);
      return median(times);
    } },
  perSecond(200, isQuick ? 10 : 25),
  perSecond(1000, isQuick ? 10 : 25),
  { title: `Instances created, ${kConnections} connections`, unit: '/s', digits: 0, wanted: 'at least 3,000/s',
    take: async (subject) => {
      const options = { connections: kConnections, seconds: isQuick ? 2 : 4, paths: [subject.createPath] };
      const { requests, seconds } = await load(subject.url, options);
      return requests / seconds;
    } },
];

// Milliseconds of one fdatasync() after a write of one page, as the journals here do it.
function syncMillis(): number {
  const folder = freshFolder();
  const file = openSync(join(folder, 'probe'), 'w');
  const page = Buffer.alloc(4096, 1);
  const times: number[] = [];
  try {
    for (let turn = 0; turn < 200; ++turn) {
      writeSync(file, page, 0, page.length, (turn % 64) * page.length);
      const start = performance.now();
      fdatasyncSync(file);
      times.push(performance.now() - start);
    }
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
  return quantile(times, 0.5);
}

const found = measures.map(() => names.map((): number[] => []));
const syncs: number[] = [];
for (let round = 0; round < rounds; ++round) {
  for (const [column, name] of names.entries()) {
    syncs.push(syncMillis());
    await using subject = await subjects[name]!();
    await burst(subject, 50, 20);  // code gets hot
    for (const [row, measure] of measures.entries()) {
      const value = await measure.take(subject);
      found[row]![column]!.push(value);
      console.log(`  ${name}, round ${round + 1}: ${measure.title} ${value.toFixed(measure.digits)} ${measure.unit}`);
    }
  }
}

function show(values: number[], { digits, unit }: Measure): string {
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(digits));
  return `${median(values).toFixed(digits)} ${unit}${least === most ? '' : ` (${least} to ${most})`}`;
}

// How many times better than the peer Insula was, round by round.
function gain(row: number, column: number): string {
  const ours = names.indexOf('Insula');
  if (ours < 0 || column === ours) return '';
  const ratios = found[row]![ours]!.map((value, round) => value / found[row]![column]![round]!);
  const ratio = median(ratios);
  return `${(measures[row]!.unit === 'ms' ? 1 / ratio : ratio).toFixed(1)} times`;
}

const head = ['Work', ...names, ...names.filter((name) => name !== 'Insula').map((name) => `better than ${name}`), 'Wanted'];
const lines = measures.map((measure, row) => [
  measure.title, ...names.map((_, column) => show(found[row]![column]!, measure)),
  ...names.flatMap((name, column) => (name === 'Insula' ? [] : [gain(row, column)])), measure.wanted,
]);
const all = [head, ...lines];
const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
const text = all.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`);
text.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
const table = text.join('\n');
const disk = `${median(syncs).toFixed(2)} ms (${Math.min(...syncs).toFixed(2)} to ${Math.max(...syncs).toFixed(2)})`;

console.log(`\n${table}\n\nOne fdatasync() of a page on this disk: ${disk}\n`);
if (!flags.includes('--no-write')) {
  writeFileSync(join(root, 'docs/benchmarks-workflows.md'), `# Benchmarks of workflows

Written by \`make bench-workflows\` on ${new Date().toISOString().slice(0, 10)}.

- Machine: ${machine()}
- miniflare ${versionOf('miniflare')}, Restate ${versionOf('@restatedev/restate-server-linux-x64')} with its SDK for
  TypeScript ${versionOf('@restatedev/restate-sdk')} on the Node.js that runs the bench
- ${rounds} round${rounds === 1 ? '' : 's'}, in turn, a fresh server each time, all files on one disk, the settings for durability as they come
- One \`fdatasync()\` of a page on this disk: ${disk}

A step is \`step.do(name, async () => i)\`, or \`ctx.run()\` of Restate. Instances are begun by one request; the time goes on until
the last \`run()\` has returned. "Created": each request makes one instance, which ends at once, and is answered by then.

${table}
`);
  console.log('written to docs/benchmarks-workflows.md');
}
process.exit();  // miniflare leaves handles open
