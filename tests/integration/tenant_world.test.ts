// SPDX-License-Identifier: Apache-2.0
//
// The world as a tenant sees it: a clock that stands still, code that cannot be made, and a log for what went wrong.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { platform } from '../support/platform.ts';

const handler = (body: string): string => `export default { async fetch(request, env, ctx) { ${body} } };`;
const spin = 'let x = 0; for (let i = 0; i < 2e7; i++) x += i;';
// (module (memory 1) (func (export "twice") (param i32) (result i32) local.get 0 i32.const 2 i32.mul))
const wasm = [0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 9, 1, 5, 116, 119, 105, 99, 101, 0, 0, 10, 9, 1, 7, 0, 32, 0, 65, 2,
  108, 11];

describe('a tenant\'s world', () => {
  let insula: Insula;
  before(async () => {
    insula = await Insula.start(platform({
      clock: `const early = [Date.now(), new Date().getTime(), performance.now(), Date.parse(Date())];
        ${handler(`const read = () => [Date.now(), new Date().getTime(), performance.now()];
          const first = read(); ${spin} const second = read();
          await new Promise((resolve) => setTimeout(resolve, 40)); const third = read();
          return Response.json({ early, first, second, third });`)}`,
      broken: 'export default { async fetch( { }',
      maker: handler(`const ways = [() => eval('1'), () => new Function('return 1'), () => Function('1'), () => (async () => {}).constructor('1'), () => setTimeout('1'),
          () => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))];
        return Response.json(ways.map((way) => { try { way(); return 'made'; } catch (error) { return error.name; } }));`),
      early: `const made = [eval('1 + 1'), new Function('return 3')()]; ${handler('return Response.json(made);')}`,
      wasm: { source: `import module from './module.wasm'; const top = new WebAssembly.Instance(module); ${handler(`
        const { exports } = await WebAssembly.instantiate(module);
        return Response.json([top.exports.twice(4), exports.twice(21), new WebAssembly.Instance(module).exports.twice(5)]);`)}`, wasm },
      rejects: handler('Promise.reject(new RangeError("nobody waits for this")); ctx.waitUntil(Promise.reject(new Error("in the background"))); return new Response("fine");'),
      prevents: `addEventListener('unhandledrejection', (event) => { console.log('seen ' + event.reason.message); event.preventDefault(); });
        ${handler('Promise.reject(new Error("kept from the log")); return new Response("fine");')}`,
      groups: handler('console.group("open"); console.log("inside"); return new Response("fine");'),
      logs: handler('console.log({ a: [1, "two", new Map([["k", null]])] }, "%s", new Headers({ b: "c" })); console.warn("%s is %d", "it", 5); console.error(new TypeError("shown")); return new Response("fine");'),
    }));
  });
  after(async () => {
    closeConnections();
    await insula.stop();
  });
  const json = async (path: string): Promise<any> => JSON.parse((await insula.call(path)).text);
  const linesOf = async (tenant: string, last: string): Promise<any[]> => {
    const mark = insula.log.mark();
    await insula.call(`/${tenant}/`);
    const mine = (event: any): boolean => event.dynamic_id === tenant;
    await insula.log.wait(last, mine, { after: mark });
    return insula.log.since(mark).filter((event) => mine(event) && (event.event === 'worker.logged' || event.event === 'worker.threw'));
  };

  it('the clock stands at 0 in global scope, still in a turn, and moves with I/O', async () => {
    const { early, first, second, third } = await json('/clock/');
    assert.deepEqual(early.slice(0, 3), [0, 0, 0]);
    assert.equal(early[3], 0);
    assert.deepEqual(second, first, 'time passed while the tenant computed');
    for (const index of [0, 1, 2]) assert.ok(third[index] - first[index] >= 39, `reading ${index}: ${first[index]} then ${third[index]}`);
    assert.ok(Math.abs(Date.now() - third[0]) < 60000, 'the clock shows another day');
  });

  it('code cannot be made from strings or bytes in a handler, but from strings at the start', async () => {
    assert.deepEqual(await json('/maker/'), ['EvalError', 'EvalError', 'EvalError', 'EvalError', 'TypeError', 'CompileError']);
    assert.deepEqual(await json('/early/'), [2, 3]);
  });

  it('a Wasm module of its own is instantiated in every way', async () => {
    assert.deepEqual(await json('/wasm/'), [8, 42, 10]);
  });

  it('code that does not start is told to the operator, with its place', async () => {
    const mark = insula.log.mark();
    await insula.call('/broken/');
    const line = await insula.log.wait('worker.threw', (event) => event.dynamic_id === 'broken', { after: mark });
    assert.match(line.text, /^Failed to start Worker:\nUncaught SyntaxError: .*\n {2}at .*:1:\d+/);
  });

  it('rejections that nobody handles are logged, and harm nothing', async () => {
    const mark = insula.log.mark();
    assert.equal((await insula.call('/rejects/')).text, 'fine');
    for (const text of ['nobody waits for this', 'in the background']) {
      const line = await insula.log.wait('worker.threw', (event) => String(event.text).includes(text), { after: mark });
      assert.equal(line.dynamic_id, 'rejects');
    }
  });

  it('a listener that prevents the default keeps a rejection out of the log', async () => {
    const lines = await linesOf('prevents', 'worker.logged');
    assert.deepEqual(lines.map((line) => [line.event, line.text]), [['worker.logged', 'seen kept from the log']]);
  });

  it('groups that were left open end with their invocation', async () => {
    for (let turn = 0; turn < 3; ++turn) {
      const mark = insula.log.mark();
      await insula.call('/groups/');
      const line = await insula.log.wait('worker.logged', (event) => String(event.text).trim() === 'inside', { after: mark });
      assert.equal(line.text, '  inside');
    }
  });

  it('console lines show values as people expect them', async () => {
    const mark = insula.log.mark();
    await insula.call('/logs/');
    await insula.log.wait('worker.logged', (event) => String(event.text).includes('TypeError'), { after: mark });
    const lines = insula.log.all('worker.logged', mark).map((event) => String(event.text));
    assert.equal(lines[0], "{ a: [ 1, 'two', Map(1) { 'k' => null } ] } %s Headers { b: 'c' }");
    assert.equal(lines[1], 'it is 5');
    assert.match(lines[2]!, /^TypeError: shown\n    at /);
    assert.doesNotMatch(lines[2]!, /insula:/);
  });
});
