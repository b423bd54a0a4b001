// SPDX-License-Identifier: Apache-2.0
//
// Bundles src/builtins/boot.ts into one function of the native calls, as JavaScript text for the runner.
//
//   node tools/build_builtins.mjs OUTPUT.js
import { writeFileSync } from "node:fs";
import { build } from "esbuild";

const [output] = process.argv.slice(2);
if (output === undefined) {
  console.error("usage: build_builtins.mjs OUTPUT.js");
  process.exit(2);
}

const result = await build({
  entryPoints: ["src/builtins/boot.ts"],
  bundle: true,
  write: false,
  format: "iife",
  globalName: "runtime",
  target: "esnext",
  charset: "ascii",
  legalComments: "none",
  minify: true,
  keepNames: false,
  logLevel: "warning",
});

// Two calls leave their second result in an array that they are given: it belongs to the heap, and so to the snapshot.
const prologue = `(function(native){"use strict";
const url_components=new Uint32Array(8),text_result=new Uint32Array(2);
const ops={...native,url_components,text_result,
url_parse:(input,base)=>native.url_parse(input,base,url_components),
url_set:(href,field,value)=>native.url_set(href,field,value,url_components),
utf8_encode_into:(text,into)=>native.utf8_encode_into(text,into,text_result)};
`;
const text = `${prologue}${result.outputFiles[0].text}
return runtime;})
`;
if (/[^\x00-\x7f]/.test(text)) throw new Error("the bundle is not ASCII");
writeFileSync(output, text);
