// SPDX-License-Identifier: Apache-2.0
//
// Headers as a Worker sees them.
import { probes } from '../support/differential.ts';

probes('Headers', {
  'iteration is sorted and lower case': () => [...new Headers({ B: '2', a: '1', 'C-d': '3' })],
  'appended values are joined': () => {
    const headers = new Headers([['x', '1']]);
    headers.append('X', '2');
    return [headers.get('x'), [...headers]];
  },
  'set-cookie is never joined': () => {
    const headers = new Headers();
    headers.append('Set-Cookie', 'a=1');
    headers.append('set-cookie', 'b=2, c');
    headers.append('z', '1');
    return [headers.getSetCookie(), headers.get('set-cookie'), [...headers], [...headers.keys()], [...headers.values()]];
  },
  'values are trimmed': () => [...new Headers({ a: ' \t v \r\n ' })],
  'bad names are refused': ({ caught }) =>
    Promise.all(['a b', 'a:b', 'a\n', 'a\0', '(a)', 'a,b', 'a/b'].map((name) => caught(() => new Headers([[name, '1']])))),
  'bad values are refused': ({ caught }) =>
    Promise.all(['a\nb', 'a\rb', 'a\0b'].map((value) => caught(() => new Headers({ name: value })))),
  'values are bytes': ({ caught }) => Promise.all(['ü', '☃'].map((value) => caught(() => [...new Headers({ name: value })]))),
  'get of an absent name is null': () => [new Headers().get('x'), new Headers().has('x'), new Headers().getSetCookie()],
  'delete and set': () => {
    const headers = new Headers({ a: '1', b: '2' });
    headers.delete('A');
    headers.set('b', '3');
    headers.set('c', '4');
    return [...headers.entries()];
  },
  'forEach gives value, name, headers and this': () => {
    const seen: unknown[] = [];
    const headers = new Headers({ b: '2', a: '1' });
    headers.forEach(function (this: any, value, name, all) {
      seen.push([value, name, all === headers, this.mark]);
    }, { mark: 7 });
    return seen;
  },
  'constructor accepts Headers, Map and pairs': () =>
    [new Headers(new Headers({ a: '1' })), new Headers(new Map([['b', '2']]) as any), new Headers([['c', '3'], ['c', '4']])],
  'constructor refuses what is no list of pairs': ({ caught }) =>
    Promise.all([[['a']], [['a', 'b', 'c']], [1], 'text', 5, null].map((init: any) => caught(() => new Headers(init))))
      .then((list) => list.map((item: any) => item.none ? 'accepted' : item.name)),
  'headers of an incoming request are immutable': ({ request, caught }) =>
    Promise.all([
      caught(() => request.headers.set('a', 'b')), caught(() => request.headers.append('a', 'b')),
      caught(() => request.headers.delete('a'))]),
  'incoming headers are as they were sent': {
    run: ({ request }) => [request.headers.get('X-One'), request.headers.get('x-two'), request.headers.has('X-PROBE')],
    request: { headers: { 'X-One': 'a', 'x-two': ['b', 'c'] } },
  },
  'a copy of incoming headers can be changed': ({ request }) => {
    const headers = new Headers(request.headers);
    headers.set('x-new', '1');
    return [headers.get('x-new'), request.headers.get('x-new')];
  },
  'brand is checked': ({ caught }) =>
    Promise.all([caught(() => Headers.prototype.get.call({}, 'a')), caught(() => (Headers as any)()).then((e: any) => e.name)]),
  'too few arguments': ({ caught }) => Promise.all([
    caught(() => (new Headers() as any).get()), caught(() => (new Headers() as any).append('a')),
    caught(() => (new Headers() as any).set())]).then((list: any[]) => list.map((error) => error.name)),
  'changes during iteration are seen': () => {
    const headers = new Headers({ a: '1', b: '2', c: '3' });
    const seen: string[] = [];
    for (const [name] of headers) {
      seen.push(name);
      if (name === 'a') headers.delete('b');
    }
    return seen.includes('c');
  },
  'shape': () => [
    Object.prototype.toString.call(new Headers()), Headers.length, Headers.name,
    typeof (Headers.prototype as any)[Symbol.iterator]],
});
