// SPDX-License-Identifier: Apache-2.0
//
// The gate of an actor, and the critical sections within it. While a section runs, what belongs to the actor outside of
// it waits in the order in which it came; what the section itself has asked for passes. Sections nest.
//
//   delivery ──► gate of the actor ──► (section runs: wait) ──► run
//   reply to something that the section asked ──► gate of the section ──► run

import type { Gate, Owner } from "../../internal/gates.ts";
import { promiseResolve, promiseThen, SafePromise, splice } from "../../internal/intrinsics.ts";
import { setTimer } from "../../web/timers.ts";
import { runWith } from "../async_frame.ts";
import { native } from "../native.ts";

// In a frame: the section that the code runs in.
export const kSection = {};

export interface ActorOfGate extends Owner {
  readonly isOver: boolean;
  // An invocation of it has begun.
  join(invocation: number): void;
}

export class Section implements Gate {
  readonly owner: ActorOfGate;
  readonly #parent: Section | null;
  #child: Section | null = null;
  #isSettled = false;
  #isOver = false;
  #isWaking = false;
  readonly #waiting: (() => void)[] = [];

  constructor(owner: ActorOfGate, parent: Section | null) {
    this.owner = owner;
    this.#parent = parent;
  }

  get #isOpen(): boolean {
    return this.#child === null && this.#waiting.length === 0;
  }

  enter(run: () => void): void {
    if (this.owner.isOver) return;
    if (this.#isOver) this.#parent!.enter(run);
    else if (this.#isOpen) run();
    else this.#waiting[this.#waiting.length] = run;
  }

  admit(invocation: number, run: () => unknown): unknown {
    this.owner.join(invocation);
    if (this.#isOpen) return run();
    return new SafePromise((resolve, reject) => {
      this.enter(() => {
        native.set_current(invocation);
        try {
          resolve(run());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  // Runs `body` in a section below this one, when its turn has come. Never settles when the actor is over before.
  critical<T>(body: () => Promise<T> | T): Promise<T> {
    const invocation = native.invocation();
    native.hold(invocation);
    return new SafePromise<T>((resolve, reject) => {
      const begin = (): void => {
        const section = new Section(this.owner, this.#isOver ? this.#root() : this);
        section.#parent!.#child = section;
        const end = (settle: () => void): void => {
          section.#settle();
          native.release(invocation);
          settle();
        };
        // Not at once: what the caller goes on to do comes first.
        const before = native.get_current();
        native.set_current(invocation);
        const done = promiseThen(promiseResolve(), () => runWith(kSection, section, body));
        native.set_current(before);
        promiseThen(done, (value: T) => end(() => resolve(value)), (error: unknown) => end(() => reject(error)));
      };
      this.enter(begin);
    });
  }

  #root(): Section {
    let at: Section = this;
    while (at.#isOver && at.#parent !== null) at = at.#parent;
    return at;
  }

  // Its body is done. It lasts as long as sections below it do.
  #settle(): void {
    this.#isSettled = true;
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (!this.#isSettled || this.#isOver || !this.#isOpen) return;
    this.#isOver = true;
    const parent = this.#parent!;
    parent.#child = null;
    parent.#wake();
    parent.#endIfDone();
  }

  // Each of those that wait gets a turn of its own: what one does between two awaits is not interrupted.
  #wake(): void {
    if (this.#isWaking || this.#waiting.length === 0 || this.#child !== null) return;
    this.#isWaking = true;
    setTimer(() => {
      this.#isWaking = false;
      if (this.owner.isOver || this.#child !== null) return;
      const [next] = splice(this.#waiting, 0, 1) as (() => void)[];
      next?.();
      this.#wake();
      this.#endIfDone();
    }, 0, true);
  }
}
