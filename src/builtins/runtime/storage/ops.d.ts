// SPDX-License-Identifier: Apache-2.0
//
// The native calls of ctx.storage (storage_ops.cc, sql_ops.cc). `actor`: the number of an open actor of this Worker. They
// throw the contract's errors, and the reason when the actor is broken.

interface StorageOps {
  kv_get(actor: number, key: string): unknown;
  // [key, value, ...] of those that are there, each once, in the order of their bytes.
  kv_get_many(actor: number, keys: readonly string[]): unknown[];
  // `unconfirmed`: what the actor says need not wait for this write.
  kv_put(actor: number, key: string, value: unknown, unconfirmed: boolean): void;
  kv_put_many(actor: number, pairs: readonly unknown[], unconfirmed: boolean): void;
  kv_delete(actor: number, key: string, unconfirmed: boolean): boolean;
  kv_delete_many(actor: number, keys: readonly string[], unconfirmed: boolean): number;
  // [key, value, ...]; limit 0: none.
  kv_list(
    actor: number, start: string | undefined, startAfter: string | undefined, end: string | undefined,
    prefix: string | undefined, reverse: boolean, limit: number,
  ): unknown[];

  storage_delete_all(actor: number, andAlarm: boolean): void;
  storage_size(actor: number): number;
  // 0 begin, 1 keep, 2 undo a nested transaction; 3, 4, 5: the outermost one, which may last many turns.
  transaction_step(actor: number, step: number): void;
  alarm_get(actor: number): number | null;
  alarm_set(actor: number, at: number | null, unconfirmed: boolean): void;
  bookmark_now(actor: number): string;
  bookmark_at(actor: number, at: number): string;
  bookmark_restore(actor: number, bookmark: string): string;
  actor_sync(actor: number): Promise<void>;

  // told: [0] number of the cursor, 0 when it has no more rows; [1] rows read, [2] rows written so far. Returns the names
  // of the columns, which are not to be changed; undefined when there are none. Parameters: text, number, bytes, null.
  sql_exec(told: Uint32Array, actor: number, query: string, ...parameters: unknown[]): readonly string[] | undefined;
  sql_next(told: Uint32Array, cursor: number, raw: boolean): unknown;
  sql_rest(told: Uint32Array, cursor: number, raw: boolean): unknown[];
  // The cursor ends when `owner` is collected.
  sql_tie(cursor: number, owner: object): void;
  sql_drop(cursor: number): void;
}

interface RuntimeOps extends StorageOps {}
