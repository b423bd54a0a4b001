// SPDX-License-Identifier: Apache-2.0
//
// A platform on which tenants build small apps with a database of their own.
//
//   GET, POST ... /APP/...    the app's own pages
//   PUT    /-/APP             deploys the code that the body names, such as guestbook/1.js; data stays
//   GET    /-/APP             what the app has used
//   DELETE /-/APP             empties the app
//
// Whoever may use /-/ is the platform's business; a real one asks for a token here.
import { Supervisor } from './supervisor';

export { Supervisor };

interface Env {
  APPS: DurableObjectNamespace<Supervisor>;
  ASSETS: Fetcher;
}

const text = (body: string, status = 200): Response => new Response(`${body}\n`, { status });

async function manage(app: DurableObjectStub<Supervisor>, request: Request, env: Env): Promise<Response> {
  switch (request.method) {
    case 'PUT': {
      const path = (await request.text()).trim();
      const code = await env.ASSETS.fetch(`https://assets.local/${path}`);
      if (!code.ok) return text(`There is no apps/${path}.`, 404);
      return text(`Deployed ${path} as version ${await app.deploy(await code.text())}.`);
    }
    case 'GET': return Response.json(await app.usage());
    case 'DELETE': await app.reset(); return text('The app is empty.');
    default: return text('PUT, GET or DELETE, please.', 405);
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const [, isManaged, name, path] = /^(\/-)?\/([a-z0-9]{1,40})(\/.*)?$/.exec(url.pathname) ?? [];
    if (name === undefined) return text('An app, please: /NAME/', 404);
    const app = env.APPS.getByName(name);
    if (isManaged !== undefined) return manage(app, request, env);
    url.pathname = path ?? '/';
    return app.fetch(new Request(url, request));
  },
};
