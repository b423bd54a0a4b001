// SPDX-License-Identifier: Apache-2.0
//
// Blob and File (https://w3c.github.io/FileAPI/). The bytes are in memory; slices share them.

import { isObject, toText, toUsv } from "../internal/convert.ts";
import { badConstructorArgument, illegalInvocation } from "../internal/errors.ts";
import {
  byteLengthOf, concatBytes, copyBytes, exactBuffer, isBytes, isView, max, min, regExpExec, SafeUint8Array, subarray,
  toLowerCase, trunc, viewOf,
} from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import { adoptBlobs } from "./forms_later.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";
import type { ReadableStream } from "./streams.ts";
import { streamFromSource } from "./streams_later.ts";

export type BlobPart = string | ArrayBuffer | ArrayBufferView | Blob;

export interface BlobOptions {
  type?: string;
  endings?: "transparent" | "native";
}

const kNotPrintable = /[^\x20-\x7e]/;

function toType(value: unknown): string {
  const type = toText(value);
  return regExpExec(kNotPrintable, type) === null ? toLowerCase(type) : "";
}

function toBytes(part: unknown): Uint8Array {
  if (isBlob(part)) return bytesOfBlob(part);
  if (isBytes(part)) return copyBytes(part);
  return encodeUtf8(toUsv(part));
}

export let isBlob: (value: unknown) => value is Blob;
export let bytesOfBlob: (blob: Blob) => Uint8Array;
export let typeOfBlob: (blob: Blob) => string;
let makeBlob: (bytes: Uint8Array, type: string) => Blob;

export class Blob {
  #bytes: Uint8Array;
  #type: string;

  static {
    isBlob = (value): value is Blob => isObject(value) && #bytes in value;
    bytesOfBlob = (blob) => {
      if (!isBlob(blob)) throw illegalInvocation();
      return blob.#bytes;
    };
    typeOfBlob = (blob) => {
      if (!isBlob(blob)) throw illegalInvocation();
      return blob.#type;
    };
    makeBlob = (bytes, type) => {
      const blob = new Blob();
      blob.#bytes = bytes;
      blob.#type = type;
      return blob;
    };
  }

  constructor(parts: Iterable<BlobPart> | undefined = undefined, options: BlobOptions = {}) {
    if (parts === undefined) {
      this.#bytes = new SafeUint8Array(0);
    } else {
      if (!isObject(parts) || isView(parts) || typeof parts[Symbol.iterator] !== "function") {
        throw badConstructorArgument("Blob", 1, "Array");
      }
      const chunks: Uint8Array[] = [];
      for (const part of parts) chunks[chunks.length] = toBytes(part);
      this.#bytes = concatBytes(chunks);
    }
    this.#type = options?.type === undefined ? "" : toType(options.type);
  }

  get size(): number {
    return byteLengthOf(bytesOfBlob(this));
  }

  get type(): string {
    return typeOfBlob(this);
  }

  slice(start?: number, end?: number, type: string = ""): Blob {
    const bytes = bytesOfBlob(this);
    const size = byteLengthOf(bytes);
    const clamp = (value: unknown, absent: number): number => {
      const at = value === undefined ? absent : trunc(Number(value)) || 0;
      return at < 0 ? max(size + at, 0) : min(at, size);
    };
    const from = clamp(start, 0);
    return makeBlob(subarray(bytes, from, max(clamp(end, size), from)), toType(type));
  }

  async text(): Promise<string> {
    return decodeUtf8(bytesOfBlob(this));
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return exactBuffer(copyBytes(bytesOfBlob(this)));
  }

  async bytes(): Promise<Uint8Array> {
    return copyBytes(bytesOfBlob(this));
  }

  stream(): ReadableStream<Uint8Array> {
    return streamFromSource({ kind: "bytes", bytes: copyBytes(bytesOfBlob(this)) });
  }
}

webClass(Blob, "Blob", (blob) => ({ size: blob.size, type: blob.type }));

export function blobFromBytes(bytes: Uint8Array, type: string): Blob {
  return makeBlob(bytes, toType(type));
}

export let isFile: (value: unknown) => value is File;

export class File extends Blob {
  #name: string;
  #lastModified: number;

  constructor(parts: Iterable<BlobPart>, name: string, options: BlobOptions & { lastModified?: number } = {}) {
    if (arguments.length < 2) throw badConstructorArgument("File", 2, "string");
    super(parts, options);
    this.#name = toUsv(name);
    this.#lastModified = options?.lastModified === undefined ? ops.now() : trunc(Number(options.lastModified)) || 0;
  }

  static {
    isFile = (value): value is File => isObject(value) && #name in value;
  }

  get name(): string {
    if (!(#name in this)) throw illegalInvocation();
    return this.#name;
  }

  get lastModified(): number {
    if (!(#name in this)) throw illegalInvocation();
    return this.#lastModified;
  }
}


webClass(File, "File", (file) => ({
  size: file.size, type: file.type, name: file.name, lastModified: file.lastModified,
}));

adoptBlobs({ isBlob, isFile });
