// SPDX-License-Identifier: Apache-2.0
//
// The Worker Loader: compiled modules.
import { probes } from '../support/differential.ts';

const setup = { loaders: [{ binding: 'LOADER' }] };
// A module may be compiled while the Worker starts. (module (func (export "add") (param i32 i32) (result i32) ...))
const kCompiled = `const compiled = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97,
  100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]));
globalThis.adding = (module) => ({ modules: { 'add.wasm': module, 'main.js': \`import module from './add.wasm'; export default { async fetch() {
  const { exports } = await WebAssembly.instantiate(module); return new Response([module instanceof WebAssembly.Module, exports.add(2, 40)].join()); } }\` } });
globalThis.compiled = compiled;
`;

probes('loader: compiled modules', {
  'a compiled module as a module': ({ env, code, ask }) => ask(env.LOADER.load(code('', (globalThis as any).adding((globalThis as any).compiled)))),
  'a compiled module as {wasm}': ({ env, code, ask }) => ask(env.LOADER.load(code('', (globalThis as any).adding({ wasm: (globalThis as any).compiled })))),
  'one compiled module in many Workers': async ({ env, code, ask }) => {
    const list = [];
    for (let n = 0; n < 3; n++) list.push(await ask(env.LOADER.load(code('', (globalThis as any).adding((globalThis as any).compiled)))));
    return list;
  },
}, { ...setup, prelude: kCompiled });
