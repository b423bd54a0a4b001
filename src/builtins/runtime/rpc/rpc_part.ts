// SPDX-License-Identifier: Apache-2.0
//
// The part "rpc": all that calls need. Made when a Worker first calls, is called, or sends or receives more than data.

export { describeThrown, errorOfCall } from "./error_values.ts";
export { disposePromise, disposeStub, dupStub, isStub, promiseOf } from "./stubs.ts";
export { releaseExport } from "./exported.ts";
export { memberOf } from "./far.ts";
export { stubOf } from "./held.ts";
export { packedSize, packKept } from "./packed.ts";
export { dropRpcCall, rpcDone, rpcFailed } from "./pending.ts";
export { abortInvocation, answerWith, callEntrypoint, callExport, callResult, finishAnswer } from "./receiver.ts";
export { reduce, revive } from "./values.ts";
