// SPDX-License-Identifier: Apache-2.0
//
// What a Worker can reach: assets, the network within its rules, and nothing that belongs to somebody else.
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { closeConnections, RawConnection } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { Origin } from '../support/origin.ts';
import { platform } from '../support/platform.ts';
import { writeFile } from '../support/worker_spec.ts';

const forward = 'export default { fetch(request, env) { return env.ASSETS.fetch(request); } };';

describe('assets', () => {
  let insula: Insula;
  const large = Buffer.alloc(3_000_000, 'asset');
  before(async () => {
    insula = await Insula.start({
      name: 'site', source: forward,
      assets: { binding: 'ASSETS', files: { 'index.html': '<h1>home</h1>', 'a/b.txt': 'text', 'a/large.bin': large, '.hidden': 'no', 'sp ace.js': '1' } },
    });
    const assets = join(insula.folder, 'site/assets');
    symlinkSync('/etc/passwd', join(assets, 'link.txt'));
    symlinkSync('/etc', join(assets, 'etc'));
    mkdirSync(join(assets, 'empty'));
    writeFile(join(insula.folder, 'site/secret.txt'), 'secret');
  });
  after(async () => {
    closeConnections();
    await insula.stop();
  });

  it('answers with type, length and tag', async () => {
    const answer = await insula.call('/a/b.txt');
    assert.equal(answer.text, 'text');
    assert.match(String(answer.headers['content-type']), /^text\/plain/);
    const etag = String(answer.headers.etag);
    assert.match(etag, /^(W\/)?".+"$/);
    const again = await insula.call('/a/b.txt', { headers: { 'if-none-match': etag } });
    assert.equal(again.status, 304);
    assert.equal(again.text, '');
  });

  it('serves index.html, large files and names with spaces', async () => {
    assert.match((await insula.call('/')).text, /home/);
    assert.ok((await insula.call('/a/large.bin')).bytes.equals(large));
    assert.equal((await insula.call('/sp%20ace.js')).text, '1');
    assert.equal((await insula.call('/a/b.txt', { method: 'HEAD' })).text, '');
  });

  it('a changed file has another tag', async () => {
    const path = join(insula.folder, 'site/assets/a/changing.txt');
    writeFile(path, 'one');
    const first = await insula.call('/a/changing.txt');
    writeFile(path, 'three');
    const second = await insula.call('/a/changing.txt');
    assert.deepEqual([first.text, second.text], ['one', 'three']);
    assert.notEqual(first.headers.etag, second.headers.etag);
  });

  it('never leaves its directory', async () => {
    for (const path of ['/../secret.txt', '/%2e%2e/secret.txt', '/a/..%2f..%2fsecret.txt', '/..%5csecret.txt', '/link.txt', '/etc/passwd',
      '/.hidden', '/%00', '/a/b.txt%00.html', '//etc/passwd', '/a/../../secret.txt', '/empty', '/none']) {
      using connection = await RawConnection.open(insula.url);
      connection.send(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      const text = await connection.closed();
      assert.match(text, /^HTTP\/1\.1 (400|404|30\d)/, path);
      assert.ok(!text.includes('secret') && !text.includes('root:'), path);
    }
  });
});

describe('the way out', () => {
  const tryAll = `export default { async fetch(request) {
    const list = await request.json();
    return Response.json(await Promise.all(list.map((url) => fetch(url).then((r) => 'answered ' + r.status, (e) => e.code ?? e.message))));
  } };`;
  const forbidden = (port: number): string[] => [
    `http://127.0.0.1:${port}/`, `http://localhost:${port}/`, `http://127.1:${port}/`, `http://2130706433:${port}/`, `http://0x7f000001:${port}/`,
    `http://0177.0.0.1:${port}/`, `http://[::1]:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`, `http://[::ffff:7f00:1]:${port}/`, `http://0.0.0.0:${port}/`,
    `http://[::]:${port}/`, `http://127.0.0.1.:${port}/`, `http://user:pass@127.0.0.1:${port}/`, `http://\uff11\uff12\uff17.0.0.1:${port}/`,
    'http://169.254.169.254/latest/meta-data/', 'http://[fe80::1]/', 'http://10.0.0.1/', 'http://172.16.0.1/', 'http://192.168.0.1/',
    'http://100.64.0.1/', 'http://224.0.0.1/', 'http://255.255.255.255/', 'http://[fc00::1]/', 'http://[64:ff9b::7f00:1]/', 'http://[2002:7f00:1::]/'];

  it('is closed to private addresses, however they are spelt', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start({ name: 'prober', source: tryAll });
    const urls = forbidden(origin.port);
    const results = JSON.parse((await insula.call('/', { method: 'POST', body: JSON.stringify(urls), within: 30000 })).text) as string[];
    for (const [index, result] of results.entries()) assert.ok(!result.startsWith('answered'), `${urls[index]}: ${result}`);
    assert.equal(results[0], 'ERR_OUTBOUND_BLOCKED');
    assert.equal(results[14], 'ERR_OUTBOUND_BLOCKED');
    assert.equal(origin.arrivals, 0);
    assert.ok(!results.some((result) => result.includes('169.254')), 'the address is told to the Worker');
  });

  it('is open to them when the operator allows it', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start({ name: 'prober', source: tryAll }, { flags: ['--allow-private-addresses'] });
    const pending = insula.call('/', { method: 'POST', body: JSON.stringify([origin.url]) });
    (await origin.next()).answer('yes');
    assert.deepEqual(JSON.parse((await pending).text), ['answered 200']);
  });

  it('is cut when the client goes away', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start({
      name: 'waiter', vars: { ORIGIN: origin.url }, source: 'export default { async fetch(request, env) { return fetch(env.ORIGIN); } };',
    }, { flags: ['--allow-private-addresses'] });
    const connection = await RawConnection.open(insula.url);
    connection.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const arrival = await origin.next();
    connection.close();
    await arrival.gone;
  });

  it('opens six connections at once and no more for one request', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start({
      name: 'greedy', vars: { ORIGIN: origin.url },
      source: 'export default { async fetch(request, env) { const all = await Promise.all(Array.from({ length: 9 }, () => fetch(env.ORIGIN).then((r) => r.text()))); return new Response(all.join("")); } };',
    }, { flags: ['--allow-private-addresses'] });
    const pending = insula.call('/');
    const open = [];
    for (let index = 0; index < 6; ++index) open.push(await origin.next());
    await assert.rejects(origin.next(200), /no request/);
    open.forEach((arrival) => arrival.answer('x'));
    for (let index = 0; index < 3; ++index) (await origin.next()).answer('y');
    assert.equal([...(await pending).text].sort().join(''), 'xxxxxxyyy');
  });
});

describe('what belongs to others', () => {
  it('bindings of a cached tenant are those of the tenant, not of who asks', async () => {
    await using insula = await Insula.start({
      name: 'owners', loaders: [{ binding: 'LOADER' }],
      source: `export default { async fetch(request, env) {
        const who = new URL(request.url).searchParams.get('who');
        const worker = env.LOADER.get('tenant:' + who, () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', globalOutbound: null,
          env: { OWNER: who }, modules: { 'm.js': 'export default { fetch(r, env, ctx) { return Response.json([env.OWNER, ctx.props.who]); } }' } }));
        return worker.getEntrypoint(null, { props: { who } }).fetch(request);
      } };`,
    });
    const asks = Array.from({ length: 60 }, (_, index) => `u${index % 6}`);
    const answers = await Promise.all(asks.map((who) => insula.call(`/?who=${who}`)));
    assert.deepEqual(answers.map((answer) => JSON.parse(answer.text)), asks.map((who) => [who, who]));
  });

  it('objects of one request are of no use in the next', async () => {
    await using insula = await Insula.start(platform({
      keeper: `let kept; export default { async fetch(request) {
        if (!kept) { kept = request; return new Response('kept'); }
        try { return new Response('read ' + await kept.text()); } catch (error) { return new Response('refused: ' + error.name); }
      } };`,
    }));
    assert.equal((await insula.call('/keeper/', { method: 'POST', body: 'first secret' })).text, 'kept');
    const second = await insula.call('/keeper/', { method: 'POST', body: 'second' });
    assert.ok(second.text === 'refused: Error' || second.text === 'refused: TypeError' || second.text === 'read first secret', second.text);
  });

  it('random values differ between isolates', async () => {
    await using insula = await Insula.start(platform({ random: 'export default { fetch() { return Response.json([Math.random(), crypto.randomUUID()]); } };' }));
    const values = await Promise.all(Array.from({ length: 20 }, async (_, index) => JSON.parse((await insula.call(`/random/?id=r${index}`)).text)));
    assert.equal(new Set(values.map(([number]) => number)).size, 20);
    assert.equal(new Set(values.map(([, uuid]) => uuid)).size, 20);
  });
});
