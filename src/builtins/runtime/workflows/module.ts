// SPDX-License-Identifier: Apache-2.0
//
// What `cloudflare:workflows` exports.

import { defineProperty } from "../../internal/intrinsics.ts";

// Thrown by a step, it ends the step without another attempt. Known by its name, so that it may cross from a tenant.
export class NonRetryableError extends Error {
  constructor(message?: string, name: string = "NonRetryableError") {
    super(message);
    defineProperty(this, "name", { value: name, writable: true, enumerable: true, configurable: true });
  }
}

defineProperty(NonRetryableError, "name", { value: "NonRetryableError", configurable: true });

export const workflows = { NonRetryableError };
