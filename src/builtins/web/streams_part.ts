// SPDX-License-Identifier: Apache-2.0
//
// The part "streams": all classes of streams. Made when a Worker first names one of them or looks at a `.body`.

import "./streams.ts";

export * from "web-streams-polyfill";
export { FixedLengthStream, IdentityTransformStream, TextDecoderStream, TextEncoderStream } from "./transform_streams.ts";
