// SPDX-License-Identifier: Apache-2.0
//
// DurableObjectId: 64 hexadecimal digits, and the name that they were made of, when it is known.

import { isObject } from "../../internal/convert.ts";
import { badArgument, illegalConstructor, illegalInvocation } from "../../internal/errors.ts";
import { defineProperty } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";

const secret = {};

export let isId: (value: unknown) => value is DurableObjectId;
export let textOfId: (id: DurableObjectId) => string;

export class DurableObjectId {
  readonly #text: string;
  declare readonly jurisdiction: string | undefined;
  declare readonly name: string | undefined;

  static {
    isId = (value): value is DurableObjectId => isObject(value) && #text in value;
    textOfId = (id) => id.#text;
  }

  constructor(given: object, text: string, name: string | undefined, jurisdiction: string | undefined) {
    if (given !== secret) throw illegalConstructor();
    this.#text = text;
    defineProperty(this, "jurisdiction", { value: jurisdiction, enumerable: true, configurable: true });
    defineProperty(this, "name", { value: name, enumerable: true, configurable: true });
  }

  toString(): string {
    if (!isId(this)) throw illegalInvocation();
    return this.#text;
  }

  equals(other: unknown): boolean {
    if (!isId(this)) throw illegalInvocation();
    if (!isId(other)) throw badArgument("equals", "DurableObjectId", 1, "DurableObjectId");
    return this.#text === other.#text;
  }
}

webClass(DurableObjectId, "DurableObjectId", (id) => ({ name: id.name }));

export function newId(text: string, name: string | undefined, jurisdiction?: string): DurableObjectId {
  return new DurableObjectId(secret, text, name, jurisdiction);
}
