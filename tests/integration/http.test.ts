// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 of the real server: what clients may send, and what they get for what they may not.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { call, closeConnections, RawConnection } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { memoryOf } from '../support/proc.ts';

const worker = {
  name: 'http',
  source: `let started = 0;
export default { async fetch(request) {
  started++;
  const { pathname, searchParams } = new URL(request.url);
  if (pathname === '/echo') return new Response(request.body, { headers: { 'x-method': request.method } });
  if (pathname === '/text') return new Response(await request.text());
  if (pathname === '/ignore') return new Response('ignored');
  if (pathname === '/started') return new Response(String(started));
  if (pathname === '/stream') {
    let left = Number(searchParams.get('chunks'));
    const chunk = new Uint8Array(Number(searchParams.get('bytes') ?? 65536)).fill(120);
    return new Response(new ReadableStream({ pull(c) { left-- > 0 ? c.enqueue(chunk) : c.close(); } }));
  }
  if (pathname === '/length') { let sum = 0; for await (const chunk of request.body) sum += chunk.length; return new Response(String(sum)); }
  return Response.json([request.method, request.url, Object.fromEntries(request.headers)]);
} };`,
};

const count = (text: string, part: string): number => text.split(part).length - 1;

describe('HTTP', () => {
  let insula: Insula;
  before(async () => {
    insula = await Insula.start(worker, {
      node: '[http]\nheader_timeout_ms = 400\nbody_idle_timeout_ms = 400\nkeep_alive_timeout_ms = 1500\nbody_mib = 8\n',
    });
  });
  after(async () => {
    closeConnections();
    await insula.stop();
  });

  const raw = async (bytes: string): Promise<RawConnection> => {
    const connection = await RawConnection.open(insula.url);
    connection.send(bytes);
    return connection;
  };

  it('keeps the connection alive', async () => {
    using connection = await raw('GET /started HTTP/1.1\r\nHost: a\r\n\r\n');
    await connection.until((text) => count(text, 'HTTP/1.1 200') === 1 && /\r\n\r\n\d+$/.test(text));
    connection.send('GET /ignore HTTP/1.1\r\nHost: a\r\n\r\n');
    await connection.until((text) => text.endsWith('ignored'));
  });

  it('answers pipelined requests in order', async () => {
    const requests = Array.from({ length: 12 }, (_, index) => `GET /n${index} HTTP/1.1\r\nHost: a\r\n\r\n`).join('');
    using connection = await raw(requests);
    const text = await connection.until((received) => count(received, 'HTTP/1.1 200') === 12 && received.includes('/n11'));
    const seen = [...text.matchAll(/"http:\/\/a\/n(\d+)"/g)].map((match) => Number(match[1]));
    assert.deepEqual(seen, Array.from({ length: 12 }, (_, index) => index));
  });

  it('closes when asked to', async () => {
    using connection = await raw('GET /ignore HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    const text = await connection.closed();
    assert.match(text, /^HTTP\/1\.1 200/);
    assert.match(text, /ignored$/);
  });

  it('answers HTTP/1.0 and closes', async () => {
    using connection = await raw('GET /ignore HTTP/1.0\r\nHost: a\r\n\r\n');
    assert.match(await connection.closed(), /ignored$/);
  });

  it('reads chunked bodies, extensions and trailers included', async () => {
    using connection = await raw(
      'POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nA: b\r\n\r\n');
    assert.match(await connection.closed(), /hello world$/);
  });

  it('writes streams of unknown length in chunks', async () => {
    const answer = await insula.call('/stream?chunks=3&bytes=10');
    assert.equal(answer.headers['transfer-encoding'], 'chunked');
    assert.equal(answer.text, 'x'.repeat(30));
  });

  it('gives small bodies a length', async () => {
    assert.equal((await insula.call('/ignore')).headers['content-length'], '7');
  });

  it('answers HEAD without a body', async () => {
    using connection = await raw('HEAD /ignore HTTP/1.1\r\nHost: a\r\n\r\nGET /started HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    const text = await connection.closed();
    assert.equal(count(text, 'HTTP/1.1 200'), 2);
    assert.ok(!text.includes('ignored'));
  });

  it('says 100 Continue when the body is wanted', async () => {
    using connection = await raw('POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n');
    await connection.until((text) => text.includes('HTTP/1.1 100 Continue\r\n\r\n'));
    connection.send('body');
    assert.match(await connection.closed(), /body$/);
  });

  it('streams a body back while it still arrives', async () => {
    using connection = await raw('POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n');
    await connection.until((text) => text.includes('one'));
    connection.send('3\r\ntwo\r\n');
    await connection.until((text) => text.includes('two'));
    connection.send('0\r\n\r\n');
    await connection.until((text) => text.endsWith('0\r\n\r\n'));
  });

  it('streams megabytes both ways', async () => {
    const body = Buffer.alloc(7_000_000, 'insula');
    const answer = await insula.call('/echo', { method: 'POST', body });
    assert.ok(answer.bytes.equals(body));
    assert.equal((await insula.call('/length', { method: 'POST', body })).text, '7000000');
  });

  it('makes a fast Worker wait for a slow client', async () => {
    using connection = await RawConnection.open(insula.url);
    connection.pause();
    const before = memoryOf(insula.tree()).rssBytes;
    connection.send('GET /stream?chunks=4000 HTTP/1.1\r\nHost: a\r\n\r\n'); // 250 MiB if nobody holds it back
    // Others are served all the while; a hundred round trips are ample time for unbounded buffers to fill.
    for (let index = 0; index < 100; ++index) assert.equal((await insula.call('/ignore')).status, 200);
    const grown = memoryOf(insula.tree()).rssBytes - before;
    assert.ok(grown < 64 * 1024 * 1024, `grew by ${grown} bytes`);
    connection.resume();
    await connection.until((text) => text.length > 1_000_000, 15000);
  });

  it('sends 413 for a body over the limit', async () => {
    using connection = await raw(`POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: ${9 * 1024 * 1024}\r\n\r\n`);
    await connection.until((text) => text.startsWith('HTTP/1.1 413'));
  });

  it('sends 414 and 431 for what is too long', async () => {
    using target = await raw(`GET /${'x'.repeat(17000)} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.match(await target.closed(), /^HTTP\/1\.1 414/);
    using field = await raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(140000)}\r\n\r\n`);
    assert.match(await field.closed(), /^HTTP\/1\.1 431/);
    using many = await raw(`GET / HTTP/1.1\r\nHost: a\r\n${'A: b\r\n'.repeat(300)}\r\n`);
    assert.match(await many.closed(), /^HTTP\/1\.1 431/);
  });

  it('ends clients that are slow with a head or a body', async () => {
    using head = await raw('GET / HTTP/1.1\r\nHost: a\r\nX-Slow');
    using body = await raw('POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc');
    await Promise.all([head.closed(5000), body.closed(5000)]);
    assert.ok(!head.text.startsWith('HTTP/1.1 200') && !body.text.startsWith('HTTP/1.1 200'));
  });

  it('ends connections that nobody uses', async () => {
    using connection = await raw('GET /ignore HTTP/1.1\r\nHost: a\r\n\r\n');
    await connection.closed(8000);
  });

  it('drops an unread body and goes on', async () => {
    using connection = await raw(`POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nxxxxxGET /ignore HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    assert.equal(count(await connection.closed(), 'ignored'), 2);
  });

  describe('refuses what two parsers could read in two ways', () => {
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
    const cases: Record<string, string> = {
      'length and chunked': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'two lengths': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n',
      'a list of lengths': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 5\r\n\r\n',
      'a signed length': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n',
      'a negative length': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n',
      'a hexadecimal length': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n',
      'a huge length': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n',
      'an empty length': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n',
      'an unknown coding': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      'chunked twice': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n',
      'chunked not last': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
      'chunked in odd spelling': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
      'chunked in HTTP/1.0': 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'a space before the colon': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n',
      'a folded field': 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n',
      'a first field that begins with a space': 'GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n',
      'a bare CR in a field': 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n\r\n',
      'a NUL in a field': 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\x002\r\n\r\n',
      'a NUL in the target': 'GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n',
      'no host': 'GET / HTTP/1.1\r\n\r\n',
      'two hosts': 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
      'a host with a path': 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n',
      'a host with user information': 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n',
      'a host with a space': 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n',
      'a field without a name': 'GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n',
      'a field without a colon': 'GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n',
      'a field name with a bracket': 'GET / HTTP/1.1\r\nHost: a\r\nX(Y): 1\r\n\r\n',
      'a target with a space': 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n',
      'a target without a slash': 'GET a HTTP/1.1\r\nHost: a\r\n\r\n',
      'two spaces in the first line': 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
      'a tab in the first line': 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n',
      'a method that is no token': 'G@T(/ / HTTP/1.1\r\nHost: a\r\n\r\n',
      'no version': 'GET /\r\nHost: a\r\n\r\n',
      'a wrong version': 'GET / HTTP/1.11\r\nHost: a\r\n\r\n',
      'a version in small letters': 'GET / http/1.1\r\nHost: a\r\n\r\n',
      'a chunk size with a sign': 'POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n',
      'a chunk size with 0x': 'POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n',
      'a chunk size that overflows': 'POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n',
      'a chunk longer than its size': 'POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n',
      'a chunk with a bare LF': 'POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n',
      'a trailer with framing': 'POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length : 5\r\n\r\n',
      'a TLS greeting': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      'an HTTP/2 preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    };
    for (const [name, request] of Object.entries(cases)) {
      it(name, async () => {
        using connection = await raw(request + smuggled);
        const text = await connection.closed(5000);
        // A broken body may end a Worker that is at work already: its answer is an error, or the connection is cut.
        const expected = request.includes('/text') ? /^(HTTP\/1\.1 (400|413|500|502) |$)/ : /^HTTP\/1\.[01] (400|413|501|505) /;
        assert.match(text, expected);
        assert.ok(!text.includes('smuggled'), 'the second request was answered');
        assert.ok([...text.matchAll(/^HTTP\/1\./gm)].length <= 1, 'two answers');
      });
    }
  });

  it('shows a Worker neither hop-by-hop fields nor forged runtime fields', async () => {
    using connection = await raw(
      'GET /h HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-Kept: yes\r\n\r\n');
    const text = await connection.closed();
    const [, , headers] = JSON.parse(text.slice(text.indexOf('[')));
    assert.equal(headers['x-kept'], 'yes');
    assert.equal(headers['keep-alive'], undefined);
    assert.equal(headers['x-hop'], undefined);
  });

  it('normalises the authority', async () => {
    const [, url] = JSON.parse((await insula.call('/p?q', { host: 'ACME.LocalHost:1234' })).text);
    assert.equal(url, 'http://acme.localhost:1234/p?q');
  });

  it('serves two hundred connections at once', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, () => call(`${insula.url}/ignore`)));
    assert.ok(answers.every((answer) => answer.text === 'ignored'));
  });
});
