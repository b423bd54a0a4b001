// SPDX-License-Identifier: Apache-2.0
//
// The native calls that built-ins may use. Effects are C++; the shape of the API is TypeScript. The table in
// src/runner/bindings/ implements exactly these names; a test compares the two.
//
// Arguments are already of the stated type: built-ins convert and check first. "bytes" are Uint8Array.

declare const ops: {
  // ---- URL (WHATWG, native parser). Components of the last parsed or changed URL are left in url_components:
  // [protocol_end, username_end, host_start, host_end, port (0xffffffff: none), pathname_start,
  //  search_start (0xffffffff: none), hash_start (0xffffffff: none)], offsets into the returned href.
  url_parse(input: string, base: string | undefined): string | undefined;
  url_can_parse(input: string, base: string | undefined): boolean;
  // field: 0 href, 1 protocol, 2 username, 3 password, 4 host, 5 hostname, 6 port, 7 pathname, 8 search, 9 hash.
  // Returns the new href (the old one when the value was ignored), undefined when href could not be parsed.
  url_set(href: string, field: number, value: string): string | undefined;
  readonly url_components: Uint32Array;

  // ---- Text
  utf8_encode(text: string): Uint8Array;
  // Writes whole characters; returns written bytes, and leaves the UTF-16 units read in text_result[0].
  utf8_encode_into(text: string, into: Uint8Array): number;
  readonly text_result: Uint32Array;
  // Decodes with replacement characters; with `fatal`, returns undefined on malformed input. A BOM is kept.
  utf8_decode(view: ArrayBufferView | ArrayBuffer, fatal: boolean): string | undefined;
  latin1_decode(view: ArrayBufferView | ArrayBuffer): string;
  // Bytes of a string whose code units are all below 256; undefined otherwise.
  latin1_encode(text: string): Uint8Array | undefined;

  // ---- Random (fails with the "Disallowed operation" Error in global scope; see in_invocation)
  random_fill(view: ArrayBufferView): void;
  random_uuid(): string;

  // ---- Time. Milliseconds; frozen between I/O for tenants; 0 in global scope.
  now(): number;
  performance_now(): number;
  // Fires runtime.fireTimer(id) once after `delay` ms, in the invocation that started it.
  timer_start(id: number, delay: number): void;
  timer_cancel(id: number): void;

  // ---- Invocation
  // False while the top level of modules runs.
  in_invocation(): boolean;
  // Number of the current invocation, 0 in global scope. I/O objects remember it.
  invocation(): number;
  // runtime.endInvocation(invocation) is wanted: something here is kept for it.
  keep(invocation: number): void;
  // What the code that runs next belongs to: the invocation's number, or an array of it and of what async_frame.ts adds.
  get_current(): unknown;
  set_current(value: unknown): void;

  // ---- Values
  // Structured clone within this isolate. Throws DataCloneError (DOMException) through runtime.newDataCloneError.
  structured_clone(value: unknown, transfer: ArrayBuffer[]): unknown;
  // Kind of promise without awaiting: 0 pending, 1 fulfilled, 2 rejected; -1: not a promise.
  promise_state(value: unknown): number;

  // Defines a data property whose value is runtime.lazyGlobal(name), asked for when it is first read.
  lazy_global(target: object, name: string, enumerable: boolean): void;

  // ---- Console. One line of at most 64 KiB; the host caps the sum per invocation. message: the
  // arguments as JSON, when the Worker has tails.
  log(level: "debug" | "info" | "log" | "warn" | "error", text: string, message?: string): void;

  // ---- Native bodies: bytes or a stream that the host holds, named by a number that belongs to this isolate.
  // All of the body at once if it is complete and unread; null when it is a stream. Consumes it.
  body_take_bytes(body: number): Uint8Array | null;
  body_take_text(body: number): string | null;  // UTF-8 decoded with replacement, BOM removed
  // Next chunk; undefined at the end; rejects when the stream failed. One pull at a time.
  body_pull(body: number): Promise<Uint8Array | undefined>;
  body_cancel(body: number): void;
  // A second name for a complete body (bytes are shared); 0 when it is a stream.
  body_copy(body: number): number;
};
