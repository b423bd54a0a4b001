// SPDX-License-Identifier: Apache-2.0
//
// One execution of run(event, step): the engine calls that it makes, what goes on in it, and when nothing does.
//
//   step.do() ─ do ──► engine ─ run ──► callback ─ attempt ──► engine ─ value | run again | throw ──► step.do() settles
//
// Every step has one call to the engine at most, whose answer says what is to be done next. A call that fails means that
// this run is lost: what waits waits for ever, because code must not take that for an outcome, and the event fails, so that
// the engine may run the instance again.

import { isObject } from "../../internal/convert.ts";
import {
  charCodeAt, mapDelete, mapForEach, mapGet, mapSet, min, promiseThen, SafeMap, SafePromise,
} from "../../internal/intrinsics.ts";
import { setTimer } from "../../web/timers.ts";
import { type EngineAnswer, engineCall } from "../engine_calls.ts";
import { native } from "../native.ts";
import { errorOfFailure, type Failure, failureOf } from "./failures.ts";
import { unpack } from "./values.ts";

const kCapability = 0;
const kIdleMs = 50;
const kTimerMsMax = 2147483647;
const kAheadMax = 500;
// Turns of the microtask queue that a callback which only computes needs at most, until its outcome is there.
const kTurnsHeld = 8;

export interface StepContext {
  step: { name: string; count: number };
  attempt: number;
  config: unknown;
}

export type RollbackHandler = (input: unknown) => unknown;

// How attempts of a step with some configuration are run, as the engine has said it once.
export interface Known {
  readonly config: object;
  readonly timeoutMs: number;
}

// A question that may get company: what a step that was begun ahead has come to.
interface Held {
  readonly send: () => void;
}

interface Deadline {
  readonly due: number;
  readonly passed: () => void;
}

// What the engine says of a step and its attempt, as callbacks get it.
export function contextOf(detail: EngineAnswer["detail"]): StepContext {
  const { name, count, attempt } = detail as { name: string; count: number; attempt: number };
  const config = detail["config"] as { retries?: { limit?: number | null } } | undefined;
  if (config?.retries !== undefined && config.retries.limit === null) config.retries.limit = Infinity;
  return { step: { name, count }, attempt, config: config ?? {} };
}

// One that the engine surely takes: nothing but printable characters of ASCII.
function isPlainName(name: string): boolean {
  if (name.length === 0 || name.length > 256) return false;
  for (let i = 0; i < name.length; i++) {
    const code = charCodeAt(name, i);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return true;
}

const kNow = SafePromise.resolve(undefined);

// Code may change what it is given.
export function copyOfConfig(config: object): object {
  const { retries } = config as { retries?: object };
  return { ...config, ...(retries !== undefined && { retries: { ...retries } }) };
}

export class Run {
  readonly #capability: number;
  #lastCall = 0;
  #answers = 0;   // outcomes of steps that this run has been told
  #active = 0;    // callbacks and handlers of the Worker that are running
  #asked = 0;     // steps that wait for the engine
  #activity = 0;  // counts whatever happens
  #reported = -1;
  #isOver = false;
  #lastDeadline = 0;
  readonly #deadlines = new SafeMap<number, Deadline>();
  #armed = Infinity;
  readonly #handlers = new SafeMap<number, RollbackHandler>();
  #serves = false;

  // Rejects when the engine no longer answers this run.
  readonly lost: Promise<never>;
  #lose: (reason: unknown) => void = () => {};

  constructor(capability: number) {
    this.#capability = capability;
    this.lost = new SafePromise<never>((_, reject) => {
      this.#lose = reject;
    });
  }

  newCall(): number {
    return ++this.#lastCall;
  }

  // Never rejects.
  ask(operation: string, detail: object, payload?: Uint8Array): Promise<EngineAnswer> {
    if (this.#held.length > 0) this.#sendHeld();
    return new SafePromise<EngineAnswer>((resolve) => {
      if (this.#isOver) return;
      const lost = (error: unknown): void => {
        if (this.#isOver) return;
        this.#isOver = true;
        this.#lose(error);
      };
      engineCall(kCapability, this.#capability, 0, operation, detail, payload).then(resolve, lost);
    });
  }

  // Asks for what is to be done next about a step.
  next(operation: string, detail: object, payload?: Uint8Array): Promise<EngineAnswer> {
    return this.#answered(this.ask(operation, detail, payload));
  }

  async #answered(asked: Promise<EngineAnswer>): Promise<EngineAnswer> {
    this.#asked++;
    this.#happens();
    const answer = await asked;
    this.#asked--;
    const { how, ahead } = answer.detail;
    if (how !== "run" && how !== "delay") {
      this.#answers++;
      this.#mayGoAhead = ahead === true;
    }
    this.#happens();
    return answer;
  }

  // ---- Going ahead. Where nothing is left to be replayed, a step is new, and its first attempt may begin at once. Its
  // question waits for as long as a callback takes that only computes, and takes the outcome along: one way to the engine
  // and back instead of two. Questions leave in the order of the steps, whatever happens.

  #mayGoAhead = false;
  #ahead = 0;
  #held: Held[] = [];
  #turns = 0;
  readonly #known = new SafeMap<string, Known>();
  readonly #counts = new SafeMap<string, number>();

  // The engine's permission, and what it says of steps without a configuration.
  begin(isAhead: boolean, defaults: Known | undefined): void {
    this.#mayGoAhead = isAhead;
    if (defaults !== undefined) this.learn("", defaults);
  }

  learn(config: string, known: Known): void {
    const { retries } = known.config as { retries?: { limit?: number | null } };
    // The last attempt of a step begins when its record is on the disk, not before.
    if (retries?.limit !== 0) mapSet(this.#known, config, { config: copyOfConfig(known.config), timeoutMs: known.timeoutMs });
  }

  // Counts the step as the engine does. Gives what is to be known to begin it, if it may be begun; never without `config`.
  aheadOf(name: string, config: string | undefined): { known: Known; count: number } | undefined {
    if (!isPlainName(name)) return undefined;
    const count = (mapGet(this.#counts, name) ?? 0) + 1;
    mapSet(this.#counts, name, count);
    if (!this.#mayGoAhead || config === undefined || this.#ahead >= kAheadMax) return undefined;
    const known = mapGet(this.#known, config);
    return known === undefined ? undefined : { known, count };
  }

  // Asks about a step that has been begun; `question` is called when it is time to say all that is known of it.
  nextAhead(question: () => { detail: object; payload: Uint8Array | undefined }): Promise<EngineAnswer> {
    this.#ahead++;
    return this.#answered(new SafePromise<EngineAnswer>((resolve) => {
      this.#held[this.#held.length] = {
        send: () => {
          const { detail, payload } = question();
          this.ask("do", detail, payload).then((answer) => {
            this.#ahead--;
            resolve(answer);
          });
        },
      };
      if (this.#held.length === 1) this.#waitTurns();
    }));
  }

  #waitTurns(): void {
    this.#turns = kTurnsHeld;
    const turn = (): void => {
      if (this.#held.length === 0) return;
      if (--this.#turns > 0) promiseThen(kNow, turn);
      else this.#sendHeld();
    };
    promiseThen(kNow, turn);
  }

  #sendHeld(): void {
    const held = this.#held;
    this.#held = [];
    for (let i = 0; i < held.length; i++) held[i]!.send();
  }

  // Runs code of the Worker's; while it runs, the run is not idle.
  async during<T>(run: () => Promise<T>): Promise<T> {
    this.#active++;
    this.#happens();
    try {
      return await run();
    } finally {
      this.#active--;
      this.#happens();
    }
  }

  // ---- Deadlines. One timer for all: most are forgotten long before they are due.

  // Calls back when the time has come. Returns what forget() takes.
  after(ms: number, passed: () => void): number {
    const due = native.now() + min(ms, kTimerMsMax);
    mapSet(this.#deadlines, ++this.#lastDeadline, { due, passed });
    if (due < this.#armed) this.#arm(due);
    return this.#lastDeadline;
  }

  forget(deadline: number): void {
    mapDelete(this.#deadlines, deadline);
  }

  #arm(due: number): void {
    this.#armed = due;
    setTimer(() => this.#fire(due), due - native.now());
  }

  #fire(armed: number): void {
    if (this.#armed !== armed) return;  // An earlier one has taken its place.
    this.#armed = Infinity;
    const now = native.now();
    let next = Infinity;
    const passed: (() => void)[] = [];
    mapForEach(this.#deadlines, (deadline: Deadline, id: number) => {
      if (deadline.due <= now) {
        mapDelete(this.#deadlines, id);
        passed[passed.length] = deadline.passed;
      } else if (deadline.due < next) {
        next = deadline.due;
      }
    });
    if (next < this.#armed) this.#arm(next);
    for (let i = 0; i < passed.length; i++) passed[i]!();
  }

  // ---- Idleness. The engine lets an instance sleep when it hears that nothing but waiting goes on.

  #isWatching = false;

  #happens(): void {
    this.#activity++;
    if (this.#isWatching || this.#active > 0 || this.#asked === 0) return;
    this.#watch();
  }

  #watch(): void {
    this.#isWatching = true;
    const seen = this.#activity;
    this.after(kIdleMs, () => {
      this.#isWatching = false;
      if (this.#isOver || this.#active > 0 || this.#asked === 0) return;
      if (this.#activity !== seen) return this.#watch();
      if (this.#reported === seen) return;
      this.#reported = seen;
      this.#mayGoAhead = false;  // it may have lost its slot when it goes on
      void this.ask("idle", { answers: this.#answers });
    });
  }

  // ---- Rollback

  // Keeps the handler of a step until the run is over.
  keepHandler(call: number, handler: RollbackHandler): void {
    mapSet(this.#handlers, call, handler);
    if (this.#serves) return;
    this.#serves = true;
    void this.#serve();
  }

  async #serve(): Promise<void> {
    let answer = await this.ask("rollback", {});
    for (;;) {
      const { call, attempt } = answer.detail as { call: number; attempt: number };
      const failure = await this.during(() => this.#rollBack(call, answer));
      answer = await this.ask("rollbackEnded", failure === undefined
        ? { call, attempt, ok: true }
        : { call, attempt, ok: false, name: failure.name, message: failure.message });
    }
  }

  async #rollBack(call: number, { detail, payloads }: EngineAnswer): Promise<Failure | undefined> {
    try {
      const handler = mapGet(this.#handlers, call);
      if (handler === undefined) throw new Error("Rollback function not available in registry");
      const { name, message } = isObject(detail["error"]) ? (detail["error"] as { name?: string; message?: string }) : {};
      const ctx = contextOf(detail);
      const error = errorOfFailure(name ?? "Error", message ?? "", undefined, this.#rollBack);
      const output = detail["hasOutput"] === true ? unpack(payloads[0]) : undefined;
      await handler({ ctx, error, output, stepName: `${ctx.step.name}-${ctx.step.count}` });
      return undefined;
    } catch (error) {
      return failureOf(error);
    }
  }

  // The stubs among the handlers are ours.
  end(): void {
    this.#isOver = true;
    mapForEach(this.#handlers, (handler: RollbackHandler) => disposeStub(handler));
  }
}

// ---- Functions that may be somewhere else

function isStub(value: unknown): value is object {
  return typeof value === "function" && native.is_proxy(value) && parts.rpc().isStub(value);
}

// A function that stays callable when the call that brought it has ended.
export function keepFunction(value: RollbackHandler): RollbackHandler {
  return isStub(value) ? (parts.rpc().dupStub(value) as unknown as RollbackHandler) : value;
}

function disposeStub(value: unknown): void {
  if (isStub(value)) parts.rpc().disposeStub(value);
}

// What a function elsewhere has returned holds things there until it is disposed of.
export function disposeResult(of: unknown, result: unknown): void {
  if (!isObject(result) || !isStub(of)) return;
  const dispose = (result as { [Symbol.dispose]?: () => void })[Symbol.dispose];
  if (typeof dispose === "function") Reflect.apply(dispose, result, []);
}
