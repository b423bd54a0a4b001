// SPDX-License-Identifier: Apache-2.0
//
// More facets than a runner keeps open: those that nobody has called for longest are closed, and come back with their data.
import assert from 'node:assert/strict';
import { it } from 'node:test';

import { Insula } from '../support/insula.ts';
import { footprint, manyFacets, visitAll } from '../support/many_facets.ts';
import { until } from '../support/until.ts';

const kFacets = 1500;
const kParents = 10;
const kOpenAtMost = 1000; // of one runner (docs/reference/limits.md)

const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step);

it('more facets than are kept open', async () => {
  await using insula = await Insula.start(manyFacets, { isolation: 'cordon', node: 'object_idle_after_ms = 600000\n' });
  await visitAll(insula, range(0, kFacets), kParents, '1');
  // The parents are in the platform's runner, the facets in the tenants'.
  await until(() => footprint(insula).live <= kOpenAtMost + kParents, 'the facets that were called first are closed');
  assert.ok(footprint(insula).live > kOpenAtMost / 2, 'the others stay open');
  await visitAll(insula, range(0, kFacets, 10), kParents, '2');
  await visitAll(insula, range(kFacets - 9, kFacets), kParents, '2');
});
