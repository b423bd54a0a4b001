// SPDX-License-Identifier: Apache-2.0
//
// Calls on whatever kind of stub.

import { isFetcher, type Service, serviceOf } from "../fetcher.ts";
import { doneCall, type Pending, sendCall } from "./pending.ts";
import { internalsOf, propertyOf, type Root, rootOf } from "./stubs.ts";

class ServiceRoot implements Root {
  readonly #service: Service;

  constructor(service: Service) {
    this.#service = service;
  }

  send(path: readonly string[], args: unknown[] | undefined): Pending {
    return callService(this.#service, path, args);
  }
}

function callService(service: Service, path: readonly string[], args: unknown[] | undefined): Pending {
  const { target, onUse, channel } = service;
  onUse?.();
  return channel === undefined ? sendCall(target, path, args) : channel.send(path, args);
}

// A name that a Fetcher does not have itself.
export function memberOf(service: Service, name: string): object {
  return propertyOf(new ServiceRoot(service), name);
}

// Calls or reads what `path` leads to from a stub, promise or property.
export function farCall(stub: object, path: readonly string[], args: unknown[] | undefined): Pending {
  if (isFetcher(stub)) {
    if (args === undefined && path.length === 0) return doneCall(stub);
    return callService(serviceOf(stub), path, args);
  }
  const start = rootOf(internalsOf(stub)!);
  if (args === undefined && path.length === 0 && start.path.length === 0) return doneCall(stub);
  return start.root.send([...start.path, ...path], args);
}
