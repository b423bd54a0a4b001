// SPDX-License-Identifier: Apache-2.0
//
// The events that carry data.

import { toText, toUsv } from "../internal/convert.ts";
import { illegalInvocation } from "../internal/errors.ts";
import { webClass } from "../internal/web_class.ts";
import { Event, type EventInit, type EventTarget } from "./events.ts";

// https://dom.spec.whatwg.org/#interface-customevent
export class CustomEvent<T = unknown> extends Event {
  #detail: T | null;

  constructor(type: string, init: EventInit & { detail?: T } = {}) {
    super(type, init);
    this.#detail = init?.detail ?? null;
  }

  get detail(): T | null {
    if (!(#detail in this)) throw illegalInvocation();
    return this.#detail;
  }
}

webClass(CustomEvent, "CustomEvent", (event) => ({ type: event.type, detail: event.detail }));

export interface ErrorEventInit extends EventInit {
  message?: string;
  filename?: string;
  lineno?: number;
  colno?: number;
  error?: unknown;
}

// https://html.spec.whatwg.org/multipage/webappapis.html#errorevent
export class ErrorEvent extends Event {
  #fields: Required<Omit<ErrorEventInit, keyof EventInit>>;

  constructor(type: string, init: ErrorEventInit = {}) {
    super(type, init);
    this.#fields = {
      message: init?.message === undefined ? "" : toText(init.message),
      filename: init?.filename === undefined ? "" : toUsv(init.filename),
      lineno: Number(init?.lineno ?? 0) >>> 0,
      colno: Number(init?.colno ?? 0) >>> 0,
      error: init?.error,
    };
  }

  static #of(event: ErrorEvent): Required<Omit<ErrorEventInit, keyof EventInit>> {
    if (!(#fields in event)) throw illegalInvocation();
    return event.#fields;
  }

  get message(): string { return ErrorEvent.#of(this).message; }
  get filename(): string { return ErrorEvent.#of(this).filename; }
  get lineno(): number { return ErrorEvent.#of(this).lineno; }
  get colno(): number { return ErrorEvent.#of(this).colno; }
  get error(): unknown { return ErrorEvent.#of(this).error; }
}

webClass(ErrorEvent, "ErrorEvent", (event) => ({ type: event.type, message: event.message, error: event.error }));

export interface MessageEventInit extends EventInit {
  data?: unknown;
  origin?: string;
  lastEventId?: string;
  source?: EventTarget | null;
  ports?: readonly unknown[];
}

// https://html.spec.whatwg.org/multipage/comms.html#messageevent
export class MessageEvent extends Event {
  #fields: { data: unknown; origin: string; lastEventId: string; source: EventTarget | null; ports: readonly unknown[] };

  constructor(type: string, init: MessageEventInit = {}) {
    super(type, init);
    this.#fields = {
      data: init?.data === undefined ? null : init.data,
      origin: init?.origin === undefined ? "" : toUsv(init.origin),
      lastEventId: init?.lastEventId === undefined ? "" : toText(init.lastEventId),
      source: init?.source ?? null,
      ports: Object.freeze(init?.ports === undefined ? [] : [...init.ports]),
    };
  }

  static #of(event: MessageEvent): {
    data: unknown; origin: string; lastEventId: string; source: EventTarget | null; ports: readonly unknown[];
  } {
    if (!(#fields in event)) throw illegalInvocation();
    return event.#fields;
  }

  get data(): unknown { return MessageEvent.#of(this).data; }
  get origin(): string { return MessageEvent.#of(this).origin; }
  get lastEventId(): string { return MessageEvent.#of(this).lastEventId; }
  get source(): EventTarget | null { return MessageEvent.#of(this).source; }
  get ports(): readonly unknown[] { return MessageEvent.#of(this).ports; }
}

webClass(MessageEvent, "MessageEvent", (event) => ({ type: event.type, data: event.data }));

export interface CloseEventInit extends EventInit {
  wasClean?: boolean;
  code?: number;
  reason?: string;
}

// https://websockets.spec.whatwg.org/#the-closeevent-interface
export class CloseEvent extends Event {
  #wasClean: boolean;
  #code: number;
  #reason: string;

  constructor(type: string, init: CloseEventInit = {}) {
    super(type, init);
    this.#wasClean = Boolean(init?.wasClean);
    this.#code = Number(init?.code ?? 0) & 0xffff;
    this.#reason = init?.reason === undefined ? "" : toUsv(init.reason);
  }

  get wasClean(): boolean {
    if (!(#wasClean in this)) throw illegalInvocation();
    return this.#wasClean;
  }

  get code(): number {
    if (!(#wasClean in this)) throw illegalInvocation();
    return this.#code;
  }

  get reason(): string {
    if (!(#wasClean in this)) throw illegalInvocation();
    return this.#reason;
  }
}

webClass(CloseEvent, "CloseEvent", (event) => ({
  type: event.type, wasClean: event.wasClean, code: event.code, reason: event.reason,
}));

// https://html.spec.whatwg.org/multipage/webappapis.html#promiserejectionevent
export class PromiseRejectionEvent extends Event {
  #promise: Promise<unknown>;
  #reason: unknown;

  constructor(type: string, init: EventInit & { promise: Promise<unknown>; reason?: unknown }) {
    if (init?.promise === undefined) {
      throw new TypeError("Failed to construct 'PromiseRejectionEvent': the 'promise' field is required.");
    }
    super(type, init);
    this.#promise = init.promise;
    this.#reason = init.reason;
  }

  get promise(): Promise<unknown> {
    if (!(#promise in this)) throw illegalInvocation();
    return this.#promise;
  }

  get reason(): unknown {
    if (!(#promise in this)) throw illegalInvocation();
    return this.#reason;
  }
}

webClass(PromiseRejectionEvent, "PromiseRejectionEvent", (event) => ({ type: event.type, reason: event.reason }));
