// SPDX-License-Identifier: Apache-2.0
//
// The part "forms": Blob, File, FormData and the formats of forms. Made when a Worker first names one of them, or reads a
// body as one.

export { Blob, blobFromBytes, bytesOfBlob, File, typeOfBlob } from "./blob.ts";
export { FormData } from "./form_data.ts";
export { encodeMultipart, parseForm } from "./multipart.ts";
