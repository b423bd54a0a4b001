// SPDX-License-Identifier: Apache-2.0
//
// The part "rpc": all that calls need. Made when a Worker first calls, is called, or sends or receives more than data.

export { describeThrown, errorOfCall, pack as packDetail } from "./error_values.ts";
export { disposePromise, disposeStub, dupStub, isStub, onPromiseBroken, onStubBroken, promiseOf } from "./stubs.ts";
export { gateOfExport, releaseExport } from "./exported.ts";
export { memberOf } from "./far.ts";
export { stubOf } from "./held.ts";
export { packedSize, packKept } from "./packed.ts";
export { dropRpcCall, failCall, failedCall, newPending, rpcDone, rpcFailed, sendAs, sendCall } from "./pending.ts";
export {
  abortInvocation, answerWith, callEntrypoint, callExport, callMember, callResult, callValue, finishAnswer, gateOfAnswer,
} from "./receiver.ts";
export { reduce, revive } from "./values.ts";
