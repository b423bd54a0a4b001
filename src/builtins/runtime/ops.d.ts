// SPDX-License-Identifier: Apache-2.0
//
// The native calls that only runtime/ uses; the others are in internal/ops.d.ts. Body kinds: 0 none, 1 text, 2 bytes,
// 3 native body, 4 writer.
//
// Capabilities are handles: numbers of this isolate, each for one reference. A handle belongs to the invocation in
// which it was made (0: to the Worker, as those of env do) and is dropped when that ends; to use it in another one is the
// cross-request error.
//
// Packed values (env, props) are bytes, or a number when capabilities ride with them; a number lives until pack_drop().

type Packed = Uint8Array | number;

interface RuntimeOps {
  // Calls a target with a request. kind: 0 capability (a handle), 1 Worker of a loader (capability: the loader's number),
  // 2 the Worker's own outbound, 3 the Worker itself, 4 what an earlier call of this Worker will return (capability: that
  // call's number), 7 the supervisor, on behalf of an actor (capability: its number). Returns the number under which runtime.callDone or callFailed answers. Throws ERR_SUBREQUEST_LIMIT
  // and cross-request errors.
  call_fetch(
    kind: number, capability: number, id: string, anonymous: number, source: number, entrypoint: string,
    props: Packed | undefined, cpuMs: number, subRequests: number,
    method: string, url: string, headersBlock: string, bodyKind: number, body: unknown, cf: string, length: number,
  ): number;
  call_cancel(call: number): void;
  // Asks for a dynamic Worker to be loaded although nothing has been sent to it yet.
  preload(kind: number, capability: number, id: string, anonymous: number, source: number): void;
  respond(
    invocation: number, status: number, statusText: string, headersBlock: string, bodyKind: number, body: unknown,
    length: number,
  ): void;
  // properties: as in rpc_fail.
  fail(
    invocation: number, fault: string, name: string, message: string, stack: string, remote: boolean,
    properties: Uint8Array | undefined,
  ): void;

  // Calls a member of a target, or reads it when args is undefined. args: an array, serialised here and now (mode 1).
  // Returns the number of the call: runtime.rpcDone(call, value) or rpcFailed(...) answers. Throws DataCloneError (and what
  // reduce() throws), the 32 MiB error, ERR_SUBREQUEST_LIMIT (kinds 0 to 3 on entrypoints), ERR_RPC_LIMIT, cross-request.
  rpc_call(
    kind: number, capability: number, id: string, anonymous: number, source: number, entrypoint: string,
    props: Packed | undefined, cpuMs: number, subRequests: number, path: readonly string[], args: unknown[] | undefined,
  ): number;
  // Answers an RPC call; value is serialised (mode 1). Throws as rpc_call does, and then it is not answered yet.
  rpc_return(answer: number, value: unknown): void;
  // properties: packed data (mode 2) of what else the error has, or undefined; runtime.callFailed() gets the same bytes.
  rpc_fail(
    answer: number, fault: string, name: string, message: string, stack: string, remote: boolean,
    properties: Uint8Array | undefined,
  ): void;

  // Asks an engine of the supervisor, by what `capability` names (a handle). detail: JSON. The answer comes as
  // runtime.engineDone(call, detail, payloads) or callFailed(call, ...).
  engine_call(
    kind: number, capability: number, actor: number, operation: string, detail: string, payload: Uint8Array | undefined,
  ): number;

  // A facet as a target (kind 6, capability: the number returned): below the open actor `parent`, of a class of a loader's
  // Worker (classKind 1) or of this one (3). quotaBytes: of its database, 0 for none.
  facet_target(
    parent: number, name: string, idText: string, idName: string, classKind: number, loader: number, id: string,
    anonymous: number, source: number, className: string, props: Packed | undefined, quotaBytes: number,
  ): number;
  facet_target_drop(facet: number): void;
  // Ends an actor of this Worker now, without a clean close: what waits for it fails with this Error, what it has not
  // committed is lost. properties: as in rpc_fail.
  // dropAlarm: its alarm is over too. code: "ERR_..." when it is the runtime's own doing, or empty.
  actor_break(
    actor: number, message: string, remote: boolean, properties: Uint8Array | undefined, dropAlarm: boolean, code: string,
  ): void;
  // Ids of Durable Objects: 64 hexadecimal digits; without a name random. key: of the namespace.
  namespace_id(key: Uint8Array, name: string | undefined): string;
  namespace_check(key: Uint8Array, id: string): boolean;

  // Ends an invocation now: what it has not answered fails with this error, its handles and exports end.
  abort_invocation(
    invocation: number, fault: string, name: string, message: string, stack: string, remote: boolean,
    properties: Uint8Array | undefined,
  ): void;

  // Only while runtime.reduce() runs: what the value being serialised carries. They return the place in its list.
  payload_capability(handle: number): number;  // one more reference to what the handle names
  payload_export(exportId: number): number;    // an object of this Worker; runtime.releaseExport(exportId) says its end
  payload_entrypoint(entrypoint: string, props: Packed | undefined): number;  // of this Worker
  payload_stream(bodyKind: number, body: unknown, length: number): number;
  // Only while runtime.revive() runs: what came along, by its place. Each may be taken once.
  payload_take_capability(index: number): number;  // a handle
  payload_take_stream(index: number): number;      // a native body; 0: empty

  capability_export(exportId: number): number;  // a handle to an object of this Worker
  capability_entrypoint(entrypoint: string, props: Packed | undefined): number;  // ... and to an entrypoint of it
  capability_dup(handle: number): number;
  capability_drop(handle: number): void;
  is_proxy(value: unknown): boolean;

  // mode: 0 structured clone that is kept (plain data), 1 RPC, 2 env and props.
  pack(value: unknown, mode: number): Packed;
  pack_drop(packed: number): void;
  pack_size(packed: number): number;  // of its bytes
  provide_code(
    request: number, date: string, flags: readonly string[], mainModule: string, names: readonly string[],
    kinds: readonly number[], bodies: readonly (string | Uint8Array)[], env: Packed | undefined, blocked: boolean,
    cpuMs: number, subRequests: number,
    // Handles: where global fetch() goes (0: as blocked says), and who gets tail events.
    outbound: number, tails: readonly number[],
  ): void;
  refuse_code(request: number, fault: string, name: string, message: string): void;
  // The contract's text when a date or flag is not accepted.
  check_compatibility(date: string, flags: readonly string[], allowExperimental: boolean): string | undefined;
  wasm_bytes(module: unknown): Uint8Array | undefined;
  // Every known flag with its state at a checked date and with checked flags.
  compatibility_settings(date: string, flags: readonly string[]): Record<string, boolean>;

  // The invocation lives on after its answer until as many releases; throws when there are too many.
  hold(invocation: number): void;
  release(invocation: number, isAnswer?: boolean): void;
  hold_stream(invocation: number, isResponse: boolean): boolean;

  stream_open(invocation: number): number;
  // true: go on; false: the reader wants no more; a promise of either when the reader is behind.
  stream_write(writer: number, bytes: Uint8Array): boolean | Promise<boolean>;
  stream_end(writer: number, error: string | undefined): void;
  // What `body` gives is what `writer` would have written: both are gone for this isolate, whose invocation may end.
  stream_splice(writer: number, body: number): void;
  // A WebSocket whose messages come in `body`: the invocation lives on until the release, without a deadline, and each
  // chunk that comes gives it the Worker's CPU limit afresh.
  socket_hold(invocation: number, body: number): void;
  socket_release(invocation: number): void;
  // What an actor says to one of its hibernatable WebSockets, or about it (protocol SocketSay). kind: 0 records, 1 an
  // attachment, 2 none, and of all of them (socket 0) 3 an automatic response to `bytes`, 4 none, 5 the milliseconds that an
  // event may take (0: any).
  socket_say(
    actor: number, socket: number, kind: number, bytes: Uint8Array | undefined, more: Uint8Array | undefined,
    number: number,
  ): void;
  // One more socket of the actor has something to say and waits for its client; or one less.
  socket_wait(actor: number, waits: boolean): void;

  serialize(value: unknown): Uint8Array;
  deserialize(bytes: Uint8Array): unknown;
  report_exception(text: string): void;
  report_failure(answer: number, fault: string, text: string): void;
  // Ends the isolate: JavaScript stops at its next loop or call.
  abort_isolate(): void;
}


