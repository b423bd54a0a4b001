// SPDX-License-Identifier: Apache-2.0
//
// structuredClone (https://html.spec.whatwg.org/multipage/structured-data.html#dom-structuredclone). The host does it;
// what it cannot clone it reports through newDataCloneError.

import { isObject } from "../internal/convert.ts";
import { badArgument } from "../internal/errors.ts";
import { isArrayBuffer } from "../internal/intrinsics.ts";
import { DOMException } from "./dom_exception.ts";

export function structuredClone<T>(value: T, options: { transfer?: Iterable<unknown> } = {}): T {
  if (arguments.length === 0) throw badArgument("structuredClone", "ServiceWorkerGlobalScope", 1, "Value");
  const transfer: ArrayBuffer[] = [];
  if (isObject(options) && options.transfer !== undefined) {
    for (const item of options.transfer) {
      if (!isArrayBuffer(item)) throw new TypeError("Object is not transferable");
      if (item.detached) throw newDataCloneError("An ArrayBuffer is detached and could not be transferred.");
      if (transfer.includes(item)) throw newDataCloneError("An ArrayBuffer stands twice in the transfer list.");
      transfer[transfer.length] = item;
    }
  }
  return ops.structured_clone(value, transfer) as T;
}

export function newDataCloneError(message: string): DOMException {
  return new DOMException(message, "DataCloneError");
}
