// SPDX-License-Identifier: Apache-2.0
//
// Many facets: creates them, a row each, and says what each costs in time, memory and disk.
//
//   node bench/facets.ts [--facets=100000] [--parents=100] [--lanes=16]
//
// At the end every hundredth is visited again, so that one sees that they come back with their data.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { Insula } from '../tests/support/insula.ts';
import { footprint, manyFacets, visitAll } from '../tests/support/many_facets.ts';

const { values } = parseArgs({
  options: { facets: { type: 'string', default: '100000' }, parents: { type: 'string', default: '100' }, lanes: { type: 'string', default: '16' } },
});
const facets = Number(values.facets);
const parents = Number(values.parents);
const lanes = Number(values.lanes);
const parts = 10;
const kRest = 15000;

const kMiB = 1024 * 1024;
const range = function* (from: number, to: number, step = 1): Generator<number> {
  for (let index = from; index < to; index += step) yield index;
};

await using insula = await Insula.start(manyFacets);
await visitAll(insula, range(0, parents), parents, '1', lanes);
const before = footprint(insula);
console.log('facets    ms each   live   supervisor MiB   runners MiB   descriptors: supervisor, largest runner');
for (let part = 0; part < parts; part++) {
  const from = Math.max(parents, Math.floor((facets * part) / parts));
  const to = Math.floor((facets * (part + 1)) / parts);
  const began = performance.now();
  await visitAll(insula, range(from, to), parents, '1', lanes);
  const each = (performance.now() - began) / (to - from);
  const now = footprint(insula);
  console.log([
    String(to).padEnd(9), each.toFixed(3).padStart(7), String(now.live).padStart(6), (now.supervisorBytes / kMiB).toFixed(1).padStart(12),
    (now.runnersBytes / kMiB).toFixed(1).padStart(15), String(now.supervisorFiles).padStart(15), String(now.runnerFiles).padStart(8)].join('  '));
}
const after = footprint(insula);
// Nobody calls for a while: all of them are closed.
await pause(kRest);
const rested = footprint(insula);
console.log(`after ${kRest / 1000} s without calls: ${rested.live} live, ${(rested.supervisorBytes / kMiB).toFixed(1)} MiB of the supervisor, ` +
  `${(rested.runnersBytes / kMiB).toFixed(1)} MiB of the runners`);
const began = performance.now();
await visitAll(insula, range(0, facets, 100), parents, '2', lanes);
const again = (performance.now() - began) / (facets / 100);
const [kib] = execFileSync('du', ['-sk', join(insula.folder, 'data/objects')], { encoding: 'utf8' }).split('\t');
const [storeKib] = execFileSync('du', ['-sk', '--exclude=objects', join(insula.folder, 'data')], { encoding: 'utf8' }).split('\t');
console.log(`each: ${((after.supervisorBytes - before.supervisorBytes) / facets).toFixed(0)} bytes of the supervisor, ` +
  `${((Number(kib) * 1024) / facets / 1024).toFixed(1)} KiB of files, ${((Number(storeKib) * 1024) / facets).toFixed(0)} bytes of the store; ` +
  `${again.toFixed(3)} ms when it is opened again`);
