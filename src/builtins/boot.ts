// SPDX-License-Identifier: Apache-2.0
//
// Boot: runs once, when the snapshot is made. Defines the globals and gives the host what it calls.
//
//   build: boot.ts ──esbuild──► one function of `ops` ──V8──► snapshot ──► every isolate of every runner

import { platformClassOf } from "./internal/web_class.ts";
import { installWebGlobals, lazyGlobal } from "./web/index.ts";
import { adoptSocketHost } from "./web/sockets_later.ts";
import { writerStopped } from "./runtime/bodies.ts";
import { callDone, callFailed, dropCall } from "./runtime/calls.ts";
import { installCloudflare } from "./runtime/cloudflare_global.ts";
import {
  adopt, cancelInvocation, dispatchFetch, dispatchFetchOn, dispatchRpc, dispatchRuntimeEvent, endInvocation,
  rejectionHandled, unhandledRejection,
} from "./runtime/dispatch.ts";
import { engineDone } from "./runtime/engine_calls.ts";
import { faultError, newDataCloneError } from "./runtime/errors.ts";
import { fetch, revive } from "./runtime/fetcher.ts";
import { prepare } from "./runtime/prepare.ts";
import { socketHost } from "./runtime/sockets/host.ts";
import { builtinModule } from "./runtime/workers_module.ts";
import { fireTimer, dropTimer } from "./runtime/timers.ts";

installWebGlobals(globalThis);
installCloudflare(globalThis);
adoptSocketHost(socketHost);
Object.defineProperty(fetch, "name", { value: "fetch", configurable: true });  // The bundler has shortened it.
Object.defineProperty(globalThis, "fetch", { value: fetch, writable: true, enumerable: true, configurable: true });

type OpenActorArguments = Parameters<ReturnType<typeof parts.actors>["openActor"]>;

// In parts.
const needCode = (request: number, source: number): void => parts.loader().needCode(request, source);
const finishAnswer = (answer: number): void => parts.rpc().finishAnswer(answer);
const reduce = (object: object, mode: number): unknown => parts.rpc().reduce(object, mode);
const releaseExport = (id: number, ended: boolean): void => parts.rpc().releaseExport(id, ended);
const openActor = (...args: OpenActorArguments): void => parts.actors().openActor(...args);
const closeActor = (actor: number, reason: string | undefined): void => parts.actors().closeActor(actor, reason);
const actorBroken = (actor: number, message: string, code: string): void => parts.actors().actorBroken(actor, message, code);
const actorSockets = (...args: Parameters<ReturnType<typeof parts.sockets>["actorSockets"]>): void =>
  parts.sockets().actorSockets(...args);
const socketTold = (actor: number, socket: number, kind: number, value: number): void =>
  parts.sockets().socketTold(actor, socket, kind, value);
const facetClosed = (parent: number, name: string): void => parts.actors().facetClosed(parent, name);
const rpcDone = (call: number, value: unknown): void => parts.rpc().rpcDone(call, value);

export {
  actorBroken, actorSockets, adopt, builtinModule, callDone, callFailed, cancelInvocation, closeActor, dispatchFetch, dispatchFetchOn, dispatchRpc,
  dispatchRuntimeEvent, dropCall, dropTimer, endInvocation, engineDone, facetClosed, faultError, finishAnswer, fireTimer, lazyGlobal, needCode,
  newDataCloneError, openActor, platformClassOf, prepare, reduce, rejectionHandled, releaseExport, revive, rpcDone, socketTold,
  unhandledRejection, writerStopped,
};
