// SPDX-License-Identifier: Apache-2.0
//
// DurableObjectNamespace: makes ids and stubs. Neither asks anybody: ids are keyed by the namespace.

import { isObject, toText } from "../../internal/convert.ts";
import { badArgument, illegalConstructor, illegalInvocation } from "../../internal/errors.ts";
import { regExpExec, toLowerCase, weakMapGet, weakMapSet } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import { native } from "../native.ts";
import type { Space } from "../settings.ts";
import { type DurableObjectId, isId, newId, textOfId } from "./id.ts";
import { newStub } from "./stub.ts";

interface State {
  readonly space: Space;
  readonly jurisdiction: string | undefined;
}

const kName = "DurableObjectNamespace";
const secret = {};
// Not private members: those of ctx.exports are functions.
const states = new WeakMap<object, State>();
const idPattern = /^[0-9a-fA-F]{64}$/;

function stateOf(self: unknown): State {
  const state = isObject(self) ? weakMapGet(states, self) as State | undefined : undefined;
  if (state === undefined) throw illegalInvocation();
  return state;
}

interface StubOptions {
  routingMode?: unknown;
}

// What is asked for about the place is up to the node.
function checkOptions(method: string, options: unknown): void {
  if (options === undefined || options === null) return;
  if (!isObject(options)) throw badArgument(method, kName, 2, "GetDurableObjectOptions");
  const { routingMode } = options as StubOptions;
  if (routingMode === undefined) return;
  const mode = toText(routingMode);
  if (mode !== "primary-only") throw new RangeError(`unknown routingMode: ${mode}`);
}

function idOfName({ space, jurisdiction }: State, name: string): DurableObjectId {
  return newId(native.namespace_id(space.key, name), name, jurisdiction);
}

export class DurableObjectNamespace {
  constructor(given: unknown = undefined, state: unknown = undefined) {
    if (given !== secret) throw illegalConstructor();
    weakMapSet(states, this, state);
  }

  newUniqueId(options?: unknown): DurableObjectId {
    const { space, jurisdiction } = stateOf(this);
    if (options !== undefined && options !== null && !isObject(options)) {
      throw badArgument("newUniqueId", kName, 1, "NewUniqueIdOptions");
    }
    const wanted = isObject(options) ? (options as { jurisdiction?: unknown }).jurisdiction : undefined;
    return newId(native.namespace_id(space.key, undefined), undefined,
      wanted === undefined || wanted === null ? jurisdiction : toText(wanted));
  }

  idFromName(...args: unknown[]): DurableObjectId {
    const state = stateOf(this);
    if (args.length === 0) throw badArgument("idFromName", kName, 1, "string");
    return idOfName(state, toText(args[0]));
  }

  idFromString(...args: unknown[]): DurableObjectId {
    const { space, jurisdiction } = stateOf(this);
    if (args.length === 0) throw badArgument("idFromString", kName, 1, "string");
    const text = toText(args[0]);
    if (regExpExec(idPattern, text) === null) throw new TypeError("Invalid Durable Object ID: must be 64 hex digits");
    const digits = toLowerCase(text);
    if (!native.namespace_check(space.key, digits)) {
      throw new TypeError("Durable Object ID is not valid for this namespace.");
    }
    return newId(digits, undefined, jurisdiction);
  }

  get(...args: unknown[]): object {
    const { space, jurisdiction } = stateOf(this);
    const [id, options] = args;
    if (!isId(id)) throw badArgument("get", kName, 1, "DurableObjectId");
    checkOptions("get", options);
    if (jurisdiction !== undefined && id.jurisdiction !== jurisdiction) {
      throw new TypeError("get called on jurisdictional subnamespace with an ID from a different jurisdiction");
    }
    return newStub(space, id, textOfId(id));
  }

  getByName(...args: unknown[]): object {
    const state = stateOf(this);
    if (args.length === 0) throw badArgument("getByName", kName, 1, "string");
    const id = idOfName(state, toText(args[0]));
    checkOptions("getByName", args[1]);
    return newStub(state.space, id, textOfId(id));
  }

  jurisdiction(...args: unknown[]): DurableObjectNamespace {
    const { space, jurisdiction } = stateOf(this);
    const wanted = args[0] === undefined || args[0] === null ? undefined : toText(args[0]);
    if (jurisdiction !== undefined) throw new TypeError("jurisdiction called on a jurisdictional subnamespace");
    return new DurableObjectNamespace(secret, { space, jurisdiction: wanted });
  }
}

webClass(DurableObjectNamespace, kName);

export function newNamespace(space: Space): DurableObjectNamespace {
  return new DurableObjectNamespace(secret, { space, jurisdiction: undefined });
}

// Gives an object the members of a namespace; its prototype is the caller's business.
export function bindNamespace(to: object, space: Space): void {
  weakMapSet(states, to, { space, jurisdiction: undefined });
}
