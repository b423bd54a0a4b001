// SPDX-License-Identifier: Apache-2.0
//
// The part "encoding". Made when a Worker first names one of the classes.

export { TextDecoder, TextEncoder } from "./encoding.ts";
