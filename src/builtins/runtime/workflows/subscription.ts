// SPDX-License-Identifier: Apache-2.0
//
// WorkflowSubscription: the events of an instance, past ones first, as an iteration that ends with the instance.

import { isObject } from "../../internal/convert.ts";
import { badArgument, illegalConstructor } from "../../internal/errors.ts";
import { defineProperty, isArray, objectKeys } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import type { EngineAnswer } from "../engine_calls.ts";
import { unpack } from "./values.ts";

type Event = Record<string, unknown>;
type Read = (cursor: number) => Promise<EngineAnswer>;

const token = Symbol("WorkflowSubscription");

export class WorkflowSubscription {
  readonly #read: Read;
  readonly #filter: readonly unknown[] | null;
  #cursor: number;
  #events: Event[] = [];
  #isAtEnd = false;
  #isDisposed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(secret: unknown = undefined, read: unknown = undefined, cursor: unknown = undefined, filter: unknown = null) {
    if (secret !== token) throw illegalConstructor();
    this.#read = read as Read;
    this.#cursor = cursor as number;
    this.#filter = filter as readonly unknown[] | null;
    // Symbol.dispose is there when the snapshot has come to life, and so not at the top of this module's class.
    defineProperty(this, Symbol.dispose, { value: () => this.#dispose(), writable: true, configurable: true });
  }

  // One after the other, in the order of the calls.
  next(): Promise<{ value: unknown; done: boolean }> {
    const next = this.#last.then(() => this.#next());
    this.#last = next.catch(() => undefined);
    return next;
  }

  #dispose(): void {
    this.#isDisposed = true;
    this.#events = [];
  }

  async #next(): Promise<{ value: unknown; done: boolean }> {
    for (;;) {
      if (this.#isDisposed) return { value: undefined, done: true };
      const event = this.#events.shift();
      if (event !== undefined) return { value: event, done: false };
      if (this.#isAtEnd) return { value: undefined, done: true };
      await this.#fetch();
    }
  }

  async #fetch(): Promise<void> {
    const { detail, payloads } = await this.#read(this.#cursor);
    const events = detail["events"] as Event[];
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!;
      this.#cursor = event["eventId"] as number;
      if (this.#filter === null || this.#filter.includes(event["type"])) this.#events.push(withValues(event, payloads));
    }
    if (detail["end"] === true) this.#isAtEnd = true;
  }
}

// Values stand in an event as {"$value": place}.
function withValues(event: Event, payloads: readonly Uint8Array[]): Event {
  const keys = objectKeys(event);
  for (let i = 0; i < keys.length; i++) {
    const value = event[keys[i]!];
    if (!isObject(value)) continue;
    const place = (value as { $value?: unknown }).$value;
    if (typeof place === "number") event[keys[i]!] = unpack(payloads[place]);
  }
  return event;
}

webClass(WorkflowSubscription, "WorkflowSubscription");

export function newSubscription(read: Read, cursor: number, filter: unknown): WorkflowSubscription {
  if (filter !== undefined && !isArray(filter)) throw badArgument("subscribe", "WorkflowInstance", 1, "SubscribeOptions");
  return new WorkflowSubscription(token, read, cursor >= 0 ? cursor : 0, filter ?? null);
}
