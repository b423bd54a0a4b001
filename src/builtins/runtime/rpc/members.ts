// SPDX-License-Identifier: Apache-2.0
//
// Which members of an object others can reach (spec/rpc.md section 2), and the way along a path of names.

import { isObject } from "../../internal/convert.ts";
import { getPrototypeOf, hasOwn, join } from "../../internal/intrinsics.ts";
import { isFetcher } from "../fetcher.ts";
import { native } from "../native.ts";
import { internalsOf } from "./stubs.ts";
import { RpcTarget } from "./classes.ts";

// entrypoint: an instance of an entrypoint class; handlers: an exported object; far: a stub, whose members are elsewhere.
export type Kind = "entrypoint" | "handlers" | "target" | "plain" | "function" | "far" | "none";

export interface Member {
  holder: object;
  value: unknown;
  // Set when the way ends at a stub: what is left of the path, to be sent on.
  rest: readonly string[] | null;
}

const objectPrototype = Object.prototype as unknown as Record<string, unknown>;
const isPrototypeOf = Object.prototype.isPrototypeOf;

export function isTarget(value: object): boolean {
  return Reflect.apply(isPrototypeOf, RpcTarget.prototype, [value]);
}

export function isFar(value: object): boolean {
  return isFetcher(value) || (typeof value === "function" && native.is_proxy(value) && internalsOf(value) !== undefined);
}

export function kindOf(value: unknown): Kind {
  if (!isObject(value)) return "none";
  if (isFar(value)) return "far";
  if (typeof value === "function") return "function";
  if (getPrototypeOf(value) === objectPrototype) return "plain";
  return isTarget(value) ? "target" : "none";
}

export function notImplemented(name: string): TypeError {
  return new TypeError(`The RPC receiver does not implement the method "${name}".`);
}

export function notAFunction(path: readonly string[]): TypeError {
  return new TypeError(`"${path.length === 0 ? "(this)" : join(path, ".")}" is not a function.`);
}

function isReserved(kind: Kind, name: string): boolean {
  switch (name) {
    case "dup":
      return true;
    case "constructor":
      return kind === "entrypoint" || kind === "handlers" || kind === "target";
    case "alarm":
    case "webSocketMessage":
    case "webSocketClose":
    case "webSocketError":
      return kind === "entrypoint" || kind === "handlers";
    default:
      return false;
  }
}

function memberOf(object: object, kind: Kind, name: string): unknown {
  if (isReserved(kind, name)) {
    throw new TypeError(`'${name}' is a reserved method and cannot be called over RPC.`);
  }
  switch (kind) {
    case "entrypoint":
    case "target":
      if (hasOwn(object, name)) throw notImplemented(name);
      break;
    case "function":
      if (!hasOwn(object, name)) throw notImplemented(name);
      break;
    case "none":
    case "far":
      throw notImplemented(name);
    default:
  }
  const value = (object as Record<string, unknown>)[name];
  if (value === undefined || (value === objectPrototype[name] && !hasOwn(object, name))) throw notImplemented(name);
  return value;
}

// Follows a path from an object. Throws when a name on the way cannot be reached.
export function follow(start: unknown, startKind: Kind, path: readonly string[]): Member {
  let holder: object = start as object;
  let value: unknown = start;
  let kind = startKind;
  for (let i = 0; i < path.length; i++) {
    if (kind === "far") return { holder, value, rest: path.slice(i) };
    const name = path[i]!;
    holder = value as object;
    value = memberOf(holder, kind, name);
    if (i + 1 < path.length) {
      kind = kindOf(value);
      if (kind === "none") throw notImplemented(name);
    }
  }
  return { holder, value, rest: isObject(value) && isFar(value) ? [] : null };
}
