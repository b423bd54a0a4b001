// SPDX-License-Identifier: Apache-2.0
import { host } from "./mock_ops.ts";

import assert from "node:assert/strict";
import { test } from "node:test";

import { URL } from "../../src/builtins/web/url.ts";
import { URLSearchParams } from "../../src/builtins/web/url_search_params.ts";

const NodeUrl = globalThis.URL;
const NodeParams = globalThis.URLSearchParams;
const kFields = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search",
  "hash"] as const;

const kUrls = [
  "http://a", "https://u:p@a.b:81/x/y?q=1&r#h", "http://u@a/", "http://:p@a/", "http://a:80/", "https://[::1]:8443/x",
  "http://a/?", "http://a/#", "http://a/?#", "http://a?x#y?z", "file:///etc/passwd", "file://host/x", "data:text/plain,x?y#z",
  "mailto:a@b", "blob:https://a.b:8/uuid", "blob:nope", "about:blank", "ws://a:1/", "wss://a/", "ftp://a/", "x:y",
  "web+demo:/.//not-a-host/", "foo://bar:9/baz?#", "foo:///x", "http://ü.example/ü?ü#ü", "javascript:1",
];

test("components are those of the standard's parser", () => {
  for (const input of kUrls) {
    const ours = new URL(input);
    const theirs = new NodeUrl(input);
    for (const field of kFields) assert.equal(ours[field], theirs[field], `${field} of ${input}`);
    assert.equal(String(ours), theirs.href);
    assert.equal(JSON.stringify(ours), JSON.stringify(theirs));
  }
});

test("setters", () => {
  const changes = [["protocol", "https"], ["username", "me"], ["password", "p:w"], ["host", "c.d:99"], ["hostname", "e"],
    ["port", "1"], ["port", ""], ["pathname", "/n m"], ["search", "?k=v"], ["search", ""], ["hash", "z"], ["hash", ""],
    ["port", "nope"], ["href", "http://new/?n#m"]] as const;
  for (const input of ["http://a/", "https://u:p@a.b:81/x/y?q=1&r#h", "mailto:a@b", "file:///x"]) {
    const ours = new URL(input);
    const theirs = new NodeUrl(input);
    for (const [field, value] of changes) {
      ours[field] = value;
      theirs[field] = value;
      for (const each of kFields) assert.equal(ours[each], theirs[each], `${each} of ${input} after ${field}`);
    }
  }
});

test("bases, canParse, parse, errors", () => {
  assert.equal(new URL("../x?y", "http://a/b/c/d").href, "http://a/b/x?y");
  assert.equal(new URL("y", new URL("http://a/x")).href, "http://a/y");
  assert.equal(URL.canParse("x"), false);
  assert.equal(URL.canParse("x", "http://a"), true);
  assert.equal(URL.parse("x"), null);
  assert.equal(URL.parse("x", "http://a")!.href, "http://a/x");
  for (const input of ["x", "http://[", ""]) {
    assert.throws(() => new URL(input), { name: "TypeError", message: "Invalid URL string." });
  }
  assert.throws(() => (new URL("http://a").href = "x"), {
    name: "TypeError",
    message: "Failed to set the 'href' property on 'URL': the provided value is not of type 'valid URL string'.",
  });
  assert.throws(() => new (URL as unknown as new () => URL)(), {
    message: "Failed to construct 'URL': constructor parameter 1 is not of type 'USVString'.",
  });
});

test("reading a component does not parse", () => {
  const url = new URL("https://u:p@a.b:81/x/y?q=1&r#h");
  host.calls.length = 0;
  for (const field of kFields) void url[field];
  assert.deepEqual(host.calls, []);
});

test("URL and its searchParams stay in step", () => {
  const url = new URL("http://a/?x=1&y=2#h");
  const params = url.searchParams;
  assert.equal(url.searchParams, params);
  params.append("z", "ü &");
  assert.equal(url.href, "http://a/?x=1&y=2&z=%C3%BC+%26#h");
  params.delete("x");
  params.set("y", "3");
  assert.equal(url.search, "?y=3&z=%C3%BC+%26");
  url.search = "?a=b";
  assert.deepEqual([...params], [["a", "b"]]);
  url.href = "http://b/?c=d";
  assert.deepEqual([...params], [["c", "d"]]);
  params.delete("c");
  assert.equal(url.href, "http://b/");
  params.append("k", "v");
  params.sort();
  assert.equal(url.search, "?k=v");
});

test("URLSearchParams reads and writes as the standard says", () => {
  const inputs = ["", "?", "a", "a=", "=a", "a=b&a=c", "?a=1&&b=%20+%2B", "a=%zz%4", "ü=%C3%BC", "a=%ff", "a==b", "%41=%e2%82",
    "a=\ud800", "a=%", "a=%1", "a=%2541"];
  for (const input of inputs) {
    const ours = new URLSearchParams(input);
    const theirs = new NodeParams(input);
    assert.deepEqual([...ours], [...theirs], input);
    assert.equal(String(ours), String(theirs), input);
    assert.equal(ours.size, theirs.size);
  }
  const all = Array.from({ length: 300 }, (_, i) => String.fromCharCode(i)).join("");
  assert.equal(String(new URLSearchParams([[all, all]])), String(new NodeParams([[all, all]])));
});

test("URLSearchParams: forms of init and methods", () => {
  assert.equal(String(new URLSearchParams({ a: "1", b: "2" })), "a=1&b=2");
  assert.equal(String(new URLSearchParams(new Map([["a", "1"]]))), "a=1");
  assert.equal(String(new URLSearchParams(new URLSearchParams("a=1&a=2"))), "a=1&a=2");
  assert.equal(String(new URLSearchParams(null as never)), "null=");
  assert.throws(() => new URLSearchParams([["a"]]), {
    name: "TypeError", message: "Invalid URL search params sequence.",
  });
  const params = new URLSearchParams("b=2&a=1&b=3");
  assert.deepEqual(params.getAll("b"), ["2", "3"]);
  assert.equal(params.get("c"), null);
  assert.equal(params.has("b", "3"), true);
  assert.equal(params.has("b", "4"), false);
  params.sort();
  assert.equal(String(params), "a=1&b=2&b=3");
  params.delete("b", "2");
  assert.equal(String(params), "a=1&b=3");
  const seen: string[] = [];
  for (const [name] of params) {
    seen.push(name);
    if (seen.length < 4) params.append(`n${seen.length}`, "");  // The iterator sees what is added on the way.
  }
  assert.deepEqual(seen, ["a", "b", "n1", "n2", "n3"]);
  assert.equal(Object.prototype.toString.call(params.entries()), "[object URLSearchParams Iterator]");
  assert.deepEqual([...params.keys()].length, [...params.values()].length);
});
