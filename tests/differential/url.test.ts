// SPDX-License-Identifier: Apache-2.0
//
// URL and URLSearchParams.
import { probes } from '../support/differential.ts';

probes('URL', {
  'all parts': () => {
    const url = new URL('https://us%20er:pa:ss@Example.COM:8443/a/./b/../c%7e?x=1&y=%20#frag ment');
    return [url.href, url.protocol, url.username, url.password, url.host, url.hostname, url.port, url.pathname, url.search, url.hash, url.origin];
  },
  'relative to a base': () => ['b', '/b', '../b', '?q', '#f', '//h/p', 'http:c', '', '.', 'x:y'].map((input) => new URL(input, 'http://a.example/d/e/f?g#h').href),
  'invalid': ({ caught }) => Promise.all(['', 'x', 'http://', 'http://a b/', 'http://[::1', 'http://a:99999/', 'http://%zz/'].map((input) => caught(() => new URL(input)))),
  'invalid with a base': ({ caught }) => Promise.all([caught(() => new URL('x', 'y')), caught(() => new URL('http://[', 'http://a/'))]),
  'hosts': () => ['http://0x7f.1/', 'http://127.1/', 'http://2130706433/', 'http://[::ffff:1.2.3.4]/', 'http://[1:0:0:0:0:0:0:1]/',
    'http://EXAMPLE.com./', 'http://b\u00fccher.example/', 'http://\uff11.2.3.4/', 'http://a%2eb/'].map((input) => new URL(input).hostname),
  'default ports vanish': () => ['http://a:80/', 'https://a:443/', 'http://a:443/', 'ws://a:80/', 'ftp://a:21/'].map((input) => new URL(input).href),
  'setters': () => {
    const url = new URL('http://a/b');
    url.protocol = 'https';
    url.host = 'c.example:99';
    url.port = '443';
    url.pathname = 'x y/ü';
    url.search = 'q=1 2';
    url.hash = 'h h';
    url.username = 'u@';
    url.password = 'p:';
    const first = url.href;
    url.port = '';
    url.search = '';
    url.hash = '';
    url.protocol = 'mailto';
    url.hostname = 'bad host';
    return [first, url.href];
  },
  'href setter': ({ caught }) => {
    const url = new URL('http://a/');
    url.href = 'http://b/c';
    return Promise.all([url.href, caught(() => { url.href = 'bad'; }).then((error: any) => error.name)]);
  },
  'opaque paths': () => ['data:text/plain,x y#z', 'mailto:a@b', 'javascript:1', 'blob:http://a/b', 'file:///c:/x/../y'].map((input) => {
    const url = new URL(input);
    return [url.href, url.origin, url.pathname, url.host];
  }),
  'canParse and parse': () => [URL.canParse('http://a/'), URL.canParse('x'), URL.canParse('x', 'http://a/'),
    (URL as any).parse('http://a/').href, (URL as any).parse('x')],
  'searchParams writes back': () => {
    const url = new URL('http://a/?b=1&c=2#h');
    url.searchParams.append('d', 'x y');
    url.searchParams.delete('b');
    const same = url.searchParams === url.searchParams;
    url.search = '?e=5';
    return [url.href, url.searchParams.get('e'), same];
  },
  'toString, toJSON': () => [String(new URL('http://a')), JSON.stringify({ url: new URL('http://a/b') })],
  'control and white space': () => new URL('  http://a\t/b\nc  ').href,
  'brand is checked': ({ caught }) => caught(() => Object.getOwnPropertyDescriptor(URL.prototype, 'href')!.get!.call({})),
});

probes('URLSearchParams', {
  'constructors': () => ['?a=1&b=%20+&c&=d&&a=2', [['x', '1'], ['x', '2']], { k: 'v', 'ü': '☃' }, '', new URLSearchParams('p=q')]
    .map((init: any) => [String(new URLSearchParams(init)), [...new URLSearchParams(init)]]),
  'bad pairs': ({ caught }) => caught(() => new URLSearchParams([['a']] as any)).then((error: any) => error.name),
  'get, getAll, has': () => {
    const params = new URLSearchParams('a=1&a=2&b=3');
    return [params.get('a'), params.getAll('a'), params.get('z'), params.has('b'), (params as any).has('a', '2'), (params as any).has('a', '3'), params.size];
  },
  'set, append, delete, sort': () => {
    const params = new URLSearchParams('z=1&a=2&z=3&a=1');
    params.set('z', '9');
    params.append('m', '&=');
    params.sort();
    const sorted = String(params);
    (params as any).delete('a', '1');
    return [sorted, String(params)];
  },
  'encoding': () => String(new URLSearchParams({ '!\'()*-._~': '\u0000 /?:@ \ud800é' })),
  'decoding of bad escapes': () => [...new URLSearchParams('a=%zz&b=%ff&c=%C3%BC&%')],
  'iteration and forEach': () => {
    const params = new URLSearchParams('a=1&b=2');
    const seen: unknown[] = [];
    params.forEach((value, key, all) => seen.push([value, key, all === params]));
    return [[...params.keys()], [...params.values()], seen];
  },
  'shape': () => [Object.prototype.toString.call(new URLSearchParams()), typeof (URLSearchParams.prototype as any)[Symbol.iterator]],
});
