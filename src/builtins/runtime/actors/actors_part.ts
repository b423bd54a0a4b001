// SPDX-License-Identifier: Apache-2.0
//
// The part "actors": Durable Objects and facets, for those who call them and for those who are called.

export { findActor } from "./actor.ts";
export { actorBroken, callActor, closeActor, eventOfActor, fetchActor, openActor } from "./deliveries.ts";
export { facetClosed } from "./facets.ts";
export { newLoopbackClass } from "./loopbacks.ts";
export { newNamespace } from "./namespace.ts";
export { objectOf } from "./stub.ts";
