// SPDX-License-Identifier: Apache-2.0
//
// URLSearchParams, for the core: the part "params" is made when they are needed. Until then no value can be one.

import type { URLSearchParams } from "./url_search_params.ts";

let isParams: ((value: unknown) => value is URLSearchParams) | undefined;

// The part says that it is there.
export function adoptParams(is: (value: unknown) => value is URLSearchParams): void {
  isParams = is;
}

export function isSearchParams(value: unknown): value is URLSearchParams {
  return isParams !== undefined && isParams(value);
}

export function paramsText(params: URLSearchParams): string {
  return parts.params().paramsText(params);
}
