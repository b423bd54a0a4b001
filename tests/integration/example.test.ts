// SPDX-License-Identifier: Apache-2.0
//
// examples/platform, as `make run` starts it: three tenants, and a deploy by editing a file.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { type Answer, call, type CallOptions, closeConnections } from '../support/http_client.ts';
import { requireInsula, root } from '../support/paths.ts';
import { ServerProcess } from '../support/server_process.ts';
import { freshFolder, writeFile } from '../support/worker_spec.ts';

describe('examples/platform', () => {
  let server: ServerProcess;
  let url = '';
  const folder = freshFolder();
  const ask = (path: string, options?: CallOptions): Promise<Answer> => call(url + path, options);

  before(async () => {
    const example = join(root, 'examples/platform');
    cpSync(example, folder, { recursive: true, filter: (path) => !path.includes('.insula') });
    // The tenant with an npm library is bundled as the Makefile does it.
    execFileSync(join(root, 'node_modules/@esbuild/linux-x64/bin/esbuild'), [
      join(example, 'tenants-src/hono/index.ts'), '--bundle', '--format=esm', '--platform=neutral', '--main-fields=module,main',
      '--conditions=workerd,worker,browser,import', '--log-level=warning', `--outfile=${join(folder, 'tenants/hono/index.js')}`]);
    server = new ServerProcess({
      name: 'insula', program: requireInsula(), folder,
      args: ['serve', folder, '--listen', '127.0.0.1:0', '--data', join(folder, '.insula'), '--log', 'json'],
    });
    url = String((await server.log.wait('server.listening', () => true, { within: 30000 })).url).replace(/\/$/, '');
  });
  after(async () => {
    closeConnections();
    await server.stop();
  });

  it('runs a plain tenant, by path and by host', async () => {
    const byPath = await ask('/acme/');
    assert.equal(byPath.status, 200);
    assert.match(byPath.text, /^Hello from acme, path \/, request 1 /);
    assert.match((await ask('/x', { host: 'acme.localhost:8787' })).text, /path \/x, request 2 /);
  });

  it('gives tenants no network', async () => {
    const answer = await ask('/acme/network');
    assert.equal(answer.status, 403);
    assert.match(answer.text, /not permitted to access the internet/);
  });

  it('forwards bodies', async () => {
    assert.equal((await ask('/acme/', { method: 'POST', body: 'echo' })).text, 'echo');
  });

  it('runs a tenant written with a library from npm', async () => {
    const answer = await ask('/hono/');
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await ask('/hono/no/such/page')).status, 404);
  });

  it('stops the tenant that spins, while the others go on', async () => {
    const answer = await ask('/spin/');
    assert.equal(answer.status, 503);
    assert.match(answer.text, /ERR_CPU_LIMIT/);
    assert.equal((await ask('/acme/')).status, 200);
  });

  it('answers 404 for strangers', async () => {
    assert.equal((await ask('/nobody/')).status, 404);
    assert.equal((await ask('/')).status, 404);
    assert.equal((await ask('/..%2f..%2fetc/')).status, 404);
  });

  it('deploys what is saved', async () => {
    writeFile(join(folder, 'tenants/fresh/index.js'), 'export default { fetch: () => new Response("one") };');
    assert.equal((await ask('/fresh/')).text, 'one');
    writeFile(join(folder, 'tenants/fresh/index.js'), 'export default { fetch: () => new Response("three") };');
    assert.equal((await ask('/fresh/')).text, 'three');
  });
});
