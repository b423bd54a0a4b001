// SPDX-License-Identifier: Apache-2.0
//
// Request and Response made by a Worker.
import { probes } from '../support/differential.ts';

probes('Response', {
  'defaults': () => {
    const response = new Response();
    return [response.status, response.statusText, response.ok, response.body, response.bodyUsed, response.url,
      response.redirected, response.type, [...response.headers]];
  },
  'text sets a content type': () => [...new Response('x').headers],
  'a given content type stays': () => [...new Response('x', { headers: { 'Content-Type': 'a/b' } }).headers],
  'status out of range': ({ caught }) =>
    Promise.all([0, 99, 100, 199, 600, 1000, -1, NaN].map((status) => caught(() => new Response(null, { status })))),
  'status 101': ({ caught }) => caught(() => new Response('x', { status: 101 })),
  'null-body status with a body': ({ caught }) =>
    Promise.all([204, 205, 304].map((status) => caught(() => new Response('x', { status })))),
  'null-body status with an empty string': ({ caught }) => caught(() => new Response('', { status: 204 }).status),
  'bad status text': ({ caught }) => caught(() => new Response(null, { statusText: 'a\nb' })).then((error: any) => error.name),
  'ok': () => [200, 204, 299, 300, 404].map((status) => new Response(null, { status }).ok),
  'json': async () => {
    const response = Response.json({ a: 1 }, { status: 202 });
    return [response.status, [...response.headers], await response.text()];
  },
  'json of what has no JSON': async ({ caught }) => [
    await caught(() => Response.json(undefined).text()), await caught(() => Response.json(1n)),
    ((await caught(() => { const loop: any = {}; loop.loop = loop; return Response.json(loop); })) as Error).name],
  'redirect': ({ caught }) => {
    const response = Response.redirect('http://a.example/b', 301);
    return Promise.all([response.status, [...response.headers], Response.redirect('http://a.example/').status,
      caught(() => Response.redirect('http://a.example/', 200)), caught(() => Response.redirect('/relative'))]);
  },
  'error': () => {
    const response = (Response as any).error();
    return [response.status, response.type, response.body];
  },
  'body used twice': async ({ caught }) => {
    const response = new Response('x');
    await response.text();
    return [response.bodyUsed, await caught(() => response.text()), ((await caught(() => response.clone())) as Error).name];
  },
  'clone': async () => {
    const response = new Response('abc', { status: 201, headers: { a: 'b' } });
    const copy = response.clone();
    copy.headers.set('a', 'c');
    return [await response.text(), await copy.text(), copy.status, response.headers.get('a'), copy.headers.get('a')];
  },
  'clone of a locked body': ({ caught }) => {
    const response = new Response('abc');
    response.body!.getReader();
    return caught(() => response.clone()).then((error: any) => error.name);
  },
  'reading a locked body': ({ caught }) => {
    const response = new Response('abc');
    response.body!.getReader();
    return caught(() => response.text());
  },
  'body of a response is a stream of bytes': async () => {
    const reader = new Response('abc').body!.getReader();
    const first = await reader.read();
    return [first.value, first.done, (await reader.read()).done];
  },
  'readers of every kind': async () => {
    const make = () => new Response('{"a":1}', { headers: { 'content-type': 'x/y' } });
    const blob = await make().blob();
    return [await make().text(), await make().json(), await make().arrayBuffer(), await (make() as any).bytes(), blob.size, blob.type];
  },
  'a byte order mark is dropped by text': async () => new Response(new Uint8Array([0xef, 0xbb, 0xbf, 0x61])).text(),
  'bad UTF-8 is replaced': async () => new Response(new Uint8Array([0x61, 0xff, 0xe2, 0x98])).text(),
  'empty json': ({ caught }) => caught(() => new Response('').json()),
  'bad json': ({ caught }) => caught(() => new Response('{bad').json()),
  'made from another response': async () => {
    const first = new Response('body', { status: 404, statusText: 'Nope', headers: { a: 'b' } });
    const second = new Response(first.body, first);
    return [second.status, second.statusText, second.headers.get('a'), await second.text(), first.bodyUsed];
  },
  'a body that is no body becomes text': async () => [await new Response(5 as any).text(), await new Response({} as any).text(), await new Response(true as any).text()],
  'a used stream is no body': async ({ caught }) => {
    const first = new Response('x');
    const { body } = first;
    await first.text();
    return caught(() => new Response(body));
  },
  'a locked stream is no body': ({ caught }) => {
    const stream = new ReadableStream();
    stream.getReader();
    return caught(() => new Response(stream)).then((error: any) => error.name);
  },
  'chunks that are no bytes': ({ caught }) =>
    caught(() => new Response(new ReadableStream({ start(c) { c.enqueue('text'); c.close(); } })).text()).then((error: any) => error.name),
  'an error of the stream reaches the reader': ({ caught }) =>
    caught(() => new Response(new ReadableStream({ start(c) { c.error(new RangeError('broken')); } })).text()),
  'FormData as body': async () => {
    const form = new FormData();
    form.append('a', '1');
    form.append('f', new Blob(['file']), 'n.txt');
    const response = new Response(form);
    const type = response.headers.get('content-type')!;
    const again = await response.formData();
    return [type.startsWith('multipart/form-data; boundary='), again.get('a'), (again.get('f') as any).name];
  },
  'webSocket is null': () => [(new Response('x') as any).webSocket],
  'shape': () => [Object.prototype.toString.call(new Response()), typeof Response.prototype.clone, Response.name],
});

probes('Request', {
  'defaults': () => {
    const request = new Request('http://a.example/b?c#d');
    return [request.url, request.method, request.redirect, request.body, request.bodyUsed, [...request.headers], request.signal instanceof AbortSignal];
  },
  'relative URL': ({ caught }) => Promise.all([caught(() => new Request('/x')), caught(() => new Request('')), caught(() => fetch('/x'))]),
  'methods are normalised': () => ['get', 'Post', 'delete', 'PUT', 'head', 'options'].map((method) => new Request('http://a/', { method }).method),
  'patch in either case': ({ caught }) =>
    Promise.all(['patch', 'PATCH'].map((method) => caught(() => new Request('http://a/', { method }).method))),
  'bad methods': ({ caught }) => Promise.all(['', 'A B', 'FOO', 'TRACE ', 'G\u00e9T'].map((method) => caught(() => new Request('http://a/', { method })))),
  'GET with a body': ({ caught }) =>
    Promise.all(['GET', 'HEAD'].map((method) => caught(() => new Request('http://a/', { method, body: 'x' })))),
  'redirect values': ({ caught }) => Promise.all(['follow', 'manual', 'error', 'other']
    .map((redirect: any) => caught(() => new Request('http://a/', { redirect }).redirect))),
  'body and content type': async () => {
    const request = new Request('http://a/', { method: 'POST', body: new URLSearchParams({ a: 'b c' }) });
    return [request.headers.get('content-type'), await request.text(), request.bodyUsed];
  },
  'made from another request': async ({ caught }) => {
    const first = new Request('http://a/', { method: 'POST', body: 'x', headers: { h: '1' } });
    const second = new Request(first, { headers: { h: '2' } });
    return [second.method, second.headers.get('h'), first.bodyUsed, await second.text(), await caught(() => first.text())];
  },
  'made from another request with a new URL': async () => {
    const first = new Request('http://a/', { method: 'PUT', body: 'x', headers: { h: '1' } });
    const second = new Request('http://b/c', first);
    return [second.url, second.method, second.headers.get('h'), await second.text()];
  },
  'made from a used request': async ({ caught }) => {
    const first = new Request('http://a/', { method: 'POST', body: 'x' });
    await first.text();
    return [await caught(() => new Request(first)), ((await caught(() => first.clone())) as Error).name];
  },
  'clone': async () => {
    const request = new Request('http://a/', { method: 'POST', body: 'abc', headers: { h: '1' } });
    const copy = request.clone();
    return [await request.text(), await copy.text(), copy.url, copy.method, copy.headers.get('h')];
  },
  'a signal is carried': () => {
    const controller = new AbortController();
    const request = new Request('http://a/', { signal: controller.signal });
    controller.abort();
    return request.signal.aborted;
  },
  'URL object as input': () => new Request(new URL('http://a.example/x y')).url,
  'fragment and credentials': ({ caught }) => Promise.all([
    new Request('http://a/#f').url, caught(() => new Request('http://u:p@a/').url)]),
  'cf is carried': () => {
    const request = new Request('http://a/', { cf: { one: 1 } } as any);
    return [(request as any).cf, (request.clone() as any).cf];
  },
  'shape': () => [Object.prototype.toString.call(new Request('http://a/')), Request.name],
  'brand is checked': ({ caught }) => caught(() => Object.getOwnPropertyDescriptor(Request.prototype, 'url')!.get!.call({})),
});

probes('FormData and Blob', {
  'FormData basics': ({ caught }) => {
    const form = new FormData();
    form.append('a', '1');
    form.append('a', '2');
    form.set('b', '3');
    form.append('c', 5 as any);
    const before = [...form];
    form.delete('b');
    return Promise.all([before, form.getAll('a'), form.get('b'), form.has('c'), [...form.keys()], caught(() => (form as any).append('x')).then((e: any) => e.name)]);
  },
  'Blob basics': async () => {
    const blob = new Blob(['ab', new Uint8Array([99]), new Blob(['d'])], { type: 'Text/Plain' });
    const slice = blob.slice(1, 3, 'x/y');
    return [blob.size, blob.type, await blob.text(), await slice.text(), slice.type, await blob.slice(-2).text(), await blob.arrayBuffer()];
  },
  'File basics': async () => {
    const file = new File(['abc'], 'n.txt', { type: 'a/b', lastModified: 5 });
    return [file.name, file.size, file.type, file.lastModified, file instanceof Blob, await file.text()];
  },
  'Blob stream': async () => {
    const parts: number[] = [];
    for await (const chunk of new Blob(['abc']).stream() as any) parts.push(...chunk);
    return parts;
  },
});
