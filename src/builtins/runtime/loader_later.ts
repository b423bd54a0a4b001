// SPDX-License-Identifier: Apache-2.0
//
// The loader, for the core and for other parts: the part "loader" is made by the first binding or class of that kind. Until
// then nothing can be one of its objects.

import type { Target } from "./calls.ts";
import type { DurableObjectClass } from "./loader.ts";

interface LoaderFunctions {
  forgetSource(number: number): void;
  forgetSourcesOf(invocation: number): void;
  isEngineClass(value: unknown): value is DurableObjectClass;
}

let made: LoaderFunctions | undefined;

// The part says that it is there.
export function adoptLoader(functions: LoaderFunctions): void {
  made = functions;
}

export function forgetSource(number: number): void {
  made?.forgetSource(number);
}

export function forgetSourcesOf(invocation: number): void {
  made?.forgetSourcesOf(invocation);
}

export function isEngineClass(value: unknown): value is DurableObjectClass {
  return made !== undefined && made.isEngineClass(value);
}

export function targetOfClass(handle: DurableObjectClass): Target {
  return parts.loader().targetOfClass(handle);
}

export function newEngineClass(target: Target): DurableObjectClass {
  return parts.loader().newEngineClass(target);
}
