// SPDX-License-Identifier: Apache-2.0
//
// ctx.facets: actors below this one. get() gives a stub at once; its callback, which says what the facet is, runs when the
// facet is not running as far as this instance knows. Calls wait for it, in their order.
//
//   get(name, callback) ──► Facet: starting ──callback──► a target of the host ──► calls
//   abort, delete, clone ──► the Facet is over: its stubs fail for good, the next get() makes a new one
//   closed by the host ──► the Facet rests: whoever still has a stub of it can wake it; if nobody has, it is collected

import { isObject, toText } from "../../internal/convert.ts";
import { badArgument, badField, illegalConstructor, illegalInvocation } from "../../internal/errors.ts";
import {
  mapDelete, mapForEach, mapGet, mapSet, promiseReject, promiseResolve, promiseThen, SafeFinalizationRegistry, SafeMap,
  SafePromise, SafeWeakRef, watchForEnd, weakRefGet,
} from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import type { Response } from "../../web/response.ts";
import { fetchThrough, type Target } from "../calls.ts";
import { newDataCloneError } from "../errors.ts";
import { type Channel, Fetcher, fetcherToken, type Service } from "../fetcher.ts";
import { isEngineClass, targetOfClass } from "../loader_later.ts";
import { native } from "../native.ts";
import type { Pending } from "../rpc/pending.ts";
import { type Actor, findActor, kTextId } from "./actor.ts";
import { isId, textOfId } from "./id.ts";
import { classOfLoopback } from "./loopbacks.ts";
import { askOwn } from "./state.ts";
import { isReset } from "./stub.ts";

const kName = "DurableObjectFacets";
const kNameMax = 256;
const kDepthMax = 4;
const kFacet = 6;
const kTooDeep = "Facet nesting depth limit exceeded. The maximum depth including the root Durable Object is 4.";
const nothing = (): void => {};

type Callback = () => unknown;
interface Failure {
  error: unknown;
}

// What a callback has said.
interface Startup {
  of: Target;
  idText: string;
  idName: string;
  quotaBytes: number;
}

// A facet from its get() to its end, as this instance knows it.
class Facet {
  readonly name: string;
  // The host has closed it; stubs that are there open it again as it was, the next get() asks its callback.
  isResting = false;
  isWatched = false;
  readonly #parent: Actor;
  #startup: Startup | null = null;
  #target: Target | null = null;
  #failure: Failure | undefined;
  // Calls that wait for the callback.
  #waiting: (() => void)[] | null = null;
  // Those that must hear at once when it ends.
  #open: Map<object, (error: unknown) => void> | null = null;

  constructor(parent: Actor, name: string) {
    this.#parent = parent;
    this.name = name;
  }

  // False: it is still being started.
  rest(): boolean {
    if (this.#target === null) return false;
    this.isResting = true;
    this.#dropTarget();
    return true;
  }

  // Before its callback is asked once more.
  restart(): void {
    this.isResting = false;
    this.#startup = null;
  }

  #dropTarget(): void {
    if (this.#target !== null) native.facet_target_drop(this.#target.capability);
    this.#target = null;
  }

  // Throws what is wrong with what the callback has said.
  started(options: unknown): void {
    if (this.#failure !== undefined) return;
    this.#startup = startupOf(options);
    this.#target = targetOf(this.#parent, this.name, this.#startup);
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) return;
    const frame = native.get_current();
    for (let i = 0; i < waiting.length; i++) waiting[i]!();
    native.set_current(frame);
  }

  // It is over: who waits fails with this, and so does every later call.
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#waiting = null;
    this.#dropTarget();
    if (this.#open !== null) mapForEach(this.#open, (reject: (reason: unknown) => void) => reject(error));
  }

  // Runs `send` now, or when the facet has been started, as the code that runs now.
  #whenStarted(send: (target: Target) => void): void {
    if (this.isResting) {
      this.isResting = false;
      this.#target = targetOf(this.#parent, this.name, this.#startup!);
      this.#parent.facets?.wokeUp(this);
    }
    if (this.#target !== null) {
      send(this.#target);
      return;
    }
    const frame = native.get_current();
    this.#waiting ??= [];
    this.#waiting[this.#waiting.length] = () => {
      native.set_current(frame);
      send(this.#target!);
    };
  }

  #began(call: object, reject: (error: unknown) => void): void {
    this.#open ??= new SafeMap<object, (error: unknown) => void>();
    mapSet(this.#open, call, reject);
  }

  #ended(call: object, failure: Failure | undefined): void {
    mapDelete(this.#open!, call);
    if (failure === undefined || !isReset(failure.error)) return;
    // The instance is gone; whoever comes with a new stub starts the next one.
    this.#parent.facets?.forget(this);
    this.fail(failure.error);
  }

  send(path: readonly string[], args: unknown[] | undefined): Pending {
    const rpc = parts.rpc();
    if (this.#failure !== undefined) return rpc.failedCall(this.#failure.error);
    const pending = rpc.newPending();
    this.#began(pending, (error: unknown) => rpc.failCall(pending, error));
    pending.onEnd = (failure) => this.#ended(pending, failure);
    this.#whenStarted((target) => {
      if (pending.isWaiting) rpc.sendAs(pending, target, path, args);
    });
    return pending;
  }

  fetch(input: unknown, init: unknown): Promise<Response> {
    if (this.#failure !== undefined) return promiseReject(this.#failure.error) as Promise<Response>;
    return new SafePromise<Response>((resolve, reject) => {
      this.#began(reject, reject);
      this.#whenStarted((target) => {
        promiseThen(fetchThrough(target, input, init), (response: Response) => {
          this.#ended(reject, undefined);
          resolve(response);
        }, (error: unknown) => {
          this.#ended(reject, { error });
          reject(error);
        });
      });
    });
  }

  // Has it opened: a read of a name that no class can have runs none of its code but the constructor.
  open(): Promise<unknown> {
    return promiseThen(this.send(["dup"], undefined).promise(), nothing, nothing);
  }
}

// What get() gives: bound to a facet by its first use, so that a stub made before an abort reaches the next one.
class FacetChannel implements Channel {
  readonly #find: () => Facet;
  #facet: Facet | null = null;

  constructor(find: () => Facet) {
    this.#find = find;
  }

  send(path: readonly string[], args: unknown[] | undefined): Pending {
    return (this.#facet ??= this.#find()).send(path, args);
  }

  fetch(input: unknown, init: unknown): Promise<Response> {
    return (this.#facet ??= this.#find()).fetch(input, init);
  }

  give(): Target {
    throw newDataCloneError("Stubs pointing to Durable Object facets are not serializable.");
  }
}

function stubOf(find: () => Facet): Fetcher {
  const nowhere: Target = {
    kind: kFacet, capability: 0, id: "", anonymous: 0, source: 0, entrypoint: "", props: undefined, cpuMs: 0, subRequests: 0,
  };
  const service: Service = { target: nowhere, onUse: null, channel: new FacetChannel(find) };
  return new Fetcher(fetcherToken, service);
}

// All facets of one actor.
export class Facets {
  readonly #actor: Actor;
  #running = new SafeMap<string, Facet>();
  #resting = new SafeMap<string, WeakRef<Facet>>();
  #collected: FinalizationRegistry<string> | undefined;
  // What this instance has said of each name, for alarms.
  readonly #callbacks = new SafeMap<string, Callback>();

  constructor(actor: Actor) {
    this.#actor = actor;
  }

  get(name: string, callback: Callback): Fetcher {
    if (this.#actor.depth >= kDepthMax) throw new Error(kTooDeep);
    mapSet(this.#callbacks, name, callback);
    const find = (): Facet => this.#facetFor(name, callback);
    find();
    return stubOf(find);
  }

  #facetFor(name: string, callback: Callback): Facet {
    let facet = mapGet(this.#running, name);
    if (facet !== undefined) return facet;
    facet = this.#atRest(name);
    mapDelete(this.#resting, name);
    if (facet === undefined) facet = new Facet(this.#actor, name);
    else facet.restart();
    mapSet(this.#running, name, facet);
    const found = facet;
    // Not within get(), and after what its caller has already put in the way.
    const later = promiseThen(promiseThen(promiseResolve(), nothing), () => callback());
    promiseThen(later, (options: unknown) => this.#start(found, options), (error: unknown) => this.#failed(found, error));
    return found;
  }

  #atRest(name: string): Facet | undefined {
    const reference = mapGet(this.#resting, name);
    return reference === undefined ? undefined : weakRefGet(reference);
  }

  #start(facet: Facet, options: unknown): void {
    if (this.#actor.isOver) return;
    try {
      facet.started(options);
    } catch (error) {
      this.#failed(facet, error);
    }
  }

  // The next get() of that name asks its own callback.
  #failed(facet: Facet, error: unknown): void {
    this.forget(facet);
    facet.fail(error);
  }

  forget(facet: Facet): void {
    if (mapGet(this.#running, facet.name) === facet) mapDelete(this.#running, facet.name);
    if (this.#atRest(facet.name) === facet) mapDelete(this.#resting, facet.name);
  }

  // The host has closed it. Whoever has a stub keeps it; of one that nobody knows nothing is left.
  closed(name: string): void {
    const facet = mapGet(this.#running, name);
    if (facet === undefined || !facet.rest()) return;
    mapDelete(this.#running, name);
    mapSet(this.#resting, name, new SafeWeakRef(facet));
    if (facet.isWatched) return;
    facet.isWatched = true;
    this.#collected ??= new SafeFinalizationRegistry((gone) => {
      if (this.#atRest(gone) === undefined) mapDelete(this.#resting, gone);
    });
    watchForEnd(this.#collected, facet, name);
  }

  wokeUp(facet: Facet): void {
    mapDelete(this.#resting, facet.name);
    mapSet(this.#running, facet.name, facet);
  }

  kill(name: string, error: unknown): void {
    const facet = mapGet(this.#running, name) ?? this.#atRest(name);
    mapDelete(this.#running, name);
    mapDelete(this.#resting, name);
    facet?.fail(error);
  }

  usage(name: string): Promise<Readonly<Record<string, unknown>>> {
    return askOwn(this.#actor, "facet.usage", { name });
  }

  tell(operation: string, detail: object): void {
    promiseThen(askOwn(this.#actor, operation, detail), undefined, nothing);
  }

  deleteAll(): void {
    const fail = (facet: Facet | undefined): void => facet?.fail(new Error("Facet was deleted."));
    mapForEach(this.#running, fail);
    mapForEach(this.#resting, (reference: WeakRef<Facet>) => fail(weakRefGet(reference)));
    this.end();
    this.tell("facet.deleteAll", {});
  }

  // Of the actor itself: nobody waits any more.
  end(): void {
    this.#running = new SafeMap<string, Facet>();
    this.#resting = new SafeMap<string, WeakRef<Facet>>();
  }

  // The facet has an alarm, or a WebSocket with a message, and is not open: whoever knows what it is starts it.
  wake(name: string, self: object, isSocket: boolean): unknown {
    const callback = mapGet(this.#callbacks, name);
    if (callback === undefined) {
      const { facetAlarm } = self as { facetAlarm?: unknown };
      if (typeof facetAlarm !== "function") {
        if (isSocket) return undefined;  // It is started as it was.
        throw new Error(`The facet "${name}" has an alarm, but its parent has not called ctx.facets.get() for it since it ` +
          "was started, and has no method facetAlarm(name).");
      }
      const asked = promiseResolve(Reflect.apply(facetAlarm, self, [name]) as unknown);
      return promiseThen(asked, () => {
        const given = mapGet(this.#callbacks, name);
        return given === undefined ? undefined : this.#facetFor(name, given).open();
      });
    }
    return this.#facetFor(name, callback).open();
  }
}

function startupOf(options: unknown): Startup {
  if (options === undefined || options === null) {
    throw new TypeError("Cannot initialize StartupOptions with required members from an undefined or null value.");
  }
  if (!isObject(options)) throw new TypeError("Callback returned incorrect type; expected 'Promise'");
  const { class: given, id, quotaBytes } = options as { class?: unknown; id?: unknown; quotaBytes?: unknown };
  const of = isEngineClass(given) ? targetOfClass(given) : isObject(given) ? classOfLoopback(given) : undefined;
  if (of === undefined) {
    throw badField("class", "StartupOptions",
      "DurableObjectClass or LoopbackDurableObjectNamespace or LoopbackColoLocalActorNamespace");
  }
  let idText = "";
  let idName = "";
  if (isId(id)) {
    idText = textOfId(id);
    idName = id.name ?? "";
  } else if (id !== undefined && id !== null) {
    idText = kTextId + toText(id);
  }
  return { of, idText, idName, quotaBytes: quotaOf(quotaBytes) };
}

function targetOf(actor: Actor, name: string, { of, idText, idName, quotaBytes }: Startup): Target {
  const number = native.facet_target(actor.number, name, idText, idName, of.kind, of.capability, of.id, of.anonymous,
    of.source, of.entrypoint, of.props, quotaBytes);
  return {
    kind: kFacet, capability: number, id: "", anonymous: 0, source: 0, entrypoint: "", props: undefined, cpuMs: 0,
    subRequests: 0, keeps: of,
  };
}

function quotaOf(value: unknown): number {
  if (value === undefined || value === null) return 0;
  const bytes = Number(value);
  if (!(bytes >= 1)) throw new RangeError("quotaBytes must be a positive number of bytes.");
  return bytes;
}

// ---- What the class sees

let facetsOf: (view: unknown) => Facets;
const secret = {};

function nameOf(method: string, args: readonly unknown[], position: number): string {
  if (args.length < position) throw badArgument(method, kName, position, "string");
  const name = toText(args[position - 1]);
  if (name.length > kNameMax || (name.length > kNameMax / 3 && native.utf8_encode(name).byteLength > kNameMax)) {
    throw new TypeError(`Facet name is too long (max ${kNameMax} characters).`);
  }
  if (name === "") throw new TypeError("Facet name must not be empty.");
  return name;
}

export class DurableObjectFacets {
  readonly #facets: Facets;

  static {
    facetsOf = (view) => {
      if (!isObject(view) || !(#facets in view)) throw illegalInvocation();
      return view.#facets;
    };
  }

  constructor(given: object, facets: Facets) {
    if (given !== secret) throw illegalConstructor();
    this.#facets = facets;
  }

  get(...args: unknown[]): Fetcher {
    const facets = facetsOf(this);
    const name = nameOf("get", args, 1);
    const callback = args[1];
    if (typeof callback !== "function") throw badArgument("get", kName, 2, "function");
    return facets.get(name, callback as Callback);
  }

  abort(...args: unknown[]): void {
    const facets = facetsOf(this);
    const name = nameOf("abort", args, 1);
    if (args.length < 2) throw badArgument("abort", kName, 2, "Value");
    const reason = args[1];
    facets.kill(name, reason);
    facets.tell("facet.abort", { name, reason: messageOf(reason) });
  }

  delete(...args: unknown[]): void {
    const facets = facetsOf(this);
    const name = nameOf("delete", args, 1);
    facets.kill(name, new Error("Facet was deleted."));
    facets.tell("facet.delete", { name });
  }

  clone(...args: unknown[]): void {
    const facets = facetsOf(this);
    const from = nameOf("clone", args, 1);
    const to = nameOf("clone", args, 2);
    facets.kill(to, new Error("Facet was cloned-over."));
    facets.tell("facet.clone", { from, to });
  }

  // Ours: what a facet takes up.
  usage(...args: unknown[]): Promise<Readonly<Record<string, unknown>>> {
    return facetsOf(this).usage(nameOf("usage", args, 1));
  }
}

webClass(DurableObjectFacets, kName);

function messageOf(reason: unknown): string {
  try {
    const { message } = isObject(reason) ? (reason as { message?: unknown }) : {};
    return typeof message === "string" ? message : String(reason);
  } catch {
    return "";
  }
}

export function newFacetsView(facets: Facets): DurableObjectFacets {
  return new DurableObjectFacets(secret, facets);
}

// Called by the host: a facet below `parent` is open no more.
export function facetClosed(parent: number, name: string): void {
  findActor(parent)?.facets?.closed(name);
}
