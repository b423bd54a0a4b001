// SPDX-License-Identifier: Apache-2.0
//
// The errors that many classes throw, each text in one place.

export function illegalInvocation(): TypeError {
  return new TypeError("Illegal invocation: function called with incorrect `this` reference.");
}

export function illegalConstructor(): TypeError {
  return new TypeError("Illegal constructor");
}

// An argument of a method or a global function that has the wrong type.
export function badArgument(method: string, owner: string, position: number, type: string): TypeError {
  return new TypeError(`Failed to execute '${method}' on '${owner}': parameter ${position} is not of type '${type}'.`);
}

export function badConstructorArgument(owner: string, position: number, type: string): TypeError {
  return new TypeError(`Failed to construct '${owner}': constructor parameter ${position} is not of type '${type}'.`);
}

// A member of an options object that has the wrong type.
export function badField(field: string, dictionary: string, type: string): TypeError {
  return new TypeError(
    `Incorrect type for the '${field}' field on '${dictionary}': the provided value is not of type '${type}'.`,
  );
}

export function disallowedInGlobalScope(): Error {
  return new Error(
    "Disallowed operation called within global scope. Asynchronous I/O (ex: fetch() or connect()), setting a timeout, " +
      "and generating random values are not allowed within global scope. To fix this error, perform this operation " +
      "within a handler. https://developers.cloudflare.com/workers/runtime-apis/handlers/",
  );
}

// Throws unless an event is being handled.
export function requireInvocation(): void {
  if (!ops.in_invocation()) throw disallowedInGlobalScope();
}
