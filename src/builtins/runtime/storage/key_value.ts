// SPDX-License-Identifier: Apache-2.0
//
// Keys and values as ctx.storage and a transaction offer them: arguments as they come, results as promises. `owner` is the
// class that the contract's texts name.

import { isObject, toText } from "../../internal/convert.ts";
import { badArgument } from "../../internal/errors.ts";
import { isArray, mapSet, objectKeys, SafeMap } from "../../internal/intrinsics.ts";
import { native } from "../native.ts";
import { optionsOf, type PutOptions, rangeOf, type StorageState } from "./state.ts";

const kManyMax = 128;

function textsOf(list: readonly unknown[]): string[] {
  if (list.length > kManyMax) throw new RangeError(`Maximum number of keys is ${kManyMax}.`);
  const texts: string[] = [];
  for (let i = 0; i < list.length; i++) texts[i] = toText(list[i]);
  return texts;
}

function mapOf(pairs: readonly unknown[]): Map<string, unknown> {
  const map = new SafeMap<string, unknown>();
  for (let i = 0; i < pairs.length; i += 2) mapSet(map, pairs[i], pairs[i + 1]);
  return map;
}

function unconfirmed(value: unknown, method: string, owner: string, position: number): boolean {
  return Boolean(optionsOf<PutOptions>(value, method, owner, position, "PutOptions").allowUnconfirmed);
}

export function getValue({ actor }: StorageState, owner: string, args: readonly unknown[]): unknown {
  if (args.length === 0) throw badArgument("get", owner, 1, "string or Array");
  optionsOf(args[1], "get", owner, 2, "GetOptions");
  const key = args[0];
  if (isArray(key)) return mapOf(native.kv_get_many(actor, textsOf(key)));
  return native.kv_get(actor, toText(key));
}

export function putValue(state: StorageState, owner: string, args: readonly unknown[]): void {
  if (args.length === 0) throw badArgument("put", owner, 1, "string or object");
  const [key, value] = args;
  if (isObject(key) && !isArray(key)) {
    if (value !== undefined && !isObject(value)) {
      throw new TypeError(
        "put() may only be called with a single key-value pair and optional options as put(key, value, options) or " +
          "with multiple key-value pairs and optional options as put(entries, options)",
      );
    }
    putAll(state, key, unconfirmed(value, "put", owner, 2));
    return;
  }
  const mayLeave = unconfirmed(args[2], "put", owner, 3);
  const name = toText(key);
  if (value === undefined) throw new TypeError("put() called with undefined value.");
  native.kv_put(state.actor, name, value, mayLeave);
  state.version++;
}

function putAll(state: StorageState, entries: object, mayLeave: boolean): void {
  const pairs: unknown[] = [];
  const keys = objectKeys(entries);
  let count = 0;
  for (let i = 0; i < keys.length; i++) {
    const value = (entries as Record<string, unknown>)[keys[i]!];
    if (value === undefined) continue;
    pairs[count * 2] = keys[i];
    pairs[count * 2 + 1] = value;
    count++;
  }
  if (count > kManyMax) throw new RangeError(`Maximum number of pairs is ${kManyMax}.`);
  native.kv_put_many(state.actor, pairs, mayLeave);
  state.version++;
}

export function deleteValue(state: StorageState, owner: string, args: readonly unknown[]): boolean | number {
  if (args.length === 0) throw badArgument("delete", owner, 1, "string or Array");
  const mayLeave = unconfirmed(args[1], "delete", owner, 2);
  const key = args[0];
  state.version++;
  if (isArray(key)) return native.kv_delete_many(state.actor, textsOf(key), mayLeave);
  return native.kv_delete(state.actor, toText(key), mayLeave);
}

export function listValues({ actor }: StorageState, owner: string, args: readonly unknown[]): Map<string, unknown> {
  const { start, startAfter, end, prefix, reverse, limit } = rangeOf(args[0], owner);
  return mapOf(native.kv_list(actor, start, startAfter, end, prefix, reverse, limit));
}
