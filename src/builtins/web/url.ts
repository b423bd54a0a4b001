// SPDX-License-Identifier: Apache-2.0
//
// URL (https://url.spec.whatwg.org/#url-class). The parser is native; a URL here is its serialisation and the eight
// offsets that cut it into components, which are sliced when they are read.

import { isObject, toUsv } from "../internal/convert.ts";
import { badConstructorArgument, badArgument, illegalInvocation } from "../internal/errors.ts";
import { charCodeAt, slice } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import type { URLSearchParams } from "./url_search_params.ts";

const kNone = 0xffffffff;
const kAt = 0x40;

// Fields by the numbers of ops.url_set.
const field = { href: 0, protocol: 1, username: 2, password: 3, host: 4, hostname: 5, port: 6, pathname: 7, search: 8,
  hash: 9 } as const;

interface UrlState {
  href: string;
  protocolEnd: number;
  usernameEnd: number;
  hostStart: number;
  hostEnd: number;
  port: number;
  pathStart: number;
  searchStart: number;
  hashStart: number;
  params: URLSearchParams | null;
}

let stateOf: (url: URL) => UrlState;

export class URL {
  #state: UrlState;

  static {
    stateOf = (url) => {
      if (!isObject(url) || !(#state in url)) throw illegalInvocation();
      return url.#state;
    };
  }

  constructor(input: string | URL, base?: string | URL) {
    if (arguments.length === 0) throw badConstructorArgument("URL", 1, "USVString");
    const href = ops.url_parse(toUsv(input), base === undefined ? undefined : toUsv(base));
    if (href === undefined) throw new TypeError("Invalid URL string.");
    this.#state = cut(href, null);
  }

  static canParse(input: string | URL, base?: string | URL): boolean {
    if (arguments.length === 0) throw badArgument("canParse", "URL", 1, "USVString");
    return ops.url_can_parse(toUsv(input), base === undefined ? undefined : toUsv(base));
  }

  static parse(input: string | URL, base?: string | URL): URL | null {
    if (arguments.length === 0) throw badArgument("parse", "URL", 1, "USVString");
    return URL.canParse(input, base) ? new URL(input, base) : null;
  }

  get href(): string {
    return stateOf(this).href;
  }

  set href(value: string) {
    const state = stateOf(this);
    const href = ops.url_parse(toUsv(value), undefined);
    if (href === undefined) {
      throw new TypeError("Failed to set the 'href' property on 'URL': the provided value is not of type 'valid URL string'.");
    }
    this.#state = cut(href, state.params);
    refresh(this.#state);
  }

  get origin(): string {
    return originOf(stateOf(this));
  }

  get protocol(): string {
    const { href, protocolEnd } = stateOf(this);
    return slice(href, 0, protocolEnd);
  }

  set protocol(value: string) { this.#change(field.protocol, value); }

  get username(): string {
    const { href, protocolEnd, usernameEnd } = stateOf(this);
    return protocolEnd + 2 < usernameEnd ? slice(href, protocolEnd + 2, usernameEnd) : "";
  }

  set username(value: string) { this.#change(field.username, value); }

  get password(): string {
    const { href, usernameEnd, hostStart } = stateOf(this);
    return hostStart > usernameEnd ? slice(href, usernameEnd + 1, hostStart) : "";
  }

  set password(value: string) { this.#change(field.password, value); }

  get host(): string {
    return hostOf(stateOf(this));
  }

  set host(value: string) { this.#change(field.host, value); }

  get hostname(): string {
    const state = stateOf(this);
    return slice(state.href, hostBegin(state), state.hostEnd);
  }

  set hostname(value: string) { this.#change(field.hostname, value); }

  get port(): string {
    const { port } = stateOf(this);
    return port === kNone ? "" : `${port}`;
  }

  set port(value: string) { this.#change(field.port, value); }

  get pathname(): string {
    const { href, pathStart, searchStart, hashStart } = stateOf(this);
    return slice(href, pathStart, searchStart !== kNone ? searchStart : hashStart !== kNone ? hashStart : href.length);
  }

  set pathname(value: string) { this.#change(field.pathname, value); }

  get search(): string {
    return searchOf(stateOf(this));
  }

  set search(value: string) {
    this.#change(field.search, value);
    refresh(stateOf(this));
  }

  get searchParams(): URLSearchParams {
    const state = stateOf(this);
    return (state.params ??= parts.params().linkedParams(searchOf(state), (query) => {
      this.#change(field.search, query);
    }));
  }

  get hash(): string {
    const { href, hashStart } = stateOf(this);
    return hashStart === kNone || href.length - hashStart <= 1 ? "" : slice(href, hashStart);
  }

  set hash(value: string) { this.#change(field.hash, value); }

  toString(): string {
    return stateOf(this).href;
  }

  toJSON(): string {
    return stateOf(this).href;
  }

  #change(which: number, value: unknown): void {
    const state = stateOf(this);
    const href = ops.url_set(state.href, which, toUsv(value));
    if (href !== undefined && href !== state.href) this.#state = cut(href, state.params);
  }
}

webClass(URL, "URL", (url) => ({
  href: url.href,
  origin: url.origin,
  protocol: url.protocol,
  username: url.username,
  password: url.password,
  host: url.host,
  hostname: url.hostname,
  port: url.port,
  pathname: url.pathname,
  search: url.search,
  searchParams: url.searchParams,
  hash: url.hash,
}));

// Takes the offsets that the parser has just left.
function cut(href: string, params: URLSearchParams | null): UrlState {
  const c = ops.url_components;
  return {
    href,
    protocolEnd: c[0]!,
    usernameEnd: c[1]!,
    hostStart: c[2]!,
    hostEnd: c[3]!,
    port: c[4]!,
    pathStart: c[5]!,
    searchStart: c[6]!,
    hashStart: c[7]!,
    params,
  };
}

function refresh(state: UrlState): void {
  if (state.params !== null) parts.params().refillParams(state.params, searchOf(state));
}

function searchOf({ href, searchStart, hashStart }: UrlState): string {
  if (searchStart === kNone) return "";
  const end = hashStart === kNone ? href.length : hashStart;
  return end - searchStart <= 1 ? "" : slice(href, searchStart, end);
}

// The host follows the "@" of credentials when there are any.
function hostBegin({ href, hostStart, hostEnd }: UrlState): number {
  return hostStart < hostEnd && charCodeAt(href, hostStart) === kAt ? hostStart + 1 : hostStart;
}

function hostOf(state: UrlState): string {
  const begin = hostBegin(state);
  if (begin === state.hostEnd) return "";
  // Without a port the "/." that may stand before the path belongs to neither.
  return slice(state.href, begin, state.port === kNone ? state.hostEnd : state.pathStart);
}

// https://url.spec.whatwg.org/#concept-url-origin
function originOf(state: UrlState): string {
  const protocol = slice(state.href, 0, state.protocolEnd);
  switch (protocol) {
    case "http:":
    case "https:":
    case "ws:":
    case "wss:":
    case "ftp:":
      return `${protocol}//${hostOf(state)}`;
    case "blob:": {
      const inner = ops.url_parse(slice(state.href, state.pathStart), undefined);
      if (inner === undefined) return "null";
      const parsed = cut(inner, null);
      const scheme = slice(inner, 0, parsed.protocolEnd);
      return scheme === "http:" || scheme === "https:" ? originOf(parsed) : "null";
    }
    default:
      return "null";
  }
}
