// SPDX-License-Identifier: Apache-2.0
//
// Makes JavaScript text of the built-ins: the core, which runs when the snapshot is made and so is in the heap of every
// isolate, and the parts, which run in an isolate when it first asks for them and cost it nothing before.
//
//   core       (function (ops) { ... })             src/builtins/boot.ts and all that it imports
//   //part streams
//              (function (ops, parts, handed) { ... })   src/builtins/web/streams_part.ts and what only it imports
//
// In the core, parts.streams() has the native side compile and call the part once. A part sees the core's own objects:
// what it imports from modules of the core is handed to it in a list.
import { readFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";

const root = path.resolve(import.meta.dirname, "..");
const source = path.join(root, "src/builtins");

// Names are those of src/builtins/internal/parts.d.ts.
const parts = {
  actors: "runtime/actors/actors_part.ts", console: "web/console_part.ts", encoding: "web/encoding_part.ts",
  events: "web/events_part.ts", extras: "web/extras_part.ts", forms: "web/forms_part.ts",
  loader: "runtime/loader_part.ts", params: "web/params_part.ts",
  rpc: "runtime/rpc/rpc_part.ts", sockets: "runtime/sockets/sockets_part.ts", streams: "web/streams_part.ts",
  workflows: "runtime/workflows/workflows_part.ts",
};

const options = {
  bundle: true,
  write: false,
  absWorkingDir: root,
  format: "iife",
  target: "esnext",
  charset: "ascii",
  legalComments: "none",
  minify: true,
  keepNames: false,
  metafile: true,
  logLevel: "warning",
};

const bundleText = (contents, globalName, plugins = []) =>
  build({ ...options, stdin: { contents, resolveDir: source, loader: "ts" }, globalName, plugins });

// The names that `text` imports as values from each module.
function valueImports(text) {
  const found = [];
  for (const [, type, names, from] of text.matchAll(/^import\s+(type\s)?\s*\{([^}]*)\}\s*from\s*"(\.[^"]*)";/gm)) {
    if (type !== undefined) continue;
    for (const name of names.split(",").map((one) => one.trim())) {
      if (name !== "" && !name.startsWith("type ")) found.push({ name: name.split(" as ")[0], from });
    }
  }
  return found;
}

// Replaces modules of the core by what the core hands over. `handed`: "path:name" to its place in the list.
function coreAsList(core, handed) {
  return {
    name: "core",
    setup(bundler) {
      bundler.onResolve({ filter: /^\./ }, ({ path: wanted, importer, resolveDir }) => {
        const file = path.resolve(resolveDir, wanted);
        if (!core.has(file)) return undefined;
        const names = valueImports(readFileSync(importer, "utf8"))
          .filter(({ from }) => path.resolve(resolveDir, from) === file).map(({ name }) => name);
        for (const name of names) {
          const key = `${file}:${name}`;
          if (!handed.has(key)) handed.set(key, handed.size);
        }
        return { path: `${file}?${names.join(",")}`, namespace: "core", pluginData: { file, names } };
      });
      bundler.onLoad({ filter: /./, namespace: "core" }, ({ pluginData: { file, names } }) => ({
        contents: names.map((name) => `export const ${name} = handed[${handed.get(`${file}:${name}`)}];`).join("\n"),
      }));
    },
  };
}

// `entry`: a module below src/builtins whose exports are the result of the core's function.
export async function bundleBuiltins(entry = "boot.ts") {
  const alone = await bundleText(`export * from "./${entry}";`, "runtime");
  const core = new Set(Object.keys(alone.metafile.inputs).map((file) => path.resolve(root, file)));
  const handed = new Map();
  const owners = new Map();  // module to part: a class must not exist twice
  const texts = {};
  const makers = [];
  for (const [name, file] of Object.entries(parts)) {
    for (const { from } of valueImports(readFileSync(path.join(source, file), "utf8").replaceAll("export {", "import {"))) {
      if (from.endsWith("_later.ts")) continue;  // the core's end of a part
      if (core.has(path.resolve(source, path.dirname(file), from))) {
        throw new Error(`${from} belongs to the part ${name}, but the core imports it too`);
      }
    }
    const made = await bundleText(`export * from "./${file}";`, "part", [coreAsList(core, handed)]);
    for (const module of Object.keys(made.metafile.inputs).filter((one) => one.endsWith(".ts") && !one.includes("?"))) {
      const other = entry === "boot.ts" ? owners.get(module) : undefined;  // else the core may lack what both have
      if (other !== undefined) throw new Error(`${module} would be in the parts ${other} and ${name}; ask parts.${other}()`);
      owners.set(module, name);
    }
    texts[name] = `(function(ops,parts,handed){"use strict";${made.outputFiles[0].text}return part;})\n`;
    makers.push(`${name}:()=>part_${name}??=part("${name}",ops,parts,runtime.handOver())`);
  }
  const list = [...handed.keys()].map((key) => key.split(":"));
  const imports = list.map(([file, name], index) => `import { ${name} as h${index} } from ${JSON.stringify(file)};\n`);
  const whole = await bundleText(`export * from "./${entry}";\n${imports.join("")}
export const handOver = () => [${list.map((_, index) => `h${index}`).join(",")}];`, "runtime");
  // Two calls leave their second result in an array that they are given: it belongs to the heap, so to the snapshot. The
  // native side adds to `ops` what only a part uses, when that is made.
  const text = `(function(ops){"use strict";
const {part,url_parse,url_set,utf8_encode_into}=ops,url_components=new Uint32Array(8),text_result=new Uint32Array(2);
Object.assign(ops,{url_components,text_result,
url_parse:(input,base)=>url_parse(input,base,url_components),
url_set:(href,field,value)=>url_set(href,field,value,url_components),
utf8_encode_into:(text,into)=>utf8_encode_into(text,into,text_result)});
let ${Object.keys(parts).map((name) => `part_${name}`).join(",")};
const parts={${makers.join(",")}};
${whole.outputFiles[0].text}
return runtime;})
`;
  const rehearsal = await bundleText('export { rehearse } from "./rehearsal.ts";', "part");
  texts.rehearsal = `(function(runtime){"use strict";${rehearsal.outputFiles[0].text}part.rehearse(runtime);})\n`;
  for (const one of [text, ...Object.values(texts)]) {
    if (/[^\x00-\x7f]/.test(one)) throw new Error("the bundle is not ASCII");
    if (one.includes("\n//part ")) throw new Error("the bundle contains a mark of a part");
  }
  return { core: text, parts: texts };
}
