// SPDX-License-Identifier: Apache-2.0
//
// A tenant's app: a guest book. It does not know that it is a facet, nor whose.
import { DurableObject } from 'cloudflare:workers';

export class App extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec('CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, text TEXT NOT NULL)');
  }

  async fetch(request) {
    if (request.method === 'POST') {
      this.sql.exec('INSERT INTO entries (text) VALUES (?)', await request.text());
      return new Response('Thank you.\n', { status: 201 });
    }
    if (request.method === 'DELETE') this.sql.exec('DELETE FROM entries WHERE length(text) > 1000');
    const entries = this.sql.exec('SELECT id, substr(text, 1, 40) AS text FROM entries ORDER BY id');
    return new Response([...entries].map(({ id, text }) => `${id}. ${text}\n`).join(''));
  }
}
