// SPDX-License-Identifier: Apache-2.0
//
// Classes of actors in ctx.exports: with storage a namespace, without a class for facets. Both can be called with
// ({props}) for a class whose facets have these props.

import { isObject } from "../../internal/convert.ts";
import { badArgument, badField, illegalConstructor } from "../../internal/errors.ts";
import { setPrototypeOf, weakMapGet, weakMapSet } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import type { Target } from "../calls.ts";
import { addLoopback } from "../exports.ts";
import type { DurableObjectClass } from "../loader.ts";
import { newEngineClass } from "../loader_later.ts";
import { settings } from "../settings.ts";
import { bindNamespace, DurableObjectNamespace } from "./namespace.ts";

const classes = new WeakMap<object, string>();

export class LoopbackDurableObjectNamespace extends DurableObjectNamespace {}
webClass(LoopbackDurableObjectNamespace, "LoopbackDurableObjectNamespace");

export class LoopbackDurableObjectClass {
  constructor() {
    throw illegalConstructor();
  }
}
webClass(LoopbackDurableObjectClass, "LoopbackDurableObjectClass");

function targetFor(className: string, props: unknown): Target {
  const target: Target = {
    kind: 3, capability: 0, id: "", anonymous: 0, source: 0, entrypoint: className, props: undefined, cpuMs: 0,
    subRequests: 0,
  };
  if (props !== undefined) target.props = parts.rpc().packKept(target, props);
  return target;
}

export function newLoopbackClass(name: string): object {
  const space = settings.ownSpaces[name];
  const owner = space === undefined ? LoopbackDurableObjectClass : LoopbackDurableObjectNamespace;
  const stub = (options: unknown): DurableObjectClass => {
    if (!isObject(options)) throw badArgument("(called as function)", owner.name, 1, "Options");
    const { props } = options as { props?: unknown };
    if (props !== undefined && !isObject(props)) throw badField("props", "Options", "Object");
    return newEngineClass(targetFor(name, props));
  };
  Reflect.deleteProperty(stub, "name");
  Reflect.deleteProperty(stub, "length");
  setPrototypeOf(stub, owner.prototype);
  if (space !== undefined) bindNamespace(stub, space);
  weakMapSet(classes, stub, name);
  addLoopback(stub);
  return stub;
}

// What a value of ctx.exports names as a class; undefined for anything else.
export function classOfLoopback(value: object): Target | undefined {
  const name = weakMapGet(classes, value) as string | undefined;
  return name === undefined ? undefined : targetFor(name, undefined);
}
