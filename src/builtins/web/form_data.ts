// SPDX-License-Identifier: Apache-2.0
//
// FormData (https://xhr.spec.whatwg.org/#interface-formdata).

import { isObject, toUsv } from "../internal/convert.ts";
import { badArgument, illegalInvocation } from "../internal/errors.ts";
import { apply } from "../internal/intrinsics.ts";
import { pairIterator, type PairIterator } from "../internal/pair_iterator.ts";
import { webClass } from "../internal/web_class.ts";
import { type Blob, File, isBlob, isFile, typeOfBlob } from "./blob.ts";
import { adoptForms } from "./forms_later.ts";

export type FormDataEntryValue = File | string;

// [name, value, name, value, ...]
type Entries = FormDataEntryValue[];

let entriesOf: (form: FormData) => Entries;
export let isFormData: (value: unknown) => value is FormData;

function toEntry(value: unknown, filename: unknown): FormDataEntryValue {
  if (!isBlob(value)) return toUsv(value);
  if (isFile(value) && filename === undefined) return value;
  const name = filename !== undefined ? toUsv(filename) : null;
  return new File([value], name ?? "", { type: typeOfBlob(value) });
}

export class FormData {
  #entries: Entries = [];

  static {
    entriesOf = (form) => {
      if (!isObject(form) || !(#entries in form)) throw illegalInvocation();
      return form.#entries;
    };
    isFormData = (value): value is FormData => isObject(value) && #entries in value;
  }

  append(name: string, value: string | Blob, filename?: string): void {
    const entries = entriesOf(this);
    if (arguments.length < 2) throw badArgument("append", "FormData", 2, "File or Blob or string");
    const key = toUsv(name);
    const entry = toEntry(value, filename ?? (isBlob(value) && !isFile(value) ? key : undefined));
    entries[entries.length] = key;
    entries[entries.length] = entry;
  }

  set(name: string, value: string | Blob, filename?: string): void {
    const entries = entriesOf(this);
    if (arguments.length < 2) throw badArgument("set", "FormData", 2, "File or Blob or string");
    const key = toUsv(name);
    const entry = toEntry(value, filename ?? (isBlob(value) && !isFile(value) ? key : undefined));
    let kept = 0;
    let done = false;
    for (let i = 0; i < entries.length; i += 2) {
      const same = entries[i] === key;
      if (same && done) continue;
      entries[kept] = entries[i]!;
      entries[kept + 1] = same ? entry : entries[i + 1]!;
      done ||= same;
      kept += 2;
    }
    entries.length = kept;
    if (done) return;
    entries[kept] = key;
    entries[kept + 1] = entry;
  }

  delete(name: string): void {
    const entries = entriesOf(this);
    const key = toUsv(name);
    let kept = 0;
    for (let i = 0; i < entries.length; i += 2) {
      if (entries[i] === key) continue;
      entries[kept] = entries[i]!;
      entries[kept + 1] = entries[i + 1]!;
      kept += 2;
    }
    entries.length = kept;
  }

  get(name: string): FormDataEntryValue | null {
    const entries = entriesOf(this);
    const key = toUsv(name);
    for (let i = 0; i < entries.length; i += 2) {
      if (entries[i] === key) return entries[i + 1]!;
    }
    return null;
  }

  getAll(name: string): FormDataEntryValue[] {
    const entries = entriesOf(this);
    const key = toUsv(name);
    const values: FormDataEntryValue[] = [];
    for (let i = 0; i < entries.length; i += 2) {
      if (entries[i] === key) values[values.length] = entries[i + 1]!;
    }
    return values;
  }

  has(name: string): boolean {
    const entries = entriesOf(this);
    const key = toUsv(name);
    for (let i = 0; i < entries.length; i += 2) {
      if (entries[i] === key) return true;
    }
    return false;
  }

  forEach(visit: (value: FormDataEntryValue, name: string, form: FormData) => void, self?: unknown): void {
    const entries = entriesOf(this);
    if (typeof visit !== "function") throw badArgument("forEach", "FormData", 1, "function");
    for (let i = 0; i < entries.length; i += 2) apply(visit, self, [entries[i + 1], entries[i], this]);
  }

  entries(): PairIterator<[string, FormDataEntryValue]> {
    return pairIterator(entriesOf(this), "entries", "FormData Iterator");
  }

  keys(): PairIterator<string> {
    return pairIterator(entriesOf(this), "keys", "FormData Iterator");
  }

  values(): PairIterator<FormDataEntryValue> {
    return pairIterator(entriesOf(this), "values", "FormData Iterator");
  }

  declare [Symbol.iterator]: () => PairIterator<[string, FormDataEntryValue]>;
}

Object.defineProperty(FormData.prototype, Symbol.iterator, {
  value: FormData.prototype.entries, writable: true, configurable: true,
});

webClass(FormData, "FormData", (form) => {
  const view = { __proto__: null } as unknown as Record<string, unknown>;
  for (const name of form.keys()) {
    const all = form.getAll(name);
    view[name] = all.length === 1 ? all[0] : all;
  }
  return view;
});

// ---- For the formats

export function formEntries(form: FormData): readonly FormDataEntryValue[] {
  return entriesOf(form);
}

export function formFromEntries(list: readonly FormDataEntryValue[]): FormData {
  const form = new FormData();
  const entries = entriesOf(form);
  for (let i = 0; i < list.length; i++) entries[i] = list[i]!;
  return form;
}

adoptForms(isFormData);
