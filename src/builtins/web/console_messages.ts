// SPDX-License-Identifier: Apache-2.0
//
// What tails hear of a console line: its arguments as JSON. Objects of classes are told by their text.

import { getPrototypeOf, isArray, jsonStringify } from "../internal/intrinsics.ts";

const kPlain: object = Object.prototype;

function toData(value: unknown): unknown {
  switch (typeof value) {
    case "bigint":
    case "function":
      return String(value);
    case "symbol":
      return {};
    case "object":
      break;
    default:
      return value;
  }
  if (value === null) return null;
  const prototype: unknown = isArray(value) ? null : getPrototypeOf(value);
  const isData = prototype === null || prototype === kPlain || "toJSON" in value;
  return isData ? value : String(value);
}

export function messageOf(args: readonly unknown[]): string {
  let text = "[";
  for (let i = 0; i < args.length; i++) {
    let one: string | undefined;
    try {
      one = jsonStringify(toData(args[i])) ?? "null";
    } catch {
      one = "{}";  // It contains itself, or a getter threw.
    }
    text += i === 0 ? one : `,${one}`;
  }
  return `${text}]`;
}
