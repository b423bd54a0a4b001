// SPDX-License-Identifier: Apache-2.0
//
// atob and btoa (https://html.spec.whatwg.org/multipage/webappapis.html#atob), over the engine's own base64.

import { toText } from "../internal/convert.ts";
import { badArgument } from "../internal/errors.ts";
import { fromBase64, toBase64 } from "../internal/intrinsics.ts";
import { DOMException } from "./dom_exception.ts";

const global = "ServiceWorkerGlobalScope";

export function btoa(data: string): string {
  if (arguments.length === 0) throw badArgument("btoa", global, 1, "string");
  const bytes = ops.latin1_encode(toText(data));
  if (bytes === undefined) {
    throw new DOMException(
      "btoa() can only operate on characters in the Latin1 (ISO/IEC 8859-1) range.", "InvalidCharacterError");
  }
  return toBase64(bytes);
}

export function atob(data: string): string {
  if (arguments.length === 0) throw badArgument("atob", global, 1, "string");
  const text = toText(data);
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(text, { lastChunkHandling: "loose" });
  } catch {
    throw new DOMException(
      "atob() called with invalid base64-encoded data. (Only whitespace, '+', '/', alphanumeric ASCII, and up to two " +
        "terminal '=' signs when the input data length is divisible by 4 are allowed.)",
      "InvalidCharacterError");
  }
  return ops.latin1_decode(bytes);
}
