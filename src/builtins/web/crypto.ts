// SPDX-License-Identifier: Apache-2.0
//
// crypto.getRandomValues and crypto.randomUUID (https://w3c.github.io/webcrypto/#Crypto-interface).

import { badArgument, illegalConstructor, illegalInvocation, requireInvocation } from "../internal/errors.ts";
import { byteLengthOf, isView, typedArrayName, viewOf } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import { DOMException } from "./dom_exception.ts";

const kQuota = 65536;
const token: unique symbol = Symbol("crypto");

function isIntegerArray(name: string | undefined): boolean {
  switch (name) {
    case "Int8Array":
    case "Uint8Array":
    case "Uint8ClampedArray":
    case "Int16Array":
    case "Uint16Array":
    case "Int32Array":
    case "Uint32Array":
    case "BigInt64Array":
    case "BigUint64Array":
      return true;
    default:
      return false;
  }
}

export class Crypto {
  #brand = true;

  constructor(secret?: typeof token) {
    if (secret !== token) throw illegalConstructor();
  }

  getRandomValues<T extends ArrayBufferView>(view: T): T {
    if (!(#brand in this)) throw illegalInvocation();
    if (!isView(view)) throw badArgument("getRandomValues", "Crypto", 1, "ArrayBufferView");
    if (!isIntegerArray(typedArrayName(view))) {
      throw new DOMException(
        "ArrayBufferView argument to getRandomValues() must be an integer-typed view.", "TypeMismatchError");
    }
    const length = byteLengthOf(viewOf(view));
    if (length > kQuota) {
      throw new DOMException(
        `getRandomValues() only accepts buffers of size <= 64K but provided ${length} bytes.`, "QuotaExceededError");
    }
    requireInvocation();
    ops.random_fill(view);
    return view;
  }

  randomUUID(): string {
    if (!(#brand in this)) throw illegalInvocation();
    requireInvocation();
    return ops.random_uuid();
  }
}

webClass(Crypto, "Crypto", () => ({}));

export const crypto = new Crypto(token);
