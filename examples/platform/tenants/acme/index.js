// Tenant "acme": a plain Worker. Change the greeting, save, ask again: that was a deploy.
let requests = 0;

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/network") {
      try {
        await fetch("https://example.com/");
      } catch (error) {
        return new Response(`${error.message}\n`, { status: 403 });
      }
    }
    if (request.method === "POST") return new Response(request.body, { headers: { "content-type": "text/plain" } });
    requests += 1;
    return new Response(`Hello from ${env.TENANT}, path ${pathname}, request ${requests} of this isolate.\n`);
  },
};
