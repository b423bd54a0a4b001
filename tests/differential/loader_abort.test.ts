// SPDX-License-Identifier: Apache-2.0
//
// The Worker Loader: an isolate that gives itself up.
import { probes } from '../support/differential.ts';

const setup = { loaders: [{ binding: 'LOADER' }] };

probes('loader: abortIsolate', {
  'ends the isolate, and the next use starts afresh': async ({ env, code, ask, caught }) => {
    let loads = 0;
    const get = () => env.LOADER.get('aborts', () => { loads++; return code(`import { abortIsolate } from 'cloudflare:workers'; let n = 0;
      export default { fetch(request) { n++; if (request.url.endsWith('/abort')) abortIsolate('enough'); return new Response(String(n)); } }`); });
    const before = [await ask(get()), await ask(get())];
    const error: any = await caught(() => ask(get(), 'http://t/abort'));
    return [before, error instanceof Error, error.message.includes('enough'), await ask(get()), loads];
  },
}, setup);
