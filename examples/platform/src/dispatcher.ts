// SPDX-License-Identifier: Apache-2.0
//
// Dispatcher: runs the code of the tenant that a request names, by host (acme.localhost:8787/) or by the first part of
// the path (localhost:8787/acme/). Editing tenants/<tenant>/index.js is a deploy: the ETag is part of the id.
interface Env {
  LOADER: WorkerLoader;
  ASSETS: Fetcher;
}

const usage = "A tenant, please: /acme/, /hono/ or /spin/, or http://acme.localhost:8787/\n";

function routeOf(url: URL): { tenant: string; path: string } {
  if (url.hostname.endsWith(".localhost")) return { tenant: url.hostname.split(".")[0], path: url.pathname };
  const [, tenant, ...rest] = url.pathname.split("/");
  return { tenant, path: `/${rest.join("/")}` };
}

async function runTenant(tenant: string, request: Request, env: Env): Promise<Response> {
  const file = `http://assets/${tenant}/index.js`;
  const head = await env.ASSETS.fetch(file, { method: "HEAD" });
  if (!head.ok) return new Response(`There is no tenant "${tenant}".\n`, { status: 404 });
  const worker = env.LOADER.get(`${tenant}:${head.headers.get("etag")}`, async () => ({
    compatibilityDate: "2026-11-01",
    mainModule: "index.js",
    modules: { "index.js": await (await env.ASSETS.fetch(file)).text() },
    env: { TENANT: tenant },
    globalOutbound: null, // no network; what a tenant may reach is what `env` gives it
    limits: { cpuMs: 200 },
  }));
  return worker.getEntrypoint().fetch(request);
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    const { tenant, path } = routeOf(url);
    if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(tenant)) return new Response(usage, { status: 404 });
    url.pathname = path;
    try {
      const response = await runTenant(tenant, new Request(url, request), env);
      console.log(`${tenant}: ${request.method} ${path} -> ${response.status}`);
      return response;
    } catch (error) {
      // With a code it is the runtime's word (docs/errors), without one the tenant's own error, which is not for clients.
      const { code, message } = error as Error & { code?: string };
      console.warn(`${tenant}: ${request.method} ${path} failed: ${message}`);
      if (code === undefined) return new Response("The tenant's code threw an error.\n", { status: 500 });
      return new Response(`${code}: ${message}\n`, { status: 503 });
    }
  },
};
