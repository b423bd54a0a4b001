// SPDX-License-Identifier: Apache-2.0
//
// The events of the isolate itself, such as unhandledrejection.

import { PromiseRejectionEvent } from "./event_classes.ts";
import { dispatch, EventTarget, hasListeners } from "./events.ts";
import { adoptGlobalEvents } from "./events_later.ts";

const globalEvents = new EventTarget();

export const addEventListener = globalEvents.addEventListener.bind(globalEvents);
export const removeEventListener = globalEvents.removeEventListener.bind(globalEvents);
export const dispatchEvent = globalEvents.dispatchEvent.bind(globalEvents);

// False when a listener prevented the default.
function tellOfRejection(type: string, reason: unknown, promise: Promise<unknown>): boolean {
  if (!hasListeners(globalEvents, type)) return true;
  const cancelable = type === "unhandledrejection";
  return dispatch(globalEvents, new PromiseRejectionEvent(type, { promise, reason, cancelable }));
}

adoptGlobalEvents(tellOfRejection);
