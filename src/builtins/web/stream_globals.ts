// SPDX-License-Identifier: Apache-2.0
//
// The streams package looks for two globals: DOMException when it is loaded, AbortController when it makes a writable
// stream. Imported before it, this module gives it ours instead of its own substitute.

import { AbortController } from "./abort.ts";
import { DOMException } from "./dom_exception.ts";

Object.defineProperty(globalThis, "DOMException", { value: DOMException, writable: true, configurable: true });
Object.defineProperty(globalThis, "AbortController", { value: AbortController, writable: true, configurable: true });
