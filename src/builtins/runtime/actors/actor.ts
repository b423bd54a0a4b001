// SPDX-License-Identifier: Apache-2.0
//
// An actor that is open in this isolate: one instance of its class, with its storage, gate and facets.

import { isArray, mapDelete, mapGet, mapSet, SafeMap } from "../../internal/intrinsics.ts";
import { adoptGates, type Gate } from "../../internal/gates.ts";
import { describe } from "../errors.ts";
import { native } from "../native.ts";
import type { Facets } from "./facets.ts";
import { newId } from "./id.ts";
import { type ActorOfGate, kSection, Section } from "./section.ts";
import type { ActorSockets } from "../sockets/home.ts";
import { Sources } from "./sources.ts";
import type { DurableObjectState } from "./state.ts";

const actors = new SafeMap<number, Actor>();
const byInvocation = new SafeMap<number, Actor>();

// Where a string stands for the id of a facet.
export const kTextId = "'";

export class Actor implements ActorOfGate {
  readonly number: number;
  readonly className: string;
  readonly props: unknown;
  readonly idText: string;
  readonly idName: string | undefined;
  readonly depth: number;
  readonly gate: Section;
  readonly #sources = new Sources();
  invocation = 0;
  isOver = false;
  // Of the class, when it has been made.
  instance: object | null = null;
  isRpc = false;
  state: DurableObjectState | null = null;
  hasAlarmMethod = false;  // has its class
  facets: Facets | null = null;
  sockets: ActorSockets | null = null;  // since it has one that may hibernate
  // The alarm's handler runs; false: it is not to be tried again.
  retriesAlarm: boolean | undefined = undefined;

  constructor(
    number: number, className: string, props: unknown, id: string, name: string | undefined, depth: number,
  ) {
    this.number = number;
    this.className = className;
    this.props = props ?? {};
    this.idText = id;
    this.idName = name;
    this.depth = depth;
    this.gate = new Section(this, null);
  }

  // What ctx.id is.
  makeId(): unknown {
    return this.idText[0] === kTextId ? this.idText.slice(1) : newId(this.idText, this.idName);
  }

  // As errors of its calls tell it.
  get shownId(): string {
    return this.idText[0] === kTextId ? this.idText.slice(1) : this.idText;
  }

  join(invocation: number): void {
    if (this.isOver) return;
    this.invocation = invocation;
    mapSet(byInvocation, invocation, this);
    this.#sources.joined(invocation);
    native.keep(invocation);
  }

  left(invocation: number): void {
    mapDelete(byInvocation, invocation);
    this.#sources.left(invocation);
  }

  sourceCame(source: number): void {
    this.#sources.came(source);
  }

  sourceUnnamed(source: number): void {
    if (!this.isOver) this.#sources.lostName(source);
  }

  end(): void {
    this.isOver = true;
    mapDelete(actors, this.number);
    this.#sources.forgetAll();
    this.facets?.end();
  }

  // Ends it now: whoever waits for it, and whoever calls it by an old stub, gets the error. Never throws.
  reset(error: unknown, dropAlarm = false): void {
    const { name, message } = describe(error);
    this.resetWith(name, message, dropAlarm);
  }

  // With a code when it is the runtime's own doing.
  resetWith(name: string, message: string, dropAlarm = false, code = ""): void {
    if (this.isOver) return;
    this.end();
    const detail = parts.rpc().packDetail({ kind: "error", name, own: { durableObjectReset: true } });
    native.actor_break(this.number, message, false, detail, dropAlarm, code);
  }
}

function gateFor(frame: unknown): Gate | undefined {
  if (isArray(frame)) {
    const pairs = frame as unknown[];
    for (let i = 1; i < pairs.length; i += 2) {
      if (pairs[i] === kSection) return pairs[i + 1] as Section;
    }
    return mapGet(byInvocation, pairs[0] as number)?.gate;
  }
  return mapGet(byInvocation, frame as number)?.gate;
}

let isAdopted = false;

export function addActor(actor: Actor): void {
  if (!isAdopted) {
    isAdopted = true;
    adoptGates(gateFor, (invocation) => mapGet(byInvocation, invocation)?.left(invocation));
  }
  mapSet(actors, actor.number, actor);
}

export function findActor(number: number): Actor | undefined {
  return mapGet(actors, number);
}

export function actorOf(invocation: number): Actor | undefined {
  return mapGet(byInvocation, invocation);
}
