// SPDX-License-Identifier: Apache-2.0
//
// What the classes of ctx.storage share: the actor that they belong to, and how their calls fail.

import { badArgument } from "../../internal/errors.ts";
import { toText } from "../../internal/convert.ts";
import { promiseReject, promiseResolve, trunc } from "../../internal/intrinsics.ts";

// The rest of an actor, for its storage.
export interface StorageHost {
  hasAlarm(): boolean;
  // A critical section: what is not part of it waits. Its failure is nobody's but the caller's.
  critical<T>(run: () => Promise<T>): Promise<T>;
  deleteFacets(): void;
}

export interface StorageState {
  readonly actor: number;
  readonly host: StorageHost;
  version: number;      // changes with the keys: what was read ahead is stale then
  hidesAlarm: boolean;  // its handler runs, and nobody has set it anew
  depth: number;        // of transaction()
}

// Everything is done when the call returns; the promise is the API's.
export function settled<T>(run: () => T): Promise<Awaited<T>> {
  try {
    return promiseResolve(run());
  } catch (error) {
    return promiseReject(error);
  }
}

// An object of options, of which each member may be missing.
export function optionsOf<T extends object>(
  value: unknown, method: string, owner: string, position: number, type: string,
): Partial<T> {
  if (value === undefined || value === null) return kNone;
  if (typeof value !== "object" && typeof value !== "function") throw badArgument(method, owner, position, type);
  return value as Partial<T>;
}
const kNone = { __proto__: null } as object;

export interface PutOptions {
  allowConcurrency: unknown;
  allowUnconfirmed: unknown;
  noCache: unknown;
}

interface ListOptions {
  start: unknown;
  startAfter: unknown;
  end: unknown;
  prefix: unknown;
  reverse: unknown;
  limit: unknown;
}

export interface Range {
  start: string | undefined;
  startAfter: string | undefined;
  end: string | undefined;
  prefix: string | undefined;
  reverse: boolean;
  limit: number;  // 0: none
}

function optionalText(value: unknown): string | undefined {
  return value === undefined ? undefined : toText(value);
}

function numberOf(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!(number > -Infinity && number < Infinity)) return 0;
  if (number < -2147483648 || number > 2147483647) {
    throw new TypeError("Value out of range. Must be between -2147483648 and 2147483647 (inclusive).");
  }
  return trunc(number);
}

export function rangeOf(value: unknown, owner: string): Range {
  const options = optionsOf<ListOptions>(value, "list", owner, 1, "ListOptions");
  const start = optionalText(options.start);
  const startAfter = optionalText(options.startAfter);
  const end = optionalText(options.end);
  const prefix = optionalText(options.prefix);
  const reverse = Boolean(options.reverse);
  const limit = numberOf(options.limit);
  if (start !== undefined && startAfter !== undefined) {
    throw new TypeError("list() cannot be called with both start and startAfter values.");
  }
  if (limit !== undefined && limit <= 0) throw new TypeError("List limit must be positive.");
  return { start, startAfter, end, prefix, reverse, limit: limit ?? 0 };
}
