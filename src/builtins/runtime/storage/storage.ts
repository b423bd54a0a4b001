// SPDX-License-Identifier: Apache-2.0
//
// ctx.storage of an actor. The native calls are done when they return, so no event can come between two of them;
// promises are there because the API has them, and for sync().

import { toText } from "../../internal/convert.ts";
import { badArgument, illegalConstructor, illegalInvocation } from "../../internal/errors.ts";
import { apply, defineProperty, promiseReject } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import { native } from "../native.ts";
import { isEnabled } from "../settings.ts";
import { deleteAlarm, getAlarm, setAlarm, timeOf } from "./alarm.ts";
import { deleteValue, getValue, listValues, putValue } from "./key_value.ts";
import { makeSql } from "./sql.ts";
import { optionsOf, settled, type StorageHost, type StorageState } from "./state.ts";
import { makeSyncKv } from "./sync_kv.ts";
import { kBegin, kKeep, kUndo, runTransaction } from "./transaction.ts";

export type { StorageHost } from "./state.ts";

const kName = "DurableObjectStorage";
const kSecret = {};

let stateOf: (value: unknown) => StorageState;

export class DurableObjectStorage {
  readonly #state: StorageState;

  // Not a member that a Worker could call.
  static {
    stateOf = (value) => {
      if (typeof value !== "object" || value === null || !(#state in value)) throw illegalInvocation();
      return (value as DurableObjectStorage).#state;
    };
  }

  constructor(secret: object, state: StorageState) {
    if (secret !== kSecret) throw illegalConstructor();
    this.#state = state;
    const own = { writable: true, enumerable: true, configurable: true };
    defineProperty(this, "kv", { value: makeSyncKv(state), ...own });
    defineProperty(this, "sql", { value: makeSql(state), ...own });
  }

  get(...args: unknown[]): Promise<unknown> {
    const state = stateOf(this);
    return settled(() => getValue(state, kName, args));
  }

  put(...args: unknown[]): Promise<void> {
    const state = stateOf(this);
    return settled(() => putValue(state, kName, args));
  }

  delete(...args: unknown[]): Promise<boolean | number> {
    const state = stateOf(this);
    return settled(() => deleteValue(state, kName, args));
  }

  list(...args: unknown[]): Promise<Map<string, unknown>> {
    const state = stateOf(this);
    return settled(() => listValues(state, kName, args));
  }

  deleteAll(...args: unknown[]): Promise<void> {
    const state = stateOf(this);
    return settled(() => {
      optionsOf(args[0], "deleteAll", kName, 1, "PutOptions");
      const andAlarm = isEnabled("delete_all_deletes_alarm", "delete_all_preserves_alarm", "2026-02-24");
      native.storage_delete_all(state.actor, andAlarm);
      state.version++;
      if (andAlarm) state.hidesAlarm = false;
      state.host.deleteFacets();
    });
  }

  getAlarm(...args: unknown[]): Promise<number | null> {
    const state = stateOf(this);
    return settled(() => getAlarm(state, kName, args));
  }

  setAlarm(...args: unknown[]): Promise<void> {
    const state = stateOf(this);
    return settled(() => setAlarm(state, kName, args));
  }

  deleteAlarm(...args: unknown[]): Promise<void> {
    const state = stateOf(this);
    return settled(() => deleteAlarm(state, kName, args));
  }

  sync(): Promise<void> {
    return native.actor_sync(stateOf(this).actor);
  }

  transaction(...args: unknown[]): Promise<unknown> {
    const state = stateOf(this);
    const body = args[0];
    if (typeof body !== "function") return promiseReject(badArgument("transaction", kName, 1, "function"));
    return runTransaction(state, body as (txn: object) => unknown);
  }

  transactionSync(...args: unknown[]): unknown {
    const state = stateOf(this);
    const body = args[0];
    if (typeof body !== "function") throw badArgument("transactionSync", kName, 1, "function");
    const { actor, hidesAlarm } = state;
    native.transaction_step(actor, kBegin);
    let result: unknown;
    try {
      result = apply(body as () => unknown, globalThis, []);
    } catch (error) {
      state.version++;
      state.hidesAlarm = hidesAlarm;
      native.transaction_step(actor, kUndo);
      throw error;
    }
    native.transaction_step(actor, kKeep);
    return result;
  }

  getCurrentBookmark(): Promise<string> {
    const state = stateOf(this);
    return settled(() => native.bookmark_now(state.actor));
  }

  getBookmarkForTime(...args: unknown[]): Promise<string> {
    const state = stateOf(this);
    return settled(() => native.bookmark_at(state.actor, timeOf(args[0], "getBookmarkForTime", kName)));
  }

  onNextSessionRestoreBookmark(...args: unknown[]): Promise<string> {
    const state = stateOf(this);
    return settled(() => {
      if (args.length === 0) throw badArgument("onNextSessionRestoreBookmark", kName, 1, "string");
      return native.bookmark_restore(state.actor, toText(args[0]));
    });
  }
}

webClass(DurableObjectStorage, kName);

// ---- For the rest of the actor

export function makeStorage(actor: number, host: StorageHost): DurableObjectStorage {
  return new DurableObjectStorage(kSecret, { actor, host, version: 0, hidesAlarm: false, depth: 0 });
}

// The alarm's time in the database, whatever runs.
export function ownAlarm(storage: DurableObjectStorage): number | null {
  return native.alarm_get(stateOf(storage).actor);
}

export function alarmBegins(storage: DurableObjectStorage): void {
  stateOf(storage).hidesAlarm = true;
}

// `isOver`: it has succeeded, or is not tried again.
export function alarmEnds(storage: DurableObjectStorage, isOver: boolean): void {
  const state = stateOf(storage);
  if (!state.hidesAlarm) return;
  state.hidesAlarm = false;
  if (isOver) native.alarm_set(state.actor, null, false);
}
