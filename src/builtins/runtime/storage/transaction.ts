// SPDX-License-Identifier: Apache-2.0
//
// ctx.storage.transaction(): a critical section whose writes are kept together or not at all. One inside another is a
// savepoint. What the storage itself is asked meanwhile is part of it too.

import { illegalConstructor, illegalInvocation } from "../../internal/errors.ts";
import { apply } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import { native } from "../native.ts";
import { deleteAlarm, getAlarm, setAlarm } from "./alarm.ts";
import { deleteValue, getValue, listValues, putValue } from "./key_value.ts";
import { settled, type StorageState } from "./state.ts";

// Of transaction_step(); those of an outer transaction come three later.
export const kBegin = 0;
export const kKeep = 1;
export const kUndo = 2;
const kOuter = 3;

const kName = "DurableObjectTransaction";
const kSecret = {};

type Body = (txn: object) => unknown;
let run: (state: StorageState, body: Body) => Promise<unknown>;
let use: <T>(self: unknown, method: string, call: (state: StorageState) => T) => Promise<Awaited<T>>;

class DurableObjectTransaction {
  readonly #state: StorageState;
  readonly #base: number;
  readonly #hidAlarm: boolean;
  #phase: "open" | "kept" | "undone" = "open";

  constructor(secret: object, state: StorageState) {
    if (secret !== kSecret) throw illegalConstructor();
    this.#state = state;
    this.#base = state.depth === 0 ? kOuter : 0;
    this.#hidAlarm = state.hidesAlarm;
    native.transaction_step(state.actor, this.#base + kBegin);
    state.depth++;
  }

  // Not members that a Worker could call.
  static {
    run = (state, body) => state.host.critical(async () => {
      const txn = new DurableObjectTransaction(kSecret, state);
      let result: unknown;
      try {
        result = await apply(body, globalThis, [txn]);
      } catch (error) {
        txn.#end("undone");
        throw error;
      }
      txn.#end("kept");
      return result;
    });
    use = (self, method, call) => {
      if (typeof self !== "object" || self === null || !(#state in self)) throw illegalInvocation();
      const txn = self as DurableObjectTransaction;
      return settled(() => {
        txn.#check(method);
        return call(txn.#state);
      });
    };
  }

  #end(phase: "kept" | "undone"): void {
    if (this.#phase !== "open") return;
    this.#phase = phase;
    const state = this.#state;
    state.depth--;
    if (phase === "undone") {
      state.version++;
      state.hidesAlarm = this.#hidAlarm;
    }
    native.transaction_step(state.actor, this.#base + (phase === "kept" ? kKeep : kUndo));
  }

  #check(method: string): void {
    if (this.#phase === "undone") throw new Error(`Cannot ${method}() on rolled back transaction`);
    if (this.#phase === "kept") {
      throw new Error(
        `Cannot call ${method}() on transaction that has already committed: did you move \`txn\` outside of the closure?`,
      );
    }
  }

  get(...args: unknown[]): Promise<unknown> {
    return use(this, "get", (state) => getValue(state, kName, args));
  }

  put(...args: unknown[]): Promise<void> {
    return use(this, "put", (state) => putValue(state, kName, args));
  }

  delete(...args: unknown[]): Promise<boolean | number> {
    return use(this, "delete", (state) => deleteValue(state, kName, args));
  }

  list(...args: unknown[]): Promise<Map<string, unknown>> {
    return use(this, "list", (state) => listValues(state, kName, args));
  }

  getAlarm(...args: unknown[]): Promise<number | null> {
    return use(this, "getAlarm", (state) => getAlarm(state, kName, args));
  }

  setAlarm(...args: unknown[]): Promise<void> {
    return use(this, "setAlarm", (state) => setAlarm(state, kName, args));
  }

  deleteAlarm(...args: unknown[]): Promise<void> {
    return use(this, "deleteAlarm", (state) => deleteAlarm(state, kName, args));
  }

  deleteAll(): Promise<void> {
    return settled(() => {
      throw new Error("Cannot call deleteAll() within a transaction");
    });
  }

  rollback(): void {
    if (!(#state in this)) throw illegalInvocation();
    if (this.#phase === "undone") return;
    this.#check("rollback");
    this.#end("undone");
  }
}

webClass(DurableObjectTransaction, kName);

export function runTransaction(state: StorageState, body: Body): Promise<unknown> {
  return run(state, body);
}
