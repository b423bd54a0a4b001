// SPDX-License-Identifier: Apache-2.0
//
// multipart/form-data, both ways (RFC 7578, https://html.spec.whatwg.org/#multipart-form-data). Searching is done on a
// Latin-1 string of the bytes, one character a byte, so that the engine's own indexOf does it.

import {
  concatBytes, copyBytes, indexOf, regExpExec, replaceAll, slice, split, startsWith,
  subarray, toLowerCase,
} from "../internal/intrinsics.ts";
import { bytesOfBlob, File } from "./blob.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";
import { type FormData, type FormDataEntryValue, formEntries, formFromEntries } from "./form_data.ts";

const kMaxParts = 10000;

// ---- Writing

let unrandom = 0;

// Random where randomness is to be had; in global scope a number is enough, nobody there holds hostile content yet.
function makeBoundary(): string {
  const unique = ops.in_invocation() ? replaceAll(ops.random_uuid(), "-", "") : `${++unrandom}`.padStart(32, "0");
  return `----insula${unique}`;
}

function escapeName(name: string): string {
  return replaceAll(replaceAll(replaceAll(name, "\n", "%0A"), "\r", "%0D"), '"', "%22");
}

function normalizeLines(text: string): string {
  return text.replace(/\r\n|\r|\n/g, "\r\n");
}

export function encodeMultipart(form: FormData): { bytes: Uint8Array; type: string } {
  const boundary = makeBoundary();
  const entries = formEntries(form);
  const chunks: Uint8Array[] = [];
  let text = "";
  for (let i = 0; i < entries.length; i += 2) {
    const name = escapeName(normalizeLines(entries[i] as string));
    const value = entries[i + 1]!;
    text += `--${boundary}\r\nContent-Disposition: form-data; name="${name}"`;
    if (typeof value === "string") {
      text += `\r\n\r\n${normalizeLines(value)}\r\n`;
      continue;
    }
    text += `; filename="${escapeName(value.name)}"\r\nContent-Type: ${value.type || "application/octet-stream"}\r\n\r\n`;
    chunks[chunks.length] = encodeUtf8(text);
    chunks[chunks.length] = bytesOfBlob(value);
    text = "\r\n";
  }
  chunks[chunks.length] = encodeUtf8(`${text}--${boundary}--\r\n`);
  return { bytes: concatBytes(chunks), type: `multipart/form-data; boundary=${boundary}` };
}

// ---- Reading

const kBoundary = /;\s*boundary=(?:"([^"]*)"|([^;\s]*))/i;

export function parseForm(bytes: Uint8Array, contentType: string | null): FormData {
  const type = contentType ?? "";
  const semicolon = indexOf(type, ";");
  const essence = toLowerCase(semicolon < 0 ? type : slice(type, 0, semicolon)).trim();
  if (essence === "application/x-www-form-urlencoded") {
    const list: string[] = [];
    parts.params().parseUrlEncoded(decodeUtf8(bytes), list);
    return formFromEntries(list);
  }
  if (essence !== "multipart/form-data") {
    throw new TypeError(
      "Unrecognized Content-Type header value. FormData can only parse the following MIME types: " +
        "multipart/form-data, application/x-www-form-urlencoded",
    );
  }
  const match = regExpExec(kBoundary, type);
  const boundary = match === null ? "" : match[1] ?? match[2] ?? "";
  if (boundary === "") {
    throw new TypeError(
      "No boundary string in Content-Type header. The multipart/form-data MIME type requires a boundary parameter, " +
        "e.g. 'Content-Type: multipart/form-data; boundary=\"abcd\"'. See RFC 7578, section 4.",
    );
  }
  return formFromEntries(parseParts(bytes, boundary));
}

function parseParts(bytes: Uint8Array, boundary: string): FormDataEntryValue[] {
  const text = ops.latin1_decode(bytes);
  const delimiter = `--${boundary}`;
  let at = startsWith(text, delimiter) ? 0 : indexOf(text, `\r\n${delimiter}`);
  if (at < 0) throw new TypeError("No initial boundary string (or you have a truncated message).");
  if (at > 0) at += 2;
  at += delimiter.length;

  const entries: FormDataEntryValue[] = [];
  while (!startsWith(text, "--", at)) {
    const lineEnd = indexOf(text, "\r\n", at);
    if (lineEnd < 0 || slice(text, at, lineEnd).trim() !== "") {
      throw new TypeError("A boundary in the multipart/form-data body is followed by something that is not a new line.");
    }
    // A part without any field has its empty line right after the boundary.
    const head = startsWith(text, "\r\n", lineEnd + 2) ? lineEnd : indexOf(text, "\r\n\r\n", lineEnd + 2);
    const bodyStart = head === lineEnd ? lineEnd + 4 : head + 4;
    const bodyEnd = head < 0 ? -1 : indexOf(text, `\r\n${delimiter}`, bodyStart - 2);
    if (bodyEnd < 0) throw new TypeError("The multipart/form-data body ends within a part.");
    if (entries.length >= 2 * kMaxParts) throw new TypeError(`A form may have at most ${kMaxParts} parts.`);
    const body = subarray(bytes, bodyStart, bodyEnd < bodyStart ? bodyStart : bodyEnd);
    addPart(entries, decodeUtf8(subarray(bytes, lineEnd + 2, head < lineEnd + 2 ? lineEnd + 2 : head)), body);
    at = bodyEnd + 2 + delimiter.length;
    if (at >= text.length) throw new TypeError("The multipart/form-data body ends within a part.");
  }
  return entries;
}

const kName = /;\s*name=(?:"([^"]*)"|([^;\s]*))/i;
const kFilename = /;\s*filename=(?:"([^"]*)"|([^;\s]*))/i;

function parameter(pattern: RegExp, line: string): string | null {
  const match = regExpExec(pattern, line);
  if (match === null) return null;
  return replaceAll(replaceAll(replaceAll(match[1] ?? match[2] ?? "", "%0A", "\n"), "%0D", "\r"), "%22", '"');
}

function addPart(entries: FormDataEntryValue[], head: string, body: Uint8Array): void {
  let disposition = "";
  let type = "text/plain";
  const lines = split(head, "\r\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    const colon = indexOf(line, ":");
    if (colon < 0) continue;
    const name = toLowerCase(slice(line, 0, colon)).trim();
    if (name === "content-disposition") disposition = slice(line, colon + 1).trim();
    if (name === "content-type") type = slice(line, colon + 1).trim();
  }
  const name = parameter(kName, disposition);
  if (name === null || !startsWith(toLowerCase(disposition), "form-data")) {
    throw new TypeError('A part of the multipart/form-data body has no "Content-Disposition: form-data; name=..." field.');
  }
  const filename = parameter(kFilename, disposition);
  entries[entries.length] = name;
  entries[entries.length] = filename === null ? decodeUtf8(body) : new File([copyBytes(body)], filename, { type });
}
