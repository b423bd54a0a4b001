// SPDX-License-Identifier: Apache-2.0
//
// What becomes of an exception that nobody can catch: it is logged, and the isolate lives on.

export function reportException(error: unknown): void {
  ops.log("error", `Uncaught ${parts.console().inspect(error)}`);
}
