// SPDX-License-Identifier: Apache-2.0
//
// Blobs and forms, for the core and for other parts: the part "forms" is made when one is needed. Until then no value can be
// one.

import type { Blob, File } from "./blob.ts";
import type { FormData } from "./form_data.ts";

interface BlobFunctions {
  isBlob(value: unknown): value is Blob;
  isFile(value: unknown): value is File;
}

let blobs: BlobFunctions | undefined;
let isForm: ((value: unknown) => value is FormData) | undefined;

// The part says that it is there.
export function adoptBlobs(functions: BlobFunctions): void {
  blobs = functions;
}

export function adoptForms(is: (value: unknown) => value is FormData): void {
  isForm = is;
}

export function isBlob(value: unknown): value is Blob {
  return blobs !== undefined && blobs.isBlob(value);
}

export function isFile(value: unknown): value is File {
  return blobs !== undefined && blobs.isFile(value);
}

export function isFormData(value: unknown): value is FormData {
  return isForm !== undefined && isForm(value);
}
