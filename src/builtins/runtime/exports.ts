// SPDX-License-Identifier: Apache-2.0
//
// ctx.exports: stubs of the Worker's own entrypoints. A stub can be used as it is, without props, or called with
// ({props}) for a stub with these props. A call goes through the mailbox like one from elsewhere, and is an invocation
// of its own.

import { isObject } from "../internal/convert.ts";
import { badArgument, badField } from "../internal/errors.ts";
import { setPrototypeOf, weakMapGet, weakMapSet } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import type { Target } from "./calls.ts";
import { bindTarget, Fetcher, newFetcher } from "./fetcher.ts";

export class LoopbackServiceStub extends Fetcher {}

const loopbacks = new WeakMap<object, true>();

// An entrypoint that each Worker has: stands for one of its objects, which its props name, so that its stub can travel.
export const kObjectEntrypoint = "(object)";

// A stub of ctx.exports as it stands there.
export function isUncalledExport(value: object): boolean {
  return typeof value === "function" && weakMapGet(loopbacks, value) === true;
}

webClass(LoopbackServiceStub, "LoopbackServiceStub");

let names: readonly string[] = [];
let actorNames: readonly string[] = [];
let stubs: Record<string, unknown> | null = null;

function targetFor(entrypoint: string, props: Packed | undefined): Target {
  return { kind: 3, capability: 0, id: "", anonymous: 0, source: 0, entrypoint, props, cpuMs: 0, subRequests: 0 };
}

function newLoopback(entrypoint: string): object {
  const stub = (options: unknown): Fetcher => {
    if (!isObject(options)) throw badArgument("(called as function)", "LoopbackServiceStub", 1, "Options");
    const { props } = options as { props?: unknown };
    if (props === undefined) return newFetcher(targetFor(entrypoint, undefined));
    if (!isObject(props)) throw badField("props", "Options", "Object");
    const target = targetFor(entrypoint, undefined);
    target.props = parts.rpc().packKept(target, props);
    return newFetcher(target);
  };
  // A stub has the members of a stub, not those of a function.
  Reflect.deleteProperty(stub, "name");
  Reflect.deleteProperty(stub, "length");
  setPrototypeOf(stub, LoopbackServiceStub.prototype);
  bindTarget(stub, targetFor(entrypoint, undefined));
  weakMapSet(loopbacks, stub, true);
  return stub;
}

function fill(into: Record<string, unknown>): void {
  for (const name of names) into[name] = newLoopback(name);
  for (const name of actorNames) into[name] = parts.actors().newLoopbackClass(name);
}

// Of a class of actors: what isUncalledExport() knows too.
export function addLoopback(stub: object): void {
  weakMapSet(loopbacks, stub, true);
}

// Called when the main module has run. The object may have been given away before; it is filled now.
export function setExports(entrypoints: readonly string[], actorClasses: readonly string[]): void {
  names = entrypoints;
  actorNames = actorClasses;
  if (stubs !== null) fill(stubs);
}

// One object for the Worker's whole life, made when somebody asks for it. Empty in global scope.
export function workerExports(): Record<string, unknown> {
  if (stubs === null) {
    stubs = {};
    fill(stubs);
  }
  return stubs;
}
