// SPDX-License-Identifier: Apache-2.0
//
// The part "loader": the binding that makes Workers. Made in dispatchers.

export {
  forgetSource, forgetSourcesOf, isEngineClass, needCode, newEngineClass, newLoader, targetOfClass,
} from "./loader.ts";
