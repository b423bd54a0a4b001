// SPDX-License-Identifier: Apache-2.0
//
// The part "events": events, their targets, signals, and what is an event target besides. Made when a Worker first names one
// of them or looks at a request's signal.

export { AbortController, AbortSignal, abortError, abortSignal, newSignal } from "./abort.ts";
export { CloseEvent, CustomEvent, ErrorEvent, MessageEvent, PromiseRejectionEvent } from "./event_classes.ts";
export { dispatch, Event, EventTarget } from "./events.ts";
export { addEventListener, dispatchEvent, removeEventListener } from "./global_events.ts";
export { Performance, performance } from "./performance.ts";
