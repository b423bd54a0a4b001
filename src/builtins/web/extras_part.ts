// SPDX-License-Identifier: Apache-2.0
//
// The part "extras": small globals that most Workers do without. Made when one of them is first named.

export { atob, btoa } from "./base64.ts";
export { Crypto, crypto } from "./crypto.ts";
export { Navigator, navigator } from "./navigator.ts";
export { Scheduler, scheduler } from "./scheduler.ts";
export { structuredClone } from "./structured_clone.ts";
