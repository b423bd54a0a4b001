// SPDX-License-Identifier: Apache-2.0
//
// The streams package looks for two globals: DOMException when it is loaded, AbortController when it makes a writable
// stream. In a Worker they are ours when it first asks for a stream; imported before streams.ts, this module makes them
// ours here too.
import "./mock_ops.ts";

import { AbortController } from "../../src/builtins/web/abort.ts";
import { DOMException } from "../../src/builtins/web/dom_exception.ts";

Object.defineProperty(globalThis, "DOMException", { value: DOMException, writable: true, configurable: true });
Object.defineProperty(globalThis, "AbortController", { value: AbortController, writable: true, configurable: true });
