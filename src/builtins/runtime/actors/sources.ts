// SPDX-License-Identifier: Apache-2.0
//
// The sources of Workers that an actor may load. When no value of the actor's leads to one any more, calls that have left may
// still need it, if the host comes back for the code. Such calls end with the invocations that run now: when the last of
// these is over, the source goes. Sources that lose their names meanwhile wait for the next round.
//
//   came ──► (named) ──collected──► unnamed ──a round begins──► leaving ──its invocations are over──► forgotten

import { mapDelete, mapForEach, mapHas, mapSet, mapSize, SafeMap } from "../../internal/intrinsics.ts";
import { forgetSource } from "../loader_later.ts";

export class Sources {
  readonly #all = new SafeMap<number, true>();
  readonly #invocations = new SafeMap<number, true>();
  #unnamed: number[] = [];
  #leaving: number[] = [];
  // The invocations that the round waits for: how many, and the newest of them; numbers go up.
  #awaited = 0;
  #newest = 0;

  came(source: number): void {
    mapSet(this.#all, source, true);
  }

  lostName(source: number): void {
    if (!mapHas(this.#all, source)) return;
    this.#unnamed[this.#unnamed.length] = source;
    if (this.#awaited === 0) this.#beginRound();
  }

  joined(invocation: number): void {
    mapSet(this.#invocations, invocation, true);
  }

  left(invocation: number): void {
    if (!mapDelete(this.#invocations, invocation) || invocation > this.#newest || this.#awaited === 0) return;
    if (--this.#awaited === 0) this.#endRound();
  }

  forgetAll(): void {
    mapForEach(this.#all, (_: true, source: number) => forgetSource(source));
  }

  #beginRound(): void {
    this.#leaving = this.#unnamed;
    this.#unnamed = [];
    this.#awaited = mapSize(this.#invocations);
    mapForEach(this.#invocations, (_: true, invocation: number) => {
      if (invocation > this.#newest) this.#newest = invocation;
    });
    if (this.#awaited === 0) this.#endRound();
  }

  #endRound(): void {
    for (let i = 0; i < this.#leaving.length; i++) {
      mapDelete(this.#all, this.#leaving[i]!);
      forgetSource(this.#leaving[i]!);
    }
    this.#leaving = [];
    if (this.#unnamed.length > 0) this.#beginRound();
  }
}
