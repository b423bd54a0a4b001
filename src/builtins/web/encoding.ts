// SPDX-License-Identifier: Apache-2.0
//
// TextEncoder and TextDecoder (https://encoding.spec.whatwg.org/#api). UTF-8 is native; the other encodings that
// Workers meet, UTF-16 and windows-1252 (which is what "latin1" and "ascii" mean on the web), are decoded here.

import { isObject, toText, toUsv } from "../internal/convert.ts";
import { badArgument, illegalInvocation } from "../internal/errors.ts";
import {
  apply, byteLengthOf, charCodeAt, concatBytes, copyBytes, fromCharCode, isBytes, isWellFormed, objectCreate, slice, split,
  subarray, toLowerCase, toWellFormed, typedArrayName, viewOf,
} from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";

// https://encoding.spec.whatwg.org/#textencoder
export class TextEncoder {
  #brand = true;

  get encoding(): string {
    if (!(#brand in this)) throw illegalInvocation();
    return "utf-8";
  }

  encode(input: string = ""): Uint8Array {
    if (!(#brand in this)) throw illegalInvocation();
    return ops.utf8_encode(toText(input));
  }

  encodeInto(source: string, destination: Uint8Array): { read: number; written: number } {
    if (!(#brand in this)) throw illegalInvocation();
    const text = toText(source);
    if (!isObject(destination) || !isBytes(destination) || typedArrayName(destination) !== "Uint8Array") {
      throw badArgument("encodeInto", "TextEncoder", 2, "Uint8Array");
    }
    const written = ops.utf8_encode_into(text, destination);
    return { read: ops.text_result[0]!, written };
  }
}

webClass(TextEncoder, "TextEncoder", (encoder) => ({ encoding: encoder.encoding }));

// ---- TextDecoder

type Encoding = "utf-8" | "utf-16le" | "utf-16be" | "windows-1252";

const labelsOf: Readonly<Record<Encoding, string>> = {
  "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
  "utf-16le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
  "utf-16be": "unicodefffe utf-16be",
  "windows-1252":
    "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 " +
    "iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
};

const encodings = objectCreate(null) as Record<string, Encoding>;
for (const encoding of ["utf-8", "utf-16le", "utf-16be", "windows-1252"] as const) {
  for (const label of split(labelsOf[encoding], " ")) encodings[label] = encoding;
}

// What windows-1252 has at 0x80-0x9f, where ISO 8859-1 has control characters.
const kWindows1252 =
  "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f" +
  "\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";

function trimLabel(label: string): string {
  let start = 0;
  let end = label.length;
  const blank = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d && code !== 0x0b);
  while (start < end && blank(charCodeAt(label, start))) start++;
  while (end > start && blank(charCodeAt(label, end - 1))) end--;
  return toLowerCase(slice(label, start, end));
}

interface DecoderState {
  encoding: Encoding;
  fatal: boolean;
  ignoreBOM: boolean;
  // Between the chunks of one stream: bytes of a character whose end has not come, and whether a BOM may still come.
  pending: Uint8Array | null;
  atStart: boolean;
}

export interface TextDecoderOptions {
  fatal?: boolean;
  ignoreBOM?: boolean;
}

export class TextDecoder {
  #state: DecoderState;

  constructor(label: string = "utf-8", options: TextDecoderOptions = {}) {
    const text = toText(label);
    const encoding = encodings[trimLabel(text)];
    if (encoding === undefined) throw new RangeError(`"${text}" is not a valid encoding.`);
    this.#state = {
      encoding,
      fatal: Boolean(options?.fatal),
      ignoreBOM: Boolean(options?.ignoreBOM),
      pending: null,
      atStart: true,
    };
  }

  static #of(decoder: TextDecoder): DecoderState {
    if (!isObject(decoder) || !(#state in decoder)) throw illegalInvocation();
    return decoder.#state;
  }

  get encoding(): string {
    return TextDecoder.#of(this).encoding;
  }

  get fatal(): boolean {
    return TextDecoder.#of(this).fatal;
  }

  get ignoreBOM(): boolean {
    return TextDecoder.#of(this).ignoreBOM;
  }

  decode(input?: ArrayBuffer | ArrayBufferView, options: { stream?: boolean } = {}): string {
    const state = TextDecoder.#of(this);
    if (input !== undefined && !isBytes(input)) throw badArgument("decode", "TextDecoder", 1, "Array");
    const stream = Boolean(options?.stream);
    if (!stream && state.pending === null && state.atStart && state.encoding === "utf-8" && input !== undefined) {
      return dropBom(state, toStringOrThrow(ops.utf8_decode(input, state.fatal)));
    }
    try {
      return decodeChunk(state, input === undefined ? null : viewOf(input), stream);
    } catch (error) {
      state.pending = null;
      state.atStart = true;
      throw error;
    }
  }
}

webClass(TextDecoder, "TextDecoder", (decoder) => ({
  encoding: decoder.encoding, fatal: decoder.fatal, ignoreBOM: decoder.ignoreBOM,
}));

function toStringOrThrow(text: string | undefined): string {
  if (text === undefined) throw new TypeError("Failed to decode input.");
  return text;
}

function dropBom(state: DecoderState, text: string): string {
  return !state.ignoreBOM && text !== "" && charCodeAt(text, 0) === 0xfeff ? slice(text, 1) : text;
}

function decodeChunk(state: DecoderState, chunk: Uint8Array | null, stream: boolean): string {
  let bytes = chunk ?? new Uint8Array(0);
  if (state.pending !== null) {
    bytes = concatBytes([state.pending, bytes]);
    state.pending = null;
  }
  const length = byteLengthOf(bytes);
  const whole = stream ? wholeCharacters(state.encoding, bytes, length) : length;
  if (whole < length) {
    state.pending = copyBytes(subarray(bytes, whole, length));
    bytes = subarray(bytes, 0, whole);
  }
  let text = decodeAll(state, bytes, whole);
  if (state.atStart && state.encoding !== "windows-1252") text = dropBom(state, text);
  state.atStart = stream ? state.atStart && whole === 0 : true;
  return text;
}

// How many of the bytes are surely not the beginning of a character that goes on in the next chunk.
function wholeCharacters(encoding: Encoding, bytes: Uint8Array, length: number): number {
  if (encoding === "windows-1252") return length;
  if (encoding !== "utf-8") {
    const even = length - (length % 2);
    if (even === 0) return 0;
    const high = bytes[encoding === "utf-16le" ? even - 1 : even - 2]!;
    return (high & 0xfc) === 0xd8 ? even - 2 : even;
  }
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = bytes[length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const needs = byte >= 0xf0 && byte <= 0xf4 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc2 && byte < 0xe0 ? 2 : 1;
    if (needs <= back) return length;
    // A second byte that the first does not allow ends the character now, as an error.
    return back >= 2 && !secondByteFits(byte, bytes[length - back + 1]!) ? length : length - back;
  }
  return length;
}

function secondByteFits(first: number, second: number): boolean {
  if (first === 0xe0) return second >= 0xa0;
  if (first === 0xed) return second <= 0x9f;
  if (first === 0xf0) return second >= 0x90;
  if (first === 0xf4) return second <= 0x8f;
  return true;
}

function decodeAll(state: DecoderState, bytes: Uint8Array, length: number): string {
  if (state.encoding === "utf-8") return toStringOrThrow(ops.utf8_decode(bytes, state.fatal));
  if (state.encoding === "windows-1252") return decodeWindows1252(bytes, length);
  const odd = length % 2;
  let text = "";
  const low = state.encoding === "utf-16le" ? 0 : 1;
  for (let at = 0; at + 1 < length; ) {
    const units: number[] = [];
    for (; units.length < 4096 && at + 1 < length; at += 2) {
      units[units.length] = bytes[at + low]! | (bytes[at + 1 - low]! << 8);
    }
    text += apply(fromCharCode, undefined, units) as string;
  }
  if (odd === 0 && isWellFormed(text)) return text;
  if (state.fatal) throw new TypeError("Failed to decode input.");
  // Half a pair followed by half a unit is one error, not two.
  if (odd === 1 && text !== "" && (charCodeAt(text, text.length - 1) & 0xfc00) === 0xd800) {
    text = slice(text, 0, text.length - 1);
  }
  return toWellFormed(text) + (odd === 1 ? "\ufffd" : "");
}

function decodeWindows1252(bytes: Uint8Array, length: number): string {
  const text = ops.latin1_decode(bytes);
  let out = "";
  let from = 0;
  for (let i = 0; i < length; i++) {
    const byte = bytes[i]!;
    if (byte < 0x80 || byte > 0x9f) continue;
    out += slice(text, from, i) + kWindows1252[byte - 0x80];
    from = i + 1;
  }
  return from === 0 ? text : out + slice(text, from);
}
