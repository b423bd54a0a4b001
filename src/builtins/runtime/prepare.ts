// SPDX-License-Identifier: Apache-2.0
//
// Preparation of a blank isolate for its Worker: env and settings, before any of the Worker's code runs.

import { capabilityTarget, newFetcher } from "./fetcher.ts";
import { addDisposers } from "./rpc/classes.ts";
import { settings } from "./settings.ts";
import { tails } from "../web/console_later.ts";

type BindingEntry = readonly [
  name: string, kind: number, text: string, capability: number, key: Uint8Array | undefined,
];

// Called by the host first. `env` is a dynamic Worker's, already a value of this isolate; entries are a static one's.
export function prepare(
  entries: readonly BindingEntry[], env: unknown, flags: readonly string[], hasOutbound: boolean, date: string,
  hasTails = false,
): void {
  // No second thread could ever use these (threat-model.md section 5). Not earlier: V8 adds to them when it brings the
  // snapshot back to life.
  Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
  Reflect.deleteProperty(globalThis, "Atomics");
  addDisposers();
  settings.flags = flags;
  settings.hasOutbound = hasOutbound;
  settings.date = date;
  tails.areThere = hasTails;
  if (typeof env === "object" && env !== null) Object.assign(settings.env, env);
  for (const [name, kind, text, capability, key] of entries) {
    const binding = kind === kNamespace ? namespaceOf(name, text, capability, key!) : bindingOf(kind, text, capability);
    if (binding !== undefined) settings.env[name] = binding;
  }
}

const kNamespace = 4;

// Without a name it is that of an own class, for ctx.exports.
function namespaceOf(name: string, className: string, capability: number, key: Uint8Array): object | undefined {
  const space = { index: settings.spaces.length, capability, key };
  settings.spaces[space.index] = space;
  if (name !== "") return parts.actors().newNamespace(space);
  settings.ownSpaces[className] = space;
  return undefined;
}

function bindingOf(kind: number, text: string, capability: number): unknown {
  switch (kind) {
    case 0:  // text
      return text;
    case 1:  // JSON
      return JSON.parse(text) as unknown;
    case 2:  // loader
      return parts.loader().newLoader(capability);
    case 5:  // workflow
      return parts.workflows().newWorkflow(capability);
    default:  // fetcher
      return newFetcher(capabilityTarget(capability));
  }
}
