// SPDX-License-Identifier: Apache-2.0
//
// The rehearsal: what the first request of nearly every Worker does. While the snapshot is made it runs on an instance of the
// built-ins that is thrown away; what it calls is in the snapshot compiled, and costs every isolate its memory instead of the
// time to compile it (src/runner/worker/make_snapshot.cc).

import type { Request } from "./web/request.ts";

declare const Response: typeof import("./web/response.ts").Response;
declare const URL: typeof import("./web/url.ts").URL;

interface Runtime {
  prepare(entries: readonly unknown[], env: unknown, flags: readonly string[], hasOutbound: boolean, date: string,
    hasTails: boolean): void;
  adopt(exports: Record<string, unknown>): string | undefined;
  dispatchFetch(invocation: number, entrypoint: string, props: unknown, method: string, url: string, block: string,
    body: number, cf: string): void;
}

async function answer(request: Request): Promise<object> {
  const url = new URL(request.url);
  if (request.method !== "GET" || request.headers.get("host") === null) return new Response(null, { status: 400 });
  Response.json({ path: url.pathname + url.search });
  return new Response(`Hello from ${url.hostname}`, { status: 200, headers: { "content-type": "text/plain" } });
}

export function rehearse(runtime: Runtime): void {
  // It would take globals away to which V8 adds when it brings the snapshot back to life.
  const { deleteProperty } = Reflect;
  Reflect.deleteProperty = () => true;
  runtime.prepare([], undefined, [], false, "2026-06-01", false);
  Reflect.deleteProperty = deleteProperty;
  runtime.adopt({ default: { fetch: answer } });
  runtime.dispatchFetch(1, "", undefined, "GET", "https://tenant.example/path?query", "host\0tenant.example\0", 0, "");
}
