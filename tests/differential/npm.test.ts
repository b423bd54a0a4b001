// SPDX-License-Identifier: Apache-2.0
//
// A library that people use, bundled as they bundle it.
import { bundle } from '../support/bundle.ts';
import { sameWorker } from '../support/differential.ts';

sameWorker('Hono: routes, middleware, bodies, cookies, streams', {
  source: bundle(`
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { getCookie, setCookie } from 'hono/cookie';
import { stream } from 'hono/streaming';
import { HTTPException } from 'hono/http-exception';
const app = new Hono();
app.use('/cors/*', cors({ origin: 'https://a.example' }));
app.use('*', async (c, next) => { await next(); c.header('x-after', 'yes'); });
app.get('/', (c) => c.text('home'));
app.get('/users/:id{[0-9]+}', (c) => c.json({ id: c.req.param('id'), q: c.req.query('q'), all: c.req.queries('t') }));
app.post('/json', async (c) => c.json({ got: await c.req.json() }, 201));
app.post('/form', async (c) => c.json(await c.req.parseBody()));
app.get('/cookie', (c) => { setCookie(c, 'seen', 'now', { path: '/', httpOnly: true }); return c.text(getCookie(c, 'name') ?? 'none'); });
app.get('/cors/x', (c) => c.text('cors'));
app.get('/html', (c) => c.html('<p>h\\u00e9</p>'));
app.get('/redirect', (c) => c.redirect('/elsewhere', 308));
app.get('/stream', (c) => stream(c, async (s) => { for (let i = 0; i < 5; i++) await s.write('part ' + i + ';'); }));
app.get('/throw', () => { throw new HTTPException(418, { message: 'teapot' }); });
app.get('/env', (c) => c.json(c.env));
app.onError((error, c) => (error instanceof HTTPException ? error.getResponse() : c.text('caught ' + error.message, 500)));
app.get('/error', () => { throw new Error('plain'); });
app.notFound((c) => c.text('nothing at ' + c.req.path, 404));
export default app;
`),
  vars: { NAME: 'value' },
}, [
  {}, { path: '/users/42?q=a%20b&t=1&t=2' }, { path: '/users/abc' }, { path: '/html' }, { path: '/env' }, { path: '/redirect' }, { path: '/stream' },
  { path: '/json', method: 'POST', body: '{"a":[1,"\u00fc"]}', headers: { 'content-type': 'application/json' } },
  { path: '/json', method: 'POST', body: '{bad', headers: { 'content-type': 'application/json' } },
  { path: '/form', method: 'POST', body: 'a=1&b=%C3%BC', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
  { path: '/cookie', headers: { cookie: 'name=hono; other=1' } }, { path: '/cors/x', headers: { origin: 'https://a.example' } },
  { path: '/cors/x', method: 'OPTIONS', headers: { origin: 'https://a.example', 'access-control-request-method': 'PUT' } },
  { path: '/throw' }, { path: '/error' }, { path: '/none' }, { path: '/', method: 'HEAD' },
]);
