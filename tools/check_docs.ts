// SPDX-License-Identifier: Apache-2.0
//
// Check docs: the suite "docs" alone, for whoever writes a page.
//
//   node tools/check_docs.ts     needs what `make build` makes
import { runDocs } from './suites/docs.ts';

const { failed, log } = await runDocs();
process.stdout.write(log);
process.exitCode = failed === 0 ? 0 : 1;
