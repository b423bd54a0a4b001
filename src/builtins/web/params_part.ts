// SPDX-License-Identifier: Apache-2.0
//
// The part "params": URLSearchParams and its format. Made when a Worker first names the class, or looks at a URL's
// searchParams.

export { linkedParams, paramsText, parseUrlEncoded, refillParams, URLSearchParams } from "./url_search_params.ts";
