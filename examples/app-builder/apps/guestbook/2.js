// SPDX-License-Identifier: Apache-2.0
//
// The guest book, version 2: entries can be searched. It finds the entries of version 1 and builds its index of them.
import { DurableObject } from 'cloudflare:workers';

export class App extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec('CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, text TEXT NOT NULL)');
    if (this.sql.exec("SELECT 1 FROM sqlite_schema WHERE name = 'words'").toArray().length === 0) {
      this.sql.exec('CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words (rowid, text) SELECT id, text FROM entries');
    }
  }

  async fetch(request) {
    if (request.method === 'POST') {
      const text = await request.text();
      const { id } = this.sql.exec('INSERT INTO entries (text) VALUES (?) RETURNING id', text).one();
      this.sql.exec('INSERT INTO words (rowid, text) VALUES (?, ?)', id, text);
      return new Response(`Thank you, visitor ${id}.\n`, { status: 201 });
    }
    const wanted = new URL(request.url).searchParams.get('search');
    const entries = wanted === null
      ? this.sql.exec('SELECT id, text FROM entries ORDER BY id')
      : this.sql.exec('SELECT rowid AS id, text FROM words WHERE words MATCH ? ORDER BY rowid', wanted);
    return new Response([...entries].map(({ id, text }) => `${id}. ${text}\n`).join(''));
  }
}
