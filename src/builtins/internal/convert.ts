// SPDX-License-Identifier: Apache-2.0
//
// Conversions of Web IDL that more than one class needs.

import { isWellFormed, toWellFormed } from "./intrinsics.ts";

// DOMString. A symbol throws the engine's TypeError.
export function toText(value: unknown): string {
  return typeof value === "string" ? value : `${value as string}`;
}

// USVString: lone surrogates become U+FFFD.
export function toUsv(value: unknown): string {
  const text = typeof value === "string" ? value : `${value as string}`;
  return isWellFormed(text) ? text : toWellFormed(text);
}

export function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
