// SPDX-License-Identifier: Apache-2.0
//
// navigator: what code asks to find out where it runs. The agent is the one that such code looks for.

import { illegalConstructor, illegalInvocation } from "../internal/errors.ts";
import { webClass } from "../internal/web_class.ts";

const token: unique symbol = Symbol("navigator");

export class Navigator {
  #brand = true;

  constructor(secret?: typeof token) {
    if (secret !== token) throw illegalConstructor();
  }

  static #check(navigator: Navigator): void {
    if (!(#brand in navigator)) throw illegalInvocation();
  }

  get userAgent(): string { Navigator.#check(this); return "Cloudflare-Workers"; }
  get platform(): string { Navigator.#check(this); return ""; }
  get language(): string { Navigator.#check(this); return "en"; }
  get languages(): readonly string[] { Navigator.#check(this); return Object.freeze(["en"]); }
  get hardwareConcurrency(): number { Navigator.#check(this); return 1; }
}

webClass(Navigator, "Navigator", (n) => ({ userAgent: n.userAgent, language: n.language }));

export const navigator = new Navigator(token);
