// SPDX-License-Identifier: Apache-2.0
//
// Boot: runs once, when the snapshot is made. Defines the globals and gives the host what it calls.
//
//   build: boot.ts ──esbuild──► one function of `ops` ──V8──► snapshot ──► every isolate of every runner

import { platformClassOf } from "./internal/web_class.ts";
import { installWebGlobals, lazyGlobal } from "./web/index.ts";
import { callDone, callFailed, dropCall } from "./runtime/calls.ts";
import { installCloudflare } from "./runtime/cloudflare_global.ts";
import {
  adopt, cancelInvocation, dispatchFetch, endInvocation, rejectionHandled, unhandledRejection,
} from "./runtime/dispatch.ts";
import { faultError, newDataCloneError } from "./runtime/errors.ts";
import { fetch } from "./runtime/fetcher.ts";
import { needCode } from "./runtime/loader.ts";
import { prepare } from "./runtime/prepare.ts";
import { builtinModule } from "./runtime/workers_module.ts";
import { fireTimer, dropTimer } from "./runtime/timers.ts";

installWebGlobals(globalThis);
installCloudflare(globalThis);
Object.defineProperty(fetch, "name", { value: "fetch", configurable: true });  // The bundler has shortened it.
Object.defineProperty(globalThis, "fetch", { value: fetch, writable: true, enumerable: true, configurable: true });

export {
  adopt, builtinModule, callDone, callFailed, cancelInvocation, dispatchFetch, dropCall, dropTimer, endInvocation,
  faultError, fireTimer, lazyGlobal, needCode, newDataCloneError, platformClassOf, prepare, rejectionHandled, unhandledRejection,
};
