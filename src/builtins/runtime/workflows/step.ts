// SPDX-License-Identifier: Apache-2.0
//
// `step` of a run: what an author calls. It is an RpcTarget, so that a dispatcher may hand it on to a tenant's code; then
// callbacks are stubs, and come and go with the call of the step.

import { isObject } from "../../internal/convert.ts";
import { illegalConstructor, illegalInvocation } from "../../internal/errors.ts";
import { jsonStringify, promiseThen, SafePromise } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import { isReadableStream } from "../../web/streams_later.ts";
import { describe } from "../errors.ts";
import type { EngineAnswer } from "../engine_calls.ts";
import { RpcTarget } from "../rpc/classes.ts";
import { type GivenConfig, packConfig, packDuration, packName } from "./config.ts";
import { errorOfFailure, type Failure, failureOf } from "./failures.ts";
import { contextOf, copyOfConfig, disposeResult, keepFunction, type Known, type RollbackHandler, type Run } from "./run.ts";
import { pack, readStored, type StoredStream, storeStream, unpack } from "./values.ts";

type Callback = (ctx: unknown) => unknown;

const kDelayFunctionMs = 5000;
const kMsMax = 8640000000000000;
const kNever: Promise<unknown> = new SafePromise(() => {});
const token = Symbol("WorkflowStep");

export class WorkflowStep extends RpcTarget {
  readonly #run: Run;

  constructor(secret: unknown = undefined, run: unknown = undefined) {
    if (secret !== token) throw illegalConstructor();
    super();
    this.#run = run as Run;
  }

  static #of(self: unknown): Run {
    if (!isObject(self) || !(#run in self)) throw illegalInvocation();
    return self.#run;
  }

  // do(name, callback, rollback?) or do(name, config, callback, rollback?)
  async do(name: unknown, ...given: unknown[]): Promise<unknown> {
    const run = WorkflowStep.#of(this);
    const hasConfig = typeof given[0] !== "function";
    const callback = hasConfig ? given[1] : given[0];
    const config = packConfig(hasConfig ? given[0] : undefined);
    const rollback = packRollback(hasConfig ? given[2] : given[1]);
    const call = run.newCall();
    const hasCallback = typeof callback === "function";
    const asked = {
      call, name: packName(name), hasCallback, config: config.config, problem: config.problem, ...rollback.detail,
    };
    if (rollback.handler !== null) run.keepHandler(call, rollback.handler);
    const step = new Step(run, call, hasCallback ? (callback as Callback) : null, config.delay);
    if (!hasCallback || rollback.detail.rollbackProblem !== undefined) return step.follow(run.next("do", asked));
    const ahead = run.aheadOf(asked.name, asked.problem === undefined ? step.keepConfig(config.config) : undefined);
    return step.follow(ahead === undefined ? run.next("do", asked) : step.goAhead(asked, ahead));
  }

  async sleep(name: unknown, duration: unknown): Promise<unknown> {
    const run = WorkflowStep.#of(this);
    const length = packDuration(duration) ?? String(duration);
    const call = run.newCall();
    return new Step(run, call, null, null).follow(run.next("sleep", { call, name: packName(name), length }));
  }

  async sleepUntil(name: unknown, timestamp: unknown): Promise<unknown> {
    const run = WorkflowStep.#of(this);
    const time = Number(timestamp);
    if (!(time <= kMsMax && time >= -kMsMax)) {
      throw new TypeError("step.sleepUntil() wants a Date or a number of milliseconds since 1970.");
    }
    const call = run.newCall();
    return new Step(run, call, null, null).follow(run.next("sleepUntil", { call, name: packName(name), until: time }));
  }

  async waitForEvent(name: unknown, options: unknown): Promise<unknown> {
    const run = WorkflowStep.#of(this);
    const { type, timeout } = isObject(options) ? (options as { type?: unknown; timeout?: unknown }) : {};
    const call = run.newCall();
    const asked = {
      call, name: packName(name), type: typeof type === "string" ? packName(type) : "",
      timeout: timeout === undefined ? undefined : packDuration(timeout) ?? String(timeout),
    };
    return new Step(run, call, null, null).follow(run.next("waitForEvent", asked));
  }
}

webClass(WorkflowStep, "WorkflowStep");

export function newStep(run: Run): WorkflowStep {
  return new WorkflowStep(token, run);
}

interface Rollback {
  readonly handler: RollbackHandler | null;
  readonly detail: { rollback?: true; rollbackProblem?: string; rollbackConfig?: unknown; problem?: string };
}

function packRollback(options: unknown): Rollback {
  if (options === undefined) return { handler: null, detail: {} };
  if (typeof options !== "object" || options === null) {
    return { handler: null, detail: { rollbackProblem: "must be an object" } };
  }
  const { rollback, rollbackConfig } = options as { rollback?: unknown; rollbackConfig?: unknown };
  if (typeof rollback !== "function") return { handler: null, detail: { rollbackProblem: "must be a function" } };
  const { config, problem }: GivenConfig = packConfig(rollbackConfig);
  const handler = keepFunction(rollback as RollbackHandler);
  return {
    handler,
    detail: { rollback: true, rollbackConfig: config, ...(problem !== undefined && { problem: `rollbackConfig: ${problem}` }) },
  };
}

// How an attempt has ended.
type Outcome =
  | { how: "returned"; payload: Uint8Array | undefined; stream?: StoredStream }
  | { how: "threw"; failure: Failure }
  | { how: "notSerialisable" }
  | { how: "late" };

class Step {
  readonly #run: Run;
  readonly #call: number;
  readonly #callback: Callback | null;
  readonly #delay: Callback | null;
  // What the last attempt has returned: the engine need not send it back.
  #returned: Uint8Array | undefined;
  #stream: StoredStream | undefined;

  constructor(run: Run, call: number, callback: Callback | null, delay: Callback | null) {
    this.#run = run;
    this.#call = call;
    this.#callback = callback;
    this.#delay = delay;
  }

  // The configuration as text, so that the next step with the same one may go ahead.
  #config = "";
  keepConfig(config: object | undefined): string {
    if (config !== undefined) this.#config = jsonStringify(config)!;
    return this.#config;
  }

  // The first attempt, begun before the engine was asked.
  #begun: Promise<Outcome> | null = null;
  #isConfirmed: Promise<unknown> = kNever;

  // Begins the first attempt and asks the engine about the step, with the outcome if that is there very soon.
  goAhead(asked: object, { known, count }: { known: Known; count: number }): Promise<EngineAnswer> {
    const { name } = asked as { name: string };
    let outcome: Outcome | undefined;
    let isAsked = false;
    let confirm: (answer: EngineAnswer) => void = () => {};
    this.#isConfirmed = new SafePromise<EngineAnswer>((resolve) => {
      confirm = resolve;
    });
    const detail = { name, count, attempt: 1, config: copyOfConfig(known.config), timeoutMs: known.timeoutMs };
    this.#begun = this.#run.during(() => this.#call_(detail));
    void this.#begun.then((came) => {
      outcome = isAsked ? undefined : came;
    });
    const answer = this.#run.nextAhead(() => {
      isAsked = true;
      if (outcome === undefined || outcome.how === "late") return { detail: asked, payload: undefined };
      const { how } = outcome;
      if (outcome.how === "threw") {
        const { name: error, message, thrown } = outcome.failure;
        return { detail: { ...asked, outcome: { how, name: error, message } }, payload: thrown };
      }
      const payload = outcome.how === "returned" ? outcome.payload : undefined;
      this.#returned = payload;
      return { detail: { ...asked, outcome: { how } }, payload };
    });
    promiseThen(answer, confirm);
    return answer;
  }

  // Does what the engine says until the step has an outcome.
  async follow(first: Promise<EngineAnswer>): Promise<unknown> {
    let answer = await first;
    for (;;) {
      const { detail, payloads } = answer;
      switch (detail["how"]) {
        case "run":
          answer = await this.#attempt(detail);
          break;
        case "delay":
          answer = await this.#computeDelay(answer);
          break;
        case "value": {
          const stream = (detail["stream"] as StoredStream | undefined) ?? this.#stream;
          if (stream !== undefined) return readStored(stream, (index) => this.#readPiece(stream, index));
          return unpack(payloads[0] ?? this.#returned);
        }
        case "event":
          return { payload: unpack(payloads[0]), timestamp: new Date(detail["timestamp"] as number), type: detail["type"] };
        case "throw":
          throw errorOfFailure(detail["name"] as string, detail["message"] as string, payloads[0], this.follow);
        default:
          return undefined;
      }
    }
  }

  async #attempt(detail: EngineAnswer["detail"]): Promise<EngineAnswer> {
    const attempt = detail["attempt"] as number;
    if (attempt === 1) this.#run.learn(this.#config, { config: detail["config"] as object, timeoutMs: detail["timeoutMs"] as number });
    const begun = attempt === 1 ? this.#begun : null;
    this.#begun = null;
    const outcome = await (begun ?? this.#run.during(() => this.#call_(detail)));
    const said = { call: this.#call, attempt, how: outcome.how };
    switch (outcome.how) {
      case "returned":
        this.#returned = outcome.payload;
        this.#stream = outcome.stream;
        return this.#run.next("attempt", { ...said, stream: outcome.stream }, outcome.payload);
      case "threw": {
        const { name, message, thrown } = outcome.failure;
        return this.#run.next("attempt", { ...said, name, message }, thrown);
      }
      default:
        return this.#run.next("attempt", said);
    }
  }

  // One attempt, or as much of it as there is time for. What comes later is nobody's.
  #call_(detail: EngineAnswer["detail"]): Promise<Outcome> {
    return new SafePromise<Outcome>((resolve) => {
      let isLate = false;
      const deadline = this.#run.after(detail["timeoutMs"] as number, () => {
        isLate = true;
        resolve({ how: "late" });
      });
      const done = (outcome: Outcome): void => {
        this.#run.forget(deadline);
        resolve(outcome);
      };
      void this.#outcomeOf(detail, () => isLate).then(done);
    });
  }

  async #outcomeOf(detail: EngineAnswer["detail"], isLate: () => boolean): Promise<Outcome> {
    const callback = this.#callback!;
    let value: unknown;
    try {
      value = await callback(contextOf(detail));
    } catch (error) {
      return { how: "threw", failure: failureOf(error) };
    }
    if (isLate()) {
      disposeResult(callback, value);
      return { how: "late" };
    }
    if (isReadableStream(value)) {
      if (this.#begun !== null) await this.#isConfirmed;  // its pieces belong to an attempt that the engine knows
      return this.#storeStream(value, detail["attempt"] as number, isLate);
    }
    try {
      return { how: "returned", payload: value === undefined ? undefined : pack(value) };
    } catch {
      return { how: "notSerialisable" };
    } finally {
      disposeResult(callback, value);
    }
  }

  async #storeStream(value: unknown, attempt: number, isLate: () => boolean): Promise<Outcome> {
    const keep = async (piece: Uint8Array, index: number, stream: number): Promise<number> => {
      const { detail } = await this.#run.ask("chunk", { call: this.#call, attempt, stream, index }, piece);
      if (isObject(detail["error"])) throw new TypeError((detail["error"] as { message: string }).message);
      return detail["value"] as number;
    };
    try {
      const stream = await storeStream(value as never, keep, () => !isLate());
      return { how: "returned", payload: undefined, stream };
    } catch (error) {
      // What went wrong within the stream is an error of the step; one that cannot be read at all is no result.
      return describe(error).name === "TypeError" ? { how: "notSerialisable" } : { how: "threw", failure: failureOf(error) };
    }
  }

  async #readPiece(stream: StoredStream, index: number): Promise<Uint8Array> {
    const { payloads } = await this.#run.ask("readStream", { value: stream.value, index });
    return payloads[0]!;
  }

  async #computeDelay({ detail, payloads }: EngineAnswer): Promise<EngineAnswer> {
    const attempt = detail["attempt"] as number;
    const said = { call: this.#call, attempt };
    const { name, message } = detail["error"] as { name: string; message: string };
    const error = errorOfFailure(name, message, payloads[0], this.follow);
    const delay = await this.#run.during(() => this.#askDelay({ ctx: contextOf(detail), error }));
    return this.#run.next("delay", { ...said, ...delay });
  }

  #askDelay(input: unknown): Promise<{ delay?: unknown; problem?: string }> {
    return new SafePromise((resolve) => {
      const deadline = this.#run.after(kDelayFunctionMs, () => {
        resolve({ problem: `timed out after ${kDelayFunctionMs}ms` });
      });
      void this.#delayOf(input).then((delay) => {
        this.#run.forget(deadline);
        resolve(delay);
      });
    });
  }

  async #delayOf(input: unknown): Promise<{ delay?: unknown; problem?: string }> {
    try {
      if (this.#delay === null) return { problem: "is not there any more" };
      const delay = packDuration(await this.#delay(input));
      return delay === undefined ? { problem: "returned a value that is no duration" } : { delay };
    } catch (error) {
      const { message } = describe(error);
      return { problem: `threw an error: ${message}` };
    }
  }
}
