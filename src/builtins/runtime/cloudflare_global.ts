// SPDX-License-Identifier: Apache-2.0
//
// The global `Cloudflare`: which compatibility flags this Worker runs with. Made when somebody looks: few do, and the
// list is long.

import { defineProperty } from "../internal/intrinsics.ts";
import { native } from "./native.ts";
import { settings } from "./settings.ts";

export function installCloudflare(target: object): void {
  const replace = (value: unknown): void => {
    defineProperty(target, "Cloudflare", { value, writable: true, enumerable: true, configurable: true });
  };
  defineProperty(target, "Cloudflare", {
    get(): unknown {
      const compatibilityFlags = Object.freeze(native.compatibility_settings(settings.date, settings.flags));
      const value = { compatibilityFlags };
      replace(value);
      return value;
    },
    set: replace,
    enumerable: true,
    configurable: true,
  });
}
