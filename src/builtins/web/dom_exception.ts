// SPDX-License-Identifier: Apache-2.0
//
// DOMException (https://webidl.spec.whatwg.org/#idl-DOMException).

import { toText, isObject } from "../internal/convert.ts";
import { illegalInvocation } from "../internal/errors.ts";
import { webClass, webConstants } from "../internal/web_class.ts";

const codes: Readonly<Record<string, number>> = {
  __proto__: null as never,
  IndexSizeError: 1,
  HierarchyRequestError: 3,
  WrongDocumentError: 4,
  InvalidCharacterError: 5,
  NoModificationAllowedError: 7,
  NotFoundError: 8,
  NotSupportedError: 9,
  InUseAttributeError: 10,
  InvalidStateError: 11,
  SyntaxError: 12,
  InvalidModificationError: 13,
  NamespaceError: 14,
  InvalidAccessError: 15,
  TypeMismatchError: 17,
  SecurityError: 18,
  NetworkError: 19,
  AbortError: 20,
  URLMismatchError: 21,
  QuotaExceededError: 22,
  TimeoutError: 23,
  InvalidNodeTypeError: 24,
  DataCloneError: 25,
};

const captureStackTrace = (Error as unknown as { captureStackTrace(target: object, above: unknown): void })
  .captureStackTrace;

export interface DOMExceptionOptions {
  name?: string;
  cause?: unknown;
}

export class DOMException extends Error {
  #name = "Error";

  constructor(message: unknown = "", options: string | DOMExceptionOptions = "Error") {
    const text = toText(message);
    super(text);
    // The message is always an own property of what Error makes, also when empty: an attribute must not be missing.
    if (isObject(options)) {
      if (options.name !== undefined) this.#name = toText(options.name);
      if ("cause" in options) {
        Object.defineProperty(this, "cause", { value: options.cause, writable: true, configurable: true });
      }
    } else {
      this.#name = toText(options);
    }
    captureStackTrace(this, new.target);  // Again, now that the first line of the stack can show the name.
  }

  override get name(): string {
    // Without the field we are inside Error(), which reads the name for the stack.
    return #name in this ? this.#name : "Error";
  }

  get code(): number {
    if (!(#name in this)) throw illegalInvocation();
    return codes[this.#name] ?? 0;
  }
}

webClass(DOMException, "DOMException");
webConstants(DOMException, {
  INDEX_SIZE_ERR: 1,
  DOMSTRING_SIZE_ERR: 2,
  HIERARCHY_REQUEST_ERR: 3,
  WRONG_DOCUMENT_ERR: 4,
  INVALID_CHARACTER_ERR: 5,
  NO_DATA_ALLOWED_ERR: 6,
  NO_MODIFICATION_ALLOWED_ERR: 7,
  NOT_FOUND_ERR: 8,
  NOT_SUPPORTED_ERR: 9,
  INUSE_ATTRIBUTE_ERR: 10,
  INVALID_STATE_ERR: 11,
  SYNTAX_ERR: 12,
  INVALID_MODIFICATION_ERR: 13,
  NAMESPACE_ERR: 14,
  INVALID_ACCESS_ERR: 15,
  VALIDATION_ERR: 16,
  TYPE_MISMATCH_ERR: 17,
  SECURITY_ERR: 18,
  NETWORK_ERR: 19,
  ABORT_ERR: 20,
  URL_MISMATCH_ERR: 21,
  QUOTA_EXCEEDED_ERR: 22,
  TIMEOUT_ERR: 23,
  INVALID_NODE_TYPE_ERR: 24,
  DATA_CLONE_ERR: 25,
});
