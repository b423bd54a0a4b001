// SPDX-License-Identifier: Apache-2.0
//
// A tenant that tries to reach what is not its own: the supervisor's database, those of others, the network. Each line of
// its page is one attempt and what came of it.
import { DurableObject } from 'cloudflare:workers';

export class App extends DurableObject {
  async fetch() {
    const { storage, facets, exports, id } = this.ctx;
    const sql = (text) => storage.sql.exec(text).toArray();
    storage.kv.put('mine', 1);
    const attempts = {
      "the supervisor's table": () => sql('SELECT source FROM versions'),
      'a database by its path': () => sql(`ATTACH '${id}.sqlite' AS parent`),
      'a copy of mine elsewhere': () => sql("VACUUM INTO '/tmp/copy.sqlite'"),
      'a library into SQLite': () => sql("SELECT load_extension('/lib/x86_64-linux-gnu/libc.so.6')"),
      'a temporary file': () => sql('CREATE TEMP TABLE t (x)'),
      'the tables of the runtime': () => sql('SELECT * FROM _cf_KV'),
      'a facet that climbs': async () => {
        const climber = facets.get('../app', () => ({ class: exports.Thief }));
        return `found ${JSON.stringify(await climber.keys())}`;
      },
      'bindings of the platform': () => `found ${JSON.stringify(Object.keys(this.env))}`,
      'classes of the platform': () => `found ${JSON.stringify(Object.keys(exports))}`,
      'its network': () => fetch('http://127.0.0.1/'),
    };
    let page = '';
    for (const [what, attempt] of Object.entries(attempts)) {
      const outcome = await Promise.resolve().then(attempt).catch((error) => error.message);
      page += `${what}: ${typeof outcome === 'string' ? outcome : 'REACHED'}\n`;
    }
    return new Response(page);
  }
}

export class Thief extends DurableObject {
  keys() {
    return [...this.ctx.storage.kv.list()].map(([key]) => key);
  }
}
