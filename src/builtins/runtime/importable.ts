// SPDX-License-Identifier: Apache-2.0
//
// `env` and `exports` as `cloudflare:workers` gives them: views of the Worker's own, or of what withEnv() and
// withExports() have put in their place for the code that runs now.

import { isObject } from "../internal/convert.ts";
import { badArgument } from "../internal/errors.ts";
import { objectCreate } from "../internal/intrinsics.ts";
import { runWith, valueFor } from "./async_frame.ts";
import { workerExports } from "./exports.ts";
import { settings } from "./settings.ts";

// An object that has the properties of whatever `current` gives, at each moment anew.
function viewOn(current: () => object): object {
  return new Proxy({}, {
    get: (_, key) => Reflect.get(current(), key),
    set: (_, key, value) => Reflect.set(current(), key, value),
    has: (_, key) => Reflect.has(current(), key),
    deleteProperty: (_, key) => Reflect.deleteProperty(current(), key),
    ownKeys: () => Reflect.ownKeys(current()),
    getOwnPropertyDescriptor: (_, key) => {
      const descriptor = Reflect.getOwnPropertyDescriptor(current(), key);
      // The proxy's own target lacks the property, so it must be told of as one that may vanish.
      return descriptor === undefined ? undefined : { ...descriptor, configurable: true };
    },
    defineProperty: (_, key, descriptor) => Reflect.defineProperty(current(), key, descriptor),
    preventExtensions: () => false,
    setPrototypeOf: () => false,
  });
}

const envKey = objectCreate(null) as object;
const exportsKey = objectCreate(null) as object;

function replaced(key: object, own: object): object {
  const value = valueFor(key);
  return isObject(value) ? value : own;
}

export const importableEnv: object = viewOn(() => replaced(envKey, settings.env));
export const importableExports: object = viewOn(() => replaced(exportsKey, workerExports()));

function checkCall(name: string, position: number, run: unknown): asserts run is () => unknown {
  if (typeof run !== "function") throw badArgument(name, "EntrypointsModule", position, "function");
}

export function withEnv(env: unknown, run: () => unknown): unknown {
  checkCall("withEnv", 2, run);
  return runWith(envKey, env, run);
}

export function withExports(exports: unknown, run: () => unknown): unknown {
  checkCall("withExports", 2, run);
  return runWith(exportsKey, exports, run);
}

export function withEnvAndExports(env: unknown, exports: unknown, run: () => unknown): unknown {
  checkCall("withEnvAndExports", 3, run);
  return runWith(envKey, env, () => runWith(exportsKey, exports, run));
}
