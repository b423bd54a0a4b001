// SPDX-License-Identifier: Apache-2.0
//
// `insula serve` as an operator sees it: start, log, refusals, drain, end.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { call, RawConnection } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { Origin } from '../support/origin.ts';
import { insulaProgram } from '../support/paths.ts';
import { counting, hello, platform } from '../support/platform.ts';
import { isAlive } from '../support/proc.ts';
import { ServerProcess } from '../support/server_process.ts';
import { freshFolder, writeFile } from '../support/worker_spec.ts';
import { until } from '../support/until.ts';

const worker = { name: 'hello', source: hello };

function run(args: string[], folder?: string): ServerProcess {
  return new ServerProcess({ name: 'insula', program: insulaProgram, args, folder });
}

const outputOf = (server: ServerProcess): string => server.log.tail(200);

describe('the command line', () => {
  it('prints help and version', async () => {
    await using help = run(['--help']);
    assert.equal((await help.exited()).code, 0);
    assert.match(outputOf(help), /insula serve/);
    await using version = run(['--version']);
    assert.equal((await version.exited()).code, 0);
    assert.match(outputOf(version), /\d+\.\d+\.\d+/);
  });

  it('answers usage errors with 2', async () => {
    for (const args of [['serve', '--no-such-flag'], ['nonsense'], ['serve', '--listen', 'nowhere'], ['serve', '--isolation', 'maybe']]) {
      await using server = run(args);
      assert.equal((await server.exited()).code, 2, args.join(' '));
      assert.ok(outputOf(server).length > 0);
    }
  });
});

describe('configuration', () => {
  const refused: Record<string, [file: string, content: string, expected: RegExp]> = {
    'a field that is not supported yet': ['wrangler.jsonc', '{"name": "a", "main": "i.js", "compatibility_date": "2026-06-01", "kv_namespaces": [{"binding": "KV", "id": "x"}]}', /kv_namespaces/],
    'broken JSON, with its line': ['wrangler.jsonc', '{\n "name": "a",\n "main": \n}', /wrangler\.jsonc.*[34]/s],
    'a main that is not there': ['wrangler.jsonc', '{"name": "a", "main": "gone.js", "compatibility_date": "2026-06-01"}', /gone\.js/],
    'broken TOML': ['wrangler.toml', 'name = "a\nmain = "i.js"', /wrangler\.toml/],
    'a date in the far future': ['wrangler.jsonc', '{"name": "a", "main": "i.js", "compatibility_date": "2999-01-01"}', /2999-01-01/],
    'an unknown compatibility flag': ['wrangler.jsonc', '{"name": "a", "main": "i.js", "compatibility_date": "2026-06-01", "compatibility_flags": ["no_such"]}', /no_such/],
    'a service that is not there': ['wrangler.jsonc', '{"name": "a", "main": "i.js", "compatibility_date": "2026-06-01", "services": [{"binding": "S", "service": "ghost"}]}', /ghost/],
    'a wrong type': ['wrangler.jsonc', '{"name": 5, "main": "i.js"}', /name/],
  };
  for (const [name, [file, content, expected]] of Object.entries(refused)) {
    it(`refuses ${name}`, async () => {
      const folder = freshFolder();
      writeFile(join(folder, file), content);
      writeFile(join(folder, 'i.js'), hello);
      await using server = run(['serve', folder, '--listen', '127.0.0.1:0', '--data', join(folder, 'data')], folder);
      assert.notEqual((await server.exited()).code, 0);
      assert.match(outputOf(server), expected);
      assert.equal(server.log.all('server.listening').length, 0);
    });
  }

  it('reads TOML, bundles TypeScript, npm-style imports and warns of strange fields', async () => {
    const folder = freshFolder();
    writeFile(join(folder, 'wrangler.toml'),
      'name = "typed"\nmain = "src/index.ts"\ncompatibility_date = "2026-06-01"\nstrange_field = 1\n[vars]\nGREETING = "hi"\n');
    writeFile(join(folder, 'src/index.ts'),
      'import { shout } from "shouter";\nimport { part } from "./part";\ninterface Env { GREETING: string }\nexport default { fetch(_: Request, env: Env): Response { return new Response(shout(env.GREETING) + part); } };\n');
    writeFile(join(folder, 'src/part.ts'), 'export const part: string = "!";\n');
    writeFile(join(folder, 'node_modules/shouter/package.json'), '{"name": "shouter", "version": "1.0.0", "main": "index.js"}');
    writeFile(join(folder, 'node_modules/shouter/index.js'), 'exports.shout = (text) => text.toUpperCase();\n');
    await using server = run(['serve', folder, '--listen', '127.0.0.1:0', '--data', join(folder, 'data'), '--log', 'json'], folder);
    const { url } = await server.log.wait('server.listening', () => true, { within: 20000 });
    assert.equal((await call(String(url))).text, 'HI!');
    assert.match(outputOf(server), /strange_field/);
  });

  it('shows compile errors with file and line', async () => {
    const folder = freshFolder();
    writeFile(join(folder, 'wrangler.jsonc'), '{"name": "a", "main": "i.ts", "compatibility_date": "2026-06-01"}');
    writeFile(join(folder, 'i.ts'), 'export default {\n  fetch() { return {{ }\n};\n');
    await using server = run(['serve', folder, '--listen', '127.0.0.1:0', '--data', join(folder, 'data')], folder);
    assert.notEqual((await server.exited()).code, 0);
    assert.match(outputOf(server), /i\.ts:\d+/);
  });
});

describe('a running server', () => {
  it('says where it listens, what isolates it and what the limits are, as JSON', async () => {
    await using insula = await Insula.start(worker);
    const listening = await insula.log.wait('server.listening');
    assert.match(String(listening.url), /^http:\/\/127\.0\.0\.1:\d+\/?$/);
    assert.ok(!Number.isNaN(Date.parse(String(listening.time))));
    assert.ok(insula.log.since().every((event) => event.event !== 'text'), `not JSON:\n${insula.log.tail()}`);
    const all = JSON.stringify(insula.log.since());
    assert.match(all, /seccomp/);
    assert.match(all, /cpu/);
    assert.ok(insula.runners().length >= 1);
    assert.ok(insula.runners().every((runner) => isAlive(runner.pid)));
  });

  it('reports what Workers log, with their names', async () => {
    await using insula = await Insula.start(platform({
      acme: 'export default { fetch() { console.log("said", { a: [1] }); console.error("bad\\nline \\u001b[31m"); Promise.reject(new Error("unhandled")); return new Response("ok"); } };',
    }));
    await insula.call('/acme/');
    const said = await insula.log.wait('worker.logged', (event) => String(event.text).startsWith('said'));
    assert.equal(said.worker, 'platform');
    assert.equal(said.dynamic_id, 'acme');
    assert.equal(said.text, 'said { a: [ 1 ] }');
    const bad = await insula.log.wait('worker.logged', (event) => String(event.text).startsWith('bad'));
    assert.equal(bad.level, 'error');
    const thrown = await insula.log.wait('worker.threw', (event) => JSON.stringify(event).includes('unhandled'));
    assert.equal(thrown.dynamic_id, 'acme');
  });

  it('tells clients nothing of an uncaught error, and the operator everything', async () => {
    await using insula = await Insula.start({
      name: 'broken', source: 'function inner() { throw new Error("the secret"); }\nexport default { fetch() { inner(); } };',
    });
    const answer = await insula.call('/');
    assert.equal(answer.status, 500);
    assert.equal(answer.headers['insula-error'], 'ERR_EXCEPTION');
    assert.ok(!answer.text.includes('secret') && !answer.text.includes('index.js'));
    assert.match(answer.text, /request id/i);
    const failed = await insula.log.wait('worker.failed');
    assert.match(String(failed.message), /the secret/);
    assert.match(String(failed.stack), /index\.js:1/);
    assert.equal(failed.worker, 'broken');
    assert.ok(answer.text.includes(String(failed.request_id)));
    await insula.call('/');
    await insula.log.wait('worker.failed', (event) => event.request_id !== failed.request_id);
    assert.equal(insula.log.all('worker.threw').length, 0, 'it stands in the log once');
  });

  it('strips the runtime\'s own header from answers of Workers', async () => {
    await using insula = await Insula.start({
      name: 'forger', source: 'export default { fetch() { return new Response("x", { headers: { "insula-error": "ERR_CPU_LIMIT", "x-own": "1" } }); } };',
    });
    const answer = await insula.call('/');
    assert.equal(answer.headers['insula-error'], undefined);
    assert.equal(answer.headers['x-own'], '1');
  });

  it('refuses a data directory that another server holds', async () => {
    await using first = await Insula.start(worker);
    await using second = run(['serve', first.folder, '--listen', '127.0.0.1:0', '--data', join(first.folder, 'data')]);
    assert.notEqual((await second.exited()).code, 0);
    assert.match(outputOf(second), /data/);
    assert.equal((await first.call('/')).text, 'hello');
  });

  it('refuses an address that is taken', async () => {
    await using first = await Insula.start(worker);
    await using second = run(['serve', first.folder, '--listen', new URL(first.url).host, '--data', join(first.folder, 'data2')]);
    assert.notEqual((await second.exited()).code, 0);
    assert.match(outputOf(second), new RegExp(new URL(first.url).port));
  });

  it('finishes what runs before it ends on SIGTERM', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start({
      name: 'slow', vars: { ORIGIN: origin.url },
      source: 'export default { async fetch(request, env) { return new Response(await (await fetch(env.ORIGIN)).text()); } };',
    }, { flags: ['--allow-private-addresses'] });
    const pending = insula.call('/');
    const held = await origin.next();
    const pids = insula.tree();
    insula.signal('SIGTERM');
    await until(() => RawConnection.open(insula.url).then((one) => { one.close(); return false; }, () => true), 'new connections are refused');
    held.answer('in time');
    assert.equal((await pending).text, 'in time');
    assert.deepEqual(await insula.exited(), { code: 0, signal: null });
    await until(() => pids.every((pid) => !isAlive(pid)), 'all processes have ended');
  });

  it('ends at once and clean on SIGINT', async () => {
    await using insula = await Insula.start(worker);
    const pids = insula.tree();
    assert.ok(pids.length >= 2, 'no runner processes were seen');
    insula.signal('SIGINT');
    assert.deepEqual(await insula.exited(3000), { code: 0, signal: null });
    await until(() => pids.every((pid) => !isAlive(pid)), 'all processes have ended');
  });

  it('starts again on the same folder', async () => {
    const insula = await Insula.start(worker);
    insula.signal('SIGINT');
    await insula.exited();
    assert.ok(existsSync(join(insula.folder, 'data')));
    await using again = run(['serve', insula.folder, '--listen', '127.0.0.1:0', '--data', join(insula.folder, 'data'), '--log', 'json'], insula.folder);
    const { url } = await again.log.wait('server.listening', () => true, { within: 20000 });
    assert.equal((await call(String(url))).text, 'hello');
  });

  for (const isolation of ['cordon', 'process', 'shared'] as const) {
    it(`serves tenants with isolation ${isolation}`, async () => {
      await using insula = await Insula.start(platform({ a: counting, b: counting }), { isolation });
      const texts = [];
      for (const path of ['/a/', '/a/', '/b/', '/a/', '/b/']) texts.push((await insula.call(path)).text);
      assert.deepEqual(texts, ['1', '2', '1', '3', '2']);
      assert.equal((await insula.call('/nobody/')).status, 404);
    });
  }
});

describe('the runners\' cage', () => {
  it('is closed before any tenant runs', async () => {
    await using insula = await Insula.start(platform({ a: hello }));
    await insula.call('/a/');
    for (const { pid } of insula.runners()) {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? '';
      assert.equal(field('NoNewPrivs'), '1');
      assert.equal(field('Seccomp'), '2');
      assert.equal(Number.parseInt(field('CapEff'), 16), 0);
      assert.equal(Number.parseInt(field('CapBnd'), 16), 0);
    }
  });

  it('says plainly when the engine is not there', async () => {
    const insula = Insula.spawn([worker], { flags: ['--engine', '/nonexistent'] });
    await using _ = insula;
    assert.notEqual((await insula.exited(15000)).code, 0);
    assert.match(outputOf(insula), /engine|\/nonexistent/);
  });
});
