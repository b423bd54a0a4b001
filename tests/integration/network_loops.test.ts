// SPDX-License-Identifier: Apache-2.0
//
// A node that would call itself over the network: its own door is closed to its Workers under every name, and a way around
// over somebody else's proxy ends like any other chain of calls.
import assert from 'node:assert/strict';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';

const flags = ['--allow-private-addresses'];

// Forwards everything, fields included, to `target()`.
interface Proxy {
  url: string;
  seen: string[]; // what each request had in cdn-loop
  [Symbol.dispose](): void;
}

async function startProxy(target: () => string): Promise<Proxy> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(String(request.headers['cdn-loop']));
    const onward = httpRequest(target() + request.url, { method: request.method, headers: { ...request.headers, host: 'node.example' } }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const stop = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, [Symbol.dispose]: stop };
}

describe('loops over the network', () => {
  for (const isolation of ['shared', 'cordon'] as const) {
    it(`end at the depth of calls, through a tenant (${isolation})`, async () => {
      let url = '';
      using proxy = await startProxy(() => url);
      const tenant = `export default { async fetch(request, env) { try { return new Response('t' + await (await fetch(env.PROXY, { headers: { 'cdn-loop': 'mine' } })).text()); } catch (error) { return new Response(error.code); } } };`;
      await using insula = await Insula.start({
        name: 'dispatcher', loaders: [{ binding: 'LOADER' }], vars: { PROXY: proxy.url },
        source: `export default { async fetch(request, env) {
          const t = env.LOADER.get('t', () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': ${JSON.stringify(tenant)} }, env: { PROXY: env.PROXY } }));
          return new Response('d' + await (await t.getEntrypoint().fetch('http://t/')).text());
        } };`,
      }, { isolation, flags });
      url = insula.url;
      const { text } = await insula.call('/', { within: 30000 });
      // Each round is two calls and one way through the network.
      assert.match(text, /^(dt){4,9}d?ERR_DEPTH_LIMIT\b/);
      assert.equal(proxy.seen.length, (text.match(/dt/g) ?? []).length);
      const hops = proxy.seen.map((field) => Number(/^mine, insula-[0-9a-f]{16}; hops=(\d+)$/.exec(field)?.[1]));
      assert.deepEqual(hops, [...hops].sort((a, b) => a - b));
      assert.ok(hops.every((count, index) => Number.isInteger(count) && (index === 0 || count > hops[index - 1]!)), hops.join());
      closeConnections();
    });
  }

  it('what other nodes have marked means nothing here', async () => {
    await using insula = await Insula.start({ name: 'w', source: 'export default { fetch(request) { return new Response(request.headers.get("cdn-loop")); } };' });
    const field = 'insula-0123456789abcdef; hops=99, other';
    assert.equal((await insula.call('/', { headers: { 'cdn-loop': field } })).text, field);
    closeConnections();
  });
});

describe('the node\'s own door', () => {
  it('is closed to its Workers also when it was given by name', async () => {
    await using insula = await Insula.start({
      name: 'w',
      source: `export default { async fetch(request) {
        const { port } = new URL(request.url);
        const told = [];
        for (const host of ['127.0.0.1', 'localhost']) told.push(await fetch('http://' + host + ':' + port + '/').then((r) => r.text(), (error) => error.code));
        return Response.json(told);
      } };`,
    }, { flags: [...flags, '--listen', 'localhost:0'] });
    assert.deepEqual(JSON.parse((await insula.call('/', { within: 30000 })).text), ['ERR_OUTBOUND_BLOCKED', 'ERR_OUTBOUND_BLOCKED']);
    closeConnections();
  });
});
