// SPDX-License-Identifier: Apache-2.0
//
// fetch() to the network, and service bindings between static Workers.
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

import { probes } from '../support/differential.ts';

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

const origin = createServer(async (request, response) => {
  const url = new URL(request.url ?? '/', 'http://origin/');
  switch (url.pathname) {
    case '/echo': {
      const body = await bodyOf(request);
      const { 'x-a': a, 'content-type': type, 'content-length': length, authorization } = request.headers;
      response.writeHead(200, { 'content-type': 'application/json', 'x-origin': 'yes', 'set-cookie': ['a=1', 'b=2'] });
      response.end(JSON.stringify({ method: request.method, search: url.search, a, type, length, authorization, body }));
      return;
    }
    case '/redirect':
      response.writeHead(Number(url.searchParams.get('status') ?? 302), { location: url.searchParams.get('to') ?? '/echo' });
      response.end('moved');
      return;
    case '/loop':
      response.writeHead(302, { location: '/loop' });
      response.end();
      return;
    case '/status':
      response.writeHead(Number(url.search.slice(1)), 'Own Words');
      response.end('status');
      return;
    case '/stream':
      for (let index = 0; index < 50; ++index) response.write(`line ${index}\n`);
      response.end();
      return;
    case '/cut':
      response.writeHead(200, { 'content-length': '100' });
      response.write('only this');
      response.socket!.end();
      return;
    default:
      response.writeHead(404);
      response.end('no such page');
  }
});
await new Promise<void>((resolve) => { origin.listen(0, '127.0.0.1', resolve); });
after(() => {
  origin.closeAllConnections();
  origin.close();
});
const ORIGIN = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;

// The port differs from run to run but not between the two sides, so it may stand in an answer.
probes('fetch to the network', {
  'GET': async ({ env }) => {
    const response = await fetch(`${env.ORIGIN}/echo?q=1`, { headers: { 'x-a': 'b' } });
    return [response.status, response.statusText, response.url, response.redirected, response.headers.get('x-origin'),
      response.headers.getSetCookie(), await response.json()];
  },
  'POST of text, bytes and a form': async ({ env }) => {
    const list = [];
    for (const body of ['text', new Uint8Array([97, 98]), new URLSearchParams({ a: '1' })]) {
      list.push(await (await fetch(`${env.ORIGIN}/echo`, { method: 'POST', body })).json());
    }
    return list;
  },
  'POST of a stream': async ({ env }) => {
    let count = 0;
    const body = new ReadableStream({ pull(c) { count++ < 3 ? c.enqueue(new TextEncoder().encode(`${count}`)) : c.close(); } });
    const answer: any = await (await fetch(`${env.ORIGIN}/echo`, { method: 'POST', body } as any)).json();
    return [answer.method, answer.body, answer.length];
  },
  'a Request as argument, changed by init': async ({ env }) => {
    const request = new Request(`${env.ORIGIN}/echo`, { method: 'PUT', body: 'x', headers: { 'x-a': '1' } });
    return (await fetch(request, { headers: { 'x-a': '2' } })).json();
  },
  'the incoming request sent on': {
    run: async ({ env, request }) => {
      const answer: any = await (await fetch(new Request(`${env.ORIGIN}/echo`, request))).json();
      return [answer.method, answer.a, answer.body];
    },
    request: { method: 'POST', body: 'sent on', headers: { 'x-a': 'kept' } },
  },
  'the answer handed to the client': ({ env }) => fetch(`${env.ORIGIN}/stream`),
  'an error page is an answer': async ({ env }) => {
    const response = await fetch(`${env.ORIGIN}/status?503`);
    return [response.status, response.statusText, response.ok, await response.text()];
  },
  'redirects are followed': async ({ env }) => {
    const response = await fetch(`${env.ORIGIN}/redirect?to=/redirect?to=/echo`);
    return [response.status, response.redirected, response.url, ((await response.json()) as any).method];
  },
  'redirect keeps or changes the method': async ({ env }) => {
    const list = [];
    for (const status of [301, 302, 303, 307, 308]) {
      const answer: any = await (await fetch(`${env.ORIGIN}/redirect?status=${status}`, { method: 'POST', body: 'b' })).json();
      list.push([status, answer.method, answer.body]);
    }
    return list;
  },
  'redirect: manual': async ({ env }) => {
    const response = await fetch(`${env.ORIGIN}/redirect`, { redirect: 'manual' });
    return [response.status, response.headers.get('location'), response.redirected];
  },
  'redirects without end': ({ env, caught }) => caught(() => fetch(`${env.ORIGIN}/loop`)).then((error: any) => error.name),
  'only http and https': ({ caught }) =>
    Promise.all(['ftp://127.0.0.1/', 'file:///etc/passwd'].map((url) => caught(() => fetch(url)))).then((list: any[]) => list.map((error) => error instanceof Error)),
  'headers of an answer are immutable': async ({ env, caught }) => {
    const response = await fetch(`${env.ORIGIN}/echo`);
    await response.text();
    return caught(() => response.headers.set('a', 'b'));
  },
  'an answer that is cut': async ({ env, caught }) => {
    const response = await fetch(`${env.ORIGIN}/cut`);
    return ((await caught(() => response.text())) as any) instanceof Error;
  },
  'nobody listens': ({ caught }) => caught(() => fetch('http://127.0.0.1:1/')).then((error: any) => error instanceof Error),
  'abort while waiting': async ({ env, caught }) => {
    const controller = new AbortController();
    const waiting = caught(() => fetch(`${env.ORIGIN}/echo`, { signal: controller.signal, method: 'POST', body: new ReadableStream() } as any));
    controller.abort(new Error('changed my mind'));
    return waiting;
  },
  'a tenant without globalOutbound goes out like its host': async ({ env, code, ask }) => ask(env.LOADER.load(code(
    'export default { async fetch(r, env) { return new Response((await fetch(env.ORIGIN + "/echo")).headers.get("x-origin")); } }', { env: { ORIGIN: env.ORIGIN } }))),
  'twenty fetches at once': async ({ env }) => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => fetch(`${env.ORIGIN}/echo?${index}`).then((response) => response.json())));
    return answers.map((answer: any) => answer.search);
  },
}, { vars: { ORIGIN }, loaders: [{ binding: 'LOADER' }] });

probes('service bindings', {
  'fetch goes to the other Worker': async ({ env }) => {
    const response = await env.OTHER.fetch('http://whatever.example/path?q', { method: 'POST', body: 'hello', headers: { 'x-a': 'b' } });
    return [response.status, response.headers.get('x-b'), await response.json()];
  },
  'a named entrypoint': async ({ env }) => (await env.NAMED.fetch('http://x/')).text(),
  'the request is forwarded': { run: ({ env, request }) => env.OTHER.fetch(request), request: { method: 'PUT', path: '/p', body: 'client' } },
  'an error is rethrown': async ({ env, caught }) => caught(() => env.OTHER.fetch('http://x/throw')),
  'state of the other Worker is its own': async ({ env }) => {
    (globalThis as any).shared = 'mine';
    return (await env.OTHER.fetch('http://x/shared')).text();
  },
  'a relative URL is refused': ({ env, caught }) => caught(() => env.OTHER.fetch('/x')),
}, {
  services: [{ binding: 'OTHER', service: 'other' }, { binding: 'NAMED', service: 'other', entrypoint: 'Named' }],
  others: [{
    name: 'other',
    source: `import { WorkerEntrypoint } from 'cloudflare:workers';
export class Named extends WorkerEntrypoint { fetch() { return new Response('named'); } }
export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  if (pathname === '/throw') throw new RangeError('other broke');
  if (pathname === '/shared') return new Response(String(globalThis.shared));
  return Response.json([request.method, request.url, request.headers.get('x-a'), await request.text()], { headers: { 'x-b': 'c' } });
} };`,
  }],
});
