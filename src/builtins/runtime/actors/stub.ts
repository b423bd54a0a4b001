// SPDX-License-Identifier: Apache-2.0
//
// The stub of a Durable Object. It asks for nothing until it is used. When one of its calls has met the end of the
// instance (an abort, a failed critical section), it fails with the same error for good; a new stub reaches the next
// instance.

import { isObject } from "../../internal/convert.ts";
import { defineProperty, promiseReject, promiseThen } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import type { Response } from "../../web/response.ts";
import { fetchThrough, type Target } from "../calls.ts";
import { encodeUtf8 } from "../../web/utf8.ts";
import { kObjectEntrypoint } from "../exports.ts";
import { type Channel, Fetcher, fetcherToken, type Service } from "../fetcher.ts";
import type { Pending } from "../rpc/pending.ts";
import { settings, type Space } from "../settings.ts";
import { type DurableObjectId, newId } from "./id.ts";

const kNameBytesMax = 1024;

// Was it the runtime that said so, of the instance's end?
export function isReset(error: unknown): boolean {
  const { durableObjectReset, remote } = isObject(error)
    ? (error as { durableObjectReset?: unknown; remote?: unknown }) : {};
  return durableObjectReset === true && remote !== true;
}

class ObjectChannel implements Channel {
  readonly target: Target;
  readonly #space: Space;
  #failure: { error: unknown } | undefined;

  constructor(space: Space, text: string, name: string | undefined) {
    this.#space = space;
    // A long name is not restored inside the object.
    const told = name !== undefined && encodeUtf8(name).byteLength <= kNameBytesMax ? name : "";
    this.target = {
      kind: 5, capability: space.capability, id: text, anonymous: 0, source: 0, entrypoint: told, props: undefined,
      cpuMs: 0, subRequests: 0,
    };
  }

  readonly #end = (failure: { error: unknown } | undefined): void => {
    if (failure !== undefined && isReset(failure.error)) this.#failure ??= failure;
  };

  send(path: readonly string[], args: unknown[] | undefined): Pending {
    const rpc = parts.rpc();
    if (this.#failure !== undefined) return rpc.failedCall(this.#failure.error);
    const pending = rpc.sendCall(this.target, path, args);
    if (pending.isWaiting) pending.onEnd = this.#end;
    return pending;
  }

  fetch(input: unknown, init: unknown): Promise<Response> {
    if (this.#failure !== undefined) return promiseReject(this.#failure.error) as Promise<Response>;
    const response = fetchThrough(this.target, input, init);
    promiseThen(response, undefined, (error: unknown) => this.#end({ error }));
    return response;
  }

  give(): Target {
    const target: Target = {
      kind: 3, capability: 0, id: "", anonymous: 0, source: 0, entrypoint: kObjectEntrypoint, props: undefined,
      cpuMs: 0, subRequests: 0,
    };
    const props = { space: this.#space.index, id: this.target.id, name: this.target.entrypoint };
    target.props = parts.rpc().packKept(target, props);
    return target;
  }
}

export class DurableObject extends Fetcher {
  declare readonly name: string | undefined;
  declare readonly id: DurableObjectId;

  constructor(secret: unknown = undefined, service: unknown = undefined, id: unknown = undefined) {
    super(secret, service);
    const own = { enumerable: true, configurable: true };
    defineProperty(this, "name", { value: (id as DurableObjectId).name, ...own });
    defineProperty(this, "id", { value: id, ...own });
  }
}

webClass(DurableObject, "DurableObject", (stub) => ({ name: stub.name, id: stub.id }));

export function newStub(space: Space, id: DurableObjectId, text: string): DurableObject {
  const channel = new ObjectChannel(space, text, id.name);
  const service: Service = { target: channel.target, onUse: null, channel };
  return new DurableObject(fetcherToken, service, id);
}

// Of a stub that has travelled: the object that its props name.
export function objectOf(props: unknown): DurableObject {
  const { space, id, name } = props as { space: number; id: string; name: string };
  return newStub(settings.spaces[space]!, newId(id, name === "" ? undefined : name), id);
}
