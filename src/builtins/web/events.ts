// SPDX-License-Identifier: Apache-2.0
//
// Event and EventTarget (https://dom.spec.whatwg.org/#events). There is no tree: a target is its own whole path.

import { isObject, toText } from "../internal/convert.ts";
import { badArgument, badConstructorArgument, illegalInvocation } from "../internal/errors.ts";
import { apply, mapGet, mapSet, SafeMap } from "../internal/intrinsics.ts";
import { reportException } from "../internal/report.ts";
import { webClass, webConstants } from "../internal/web_class.ts";
import { DOMException } from "./dom_exception.ts";

export interface EventInit {
  bubbles?: boolean;
  cancelable?: boolean;
  composed?: boolean;
}

interface EventState {
  type: string;
  bubbles: boolean;
  cancelable: boolean;
  composed: boolean;
  target: EventTarget | null;
  current: EventTarget | null;
  phase: number;
  dispatching: boolean;
  stopped: boolean;
  stoppedNow: boolean;
  canceled: boolean;
  passive: boolean;
  time: number;
}

let stateOf: (event: Event) => EventState;
let isEvent: (value: unknown) => value is Event;

export class Event {
  #state: EventState;

  static {
    stateOf = (event) => {
      if (!(#state in event)) throw illegalInvocation();
      return event.#state;
    };
    isEvent = (value): value is Event => isObject(value) && #state in value;
  }

  constructor(type: string, init: EventInit = {}) {
    if (arguments.length === 0) throw badConstructorArgument("Event", 1, "string");
    this.#state = {
      type: toText(type),
      bubbles: Boolean(init?.bubbles),
      cancelable: Boolean(init?.cancelable),
      composed: Boolean(init?.composed),
      target: null,
      current: null,
      phase: 0,
      dispatching: false,
      stopped: false,
      stoppedNow: false,
      canceled: false,
      passive: false,
      time: ops.performance_now(),
    };
  }

  get type(): string { return stateOf(this).type; }
  get bubbles(): boolean { return stateOf(this).bubbles; }
  get cancelable(): boolean { return stateOf(this).cancelable; }
  get composed(): boolean { return stateOf(this).composed; }
  get target(): EventTarget | null { return stateOf(this).target; }
  get srcElement(): EventTarget | null { return stateOf(this).target; }
  get currentTarget(): EventTarget | null { return stateOf(this).current; }
  get eventPhase(): number { return stateOf(this).phase; }
  get defaultPrevented(): boolean { return stateOf(this).canceled; }
  get timeStamp(): number { return stateOf(this).time; }
  get isTrusted(): boolean { stateOf(this); return false; }
  get returnValue(): boolean { return !stateOf(this).canceled; }
  get cancelBubble(): boolean { return stateOf(this).stopped; }
  set cancelBubble(value: boolean) { if (value) stateOf(this).stopped = true; }

  composedPath(): EventTarget[] {
    const { current } = stateOf(this);
    return current === null ? [] : [current];
  }

  stopPropagation(): void {
    stateOf(this).stopped = true;
  }

  stopImmediatePropagation(): void {
    const state = stateOf(this);
    state.stopped = true;
    state.stoppedNow = true;
  }

  preventDefault(): void {
    const state = stateOf(this);
    if (state.cancelable && !state.passive) state.canceled = true;
  }
}

webClass(Event, "Event", (event) => ({
  type: event.type,
  defaultPrevented: event.defaultPrevented,
  cancelable: event.cancelable,
  timeStamp: event.timeStamp,
}));
webConstants(Event, { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 });

// ---- EventTarget

export type EventHandler = ((event: Event) => unknown) | { handleEvent(event: Event): unknown };

export interface AddEventListenerOptions {
  capture?: boolean;
  once?: boolean;
  passive?: boolean;
  signal?: AbortAlgorithms;
}

// What an event target needs of an AbortSignal; named here because signals are event targets themselves.
export interface AbortAlgorithms {
  readonly aborted: boolean;
  addEventListener(type: string, handler: EventHandler, options?: AddEventListenerOptions): void;
}

interface Listener {
  handler: EventHandler;
  capture: boolean;
  once: boolean;
  passive: boolean;
  removed: boolean;
}

type Listeners = Map<string, Listener[]>;

let listenersOf: (target: EventTarget) => Listeners | null;
let makeListeners: (target: EventTarget) => Listeners;

export class EventTarget {
  #listeners: Listeners | null = null;

  static {
    listenersOf = (target) => {
      if (!isObject(target) || !(#listeners in target)) throw illegalInvocation();
      return target.#listeners;
    };
    makeListeners = (target) => (target.#listeners ??= new SafeMap());
  }

  addEventListener(type: string, handler: EventHandler | null, options: AddEventListenerOptions | boolean = {}): void {
    listenersOf(this);
    const name = toText(type);
    if (handler === null || handler === undefined) return;
    if (!isObject(handler)) throw badArgument("addEventListener", "EventTarget", 2, "function or HandlerObject");
    const settings = isObject(options) ? options : { capture: Boolean(options) };
    const { capture = false, once = false, passive = false, signal } = settings as AddEventListenerOptions;
    if (signal !== undefined && (!isObject(signal) || !(signal instanceof EventTarget))) {
      throw new TypeError("The signal option of addEventListener() must be an AbortSignal.");
    }
    if (signal?.aborted) return;

    const listeners = makeListeners(this);
    let list = mapGet(listeners, name);
    if (list === undefined) mapSet(listeners, name, (list = []));
    for (let i = 0; i < list.length; i++) {
      if (list[i]!.handler === handler && list[i]!.capture === Boolean(capture)) return;
    }
    list[list.length] = {
      handler, capture: Boolean(capture), once: Boolean(once), passive: Boolean(passive), removed: false,
    };
    signal?.addEventListener("abort", () => this.removeEventListener(name, handler, { capture }), { once: true });
  }

  removeEventListener(type: string, handler: EventHandler | null, options: { capture?: boolean } | boolean = {}): void {
    const listeners = listenersOf(this);
    const name = toText(type);
    const capture = Boolean(isObject(options) ? options.capture : options);
    const list = listeners === null ? undefined : mapGet(listeners, name);
    if (list === undefined) return;
    for (let i = 0; i < list.length; i++) {
      const listener = list[i]!;
      if (listener.handler !== handler || listener.capture !== capture) continue;
      listener.removed = true;
      mapSet(listeners!, name, without(list, listener));
      return;
    }
  }

  dispatchEvent(event: Event): boolean {
    listenersOf(this);
    if (!isEvent(event)) throw badArgument("dispatchEvent", "EventTarget", 1, "Event");
    if (stateOf(event).dispatching) {
      throw new DOMException("The event is already being dispatched.", "InvalidStateError");
    }
    return dispatch(this, event);
  }
}

webClass(EventTarget, "EventTarget");

function without(list: readonly Listener[], gone: Listener): Listener[] {
  const kept: Listener[] = [];
  for (let i = 0; i < list.length; i++) {
    if (list[i] !== gone) kept[kept.length] = list[i]!;
  }
  return kept;
}

// Calls the listeners of `target`, `first` before all others, and gives false when one of them prevented the default.
// `failed` hears what they throw.
export function dispatch(
  target: EventTarget, event: Event, failed: (error: unknown) => void = reportException, first?: EventHandler | null,
): boolean {
  const state = stateOf(event);
  const listeners = listenersOf(target);
  state.dispatching = true;
  state.target = target;
  state.current = target;
  state.phase = 2;
  if (first) call(first, target, event, failed);
  const handlers = listeners === null ? undefined : mapGet(listeners, state.type);
  if (handlers !== undefined) {
    const count = handlers.length;  // Those added while we dispatch wait for the next event.
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < count && !state.stoppedNow; i++) {
        const listener = handlers[i]!;
        if (listener.removed || listener.capture !== (pass === 0)) continue;
        if (listener.once) target.removeEventListener(state.type, listener.handler, { capture: listener.capture });
        state.passive = listener.passive;
        call(listener.handler, target, event, failed);
        state.passive = false;
      }
    }
  }
  state.phase = 0;
  state.current = null;
  state.dispatching = false;
  state.stopped = false;
  state.stoppedNow = false;
  return !state.canceled;
}

function call(handler: EventHandler, target: EventTarget, event: Event, failed: (error: unknown) => void): void {
  try {
    if (typeof handler === "function") {
      apply(handler, target, [event]);
    } else {
      const method = handler.handleEvent;
      if (typeof method !== "function") throw new TypeError("An event listener object has no handleEvent() method.");
      apply(method, handler, [event]);
    }
  } catch (error) {
    failed(error);
  }
}

export function hasListeners(target: EventTarget, type: string): boolean {
  const listeners = listenersOf(target);
  const list = listeners === null ? undefined : mapGet(listeners, type);
  return list !== undefined && list.length > 0;
}

// The value of an `onxxx` attribute: one listener whose place is kept when it is replaced by another.
export class HandlerAttribute {
  #value: EventHandler | null = null;
  #registered = false;

  get(): EventHandler | null {
    return this.#value;
  }

  set(target: EventTarget, type: string, value: unknown): void {
    this.#value = isObject(value) ? (value as EventHandler) : null;
    if (this.#registered || this.#value === null) return;
    this.#registered = true;
    target.addEventListener(type, (event) => {
      const handler = this.#value;
      if (typeof handler === "function") apply(handler, target, [event]);
    });
  }
}
