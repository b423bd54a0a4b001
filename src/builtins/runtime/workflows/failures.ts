// SPDX-License-Identifier: Apache-2.0
//
// Errors of steps and runs: as bytes for the journal, and back.

import { isObject } from "../../internal/convert.ts";
import { describe, errorFromHost } from "../errors.ts";

export interface Failure {
  name: string;
  message: string;
  thrown: Uint8Array | undefined;  // what name and message do not say
}

export function failureOf(thrown: unknown): Failure {
  const { name, message } = describe(thrown);
  const { detail } = parts.rpc().describeThrown(thrown, name, message);
  return { name, message, thrown: detail };
}

// The error again, as somebody may catch it: what is thrown comes from the engine, so from elsewhere.
export function errorOfFailure(name: string, message: string, thrown: Uint8Array | undefined, above: unknown): unknown {
  return parts.rpc().errorOfCall("", name, message, true, thrown, above);
}

// An error that the engine has given as the result of an operation.
export function refusalOf(error: unknown): Error {
  const { name, message } = isObject(error) ? (error as { name?: unknown; message?: unknown }) : {};
  return errorFromHost("", typeof name === "string" ? name : "Error", typeof message === "string" ? message : "", true);
}
