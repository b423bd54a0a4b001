// SPDX-License-Identifier: Apache-2.0
//
// Writes the built-ins as JavaScript text for the runner: the core, and behind marks the parts.
//
//   node tools/build_builtins.mjs OUTPUT.js
import { writeFileSync } from "node:fs";

import { bundleBuiltins } from "./bundle_builtins.mjs";

const [output] = process.argv.slice(2);
if (output === undefined) {
  console.error("usage: build_builtins.mjs OUTPUT.js");
  process.exit(2);
}
const { core, parts } = await bundleBuiltins();
writeFileSync(output, core + Object.entries(parts).map(([name, text]) => `\n//part ${name}\n${text}`).join(""));
