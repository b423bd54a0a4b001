// SPDX-License-Identifier: Apache-2.0
//
// Boot: runs once, when the snapshot is made. Defines the globals and gives the host what it calls.
//
//   build: boot.ts ──esbuild──► one function of `ops` ──V8──► snapshot ──► every isolate of every runner

import { installWebGlobals } from "./web/index.ts";
import { callDone, callFailed, dropCall } from "./runtime/calls.ts";
import { adopt, cancelInvocation, dispatchFetch, endInvocation, unhandledRejection } from "./runtime/dispatch.ts";
import { faultError, newDataCloneError } from "./runtime/errors.ts";
import { Fetcher, fetch } from "./runtime/fetcher.ts";
import { needCode } from "./runtime/loader.ts";
import { prepare } from "./runtime/prepare.ts";
import { builtinModule } from "./runtime/workers_module.ts";
import { fireTimer, dropTimer } from "./runtime/timers.ts";

installWebGlobals(globalThis);
for (const [name, value] of Object.entries({ fetch })) {
  Object.defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true });
}
for (const [name, value] of Object.entries({ Fetcher })) {
  Object.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
}

export {
  adopt, builtinModule, callDone, callFailed, cancelInvocation, dispatchFetch, dropCall, dropTimer, endInvocation,
  faultError, fireTimer, needCode, newDataCloneError, prepare, unhandledRejection,
};
