// SPDX-License-Identifier: Apache-2.0
//
// The native calls that only runtime/ uses; the others are in internal/ops.d.ts. `Props` and other values cross as
// serialised bytes. Body kinds: 0 none, 1 text, 2 bytes, 3 native body, 4 writer.

interface RuntimeOps {
  // Calls a target with a request. kind: 0 capability, 1 Worker of a loader, 2 the Worker's own outbound, 3 the Worker
  // itself. Returns the
  // number under which runtime.callDone or callFailed answers. Throws ERR_SUBREQUEST_LIMIT and cross-request errors.
  call_fetch(
    kind: number, capability: number, id: string, anonymous: number, source: number, entrypoint: string,
    props: Uint8Array | undefined, cpuMs: number, subRequests: number,
    method: string, url: string, headersBlock: string, bodyKind: number, body: unknown, cf: string, length: number,
  ): number;
  call_cancel(call: number): void;
  // Asks for a dynamic Worker to be loaded although nothing has been sent to it yet.
  preload(kind: number, capability: number, id: string, anonymous: number, source: number): void;
  respond(
    invocation: number, status: number, statusText: string, headersBlock: string, bodyKind: number, body: unknown,
    length: number,
  ): void;
  fail(invocation: number, fault: string, name: string, message: string, stack: string, remote: boolean): void;
  provide_code(
    request: number, date: string, flags: readonly string[], mainModule: string, names: readonly string[],
    kinds: readonly number[], bodies: readonly (string | Uint8Array)[], env: Uint8Array | undefined, blocked: boolean,
    cpuMs: number, subRequests: number,
  ): void;
  refuse_code(request: number, fault: string, name: string, message: string): void;
  // The contract's text when a date or flag is not accepted.
  check_compatibility(date: string, flags: readonly string[], allowExperimental: boolean): string | undefined;
  wasm_bytes(module: unknown): Uint8Array | undefined;
  // Every known flag with its state at a checked date and with checked flags.
  compatibility_settings(date: string, flags: readonly string[]): Record<string, boolean>;

  // The invocation lives on after its answer until as many releases; throws when there are too many.
  hold(invocation: number): void;
  release(invocation: number): void;

  stream_open(invocation: number): number;
  // true: go on; false: the reader wants no more; a promise of either when the reader is behind.
  stream_write(writer: number, bytes: Uint8Array): boolean | Promise<boolean>;
  stream_end(writer: number, error: string | undefined): void;

  serialize(value: unknown): Uint8Array;
  deserialize(bytes: Uint8Array): unknown;
  report_exception(text: string): void;
}


