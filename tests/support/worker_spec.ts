// SPDX-License-Identifier: Apache-2.0
//
// WorkerSpec: a static Worker described once, written down for Insula (wrangler.jsonc) and for the peer (capnp).
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

// Older than the day on which Node's modules and timers became the default.
export const kCompatibilityDate = '2026-06-01';

export interface WorkerSpec {
  name: string;
  source: string; // the only ES module
  compatibilityDate?: string;
  compatibilityFlags?: string[];
  vars?: Record<string, unknown>;
  loaders?: { binding: string; id?: string }[];
  services?: { binding: string; service: string; entrypoint?: string; props?: object }[];
  objects?: { binding: string; class: string; script?: string }[]; // Durable Objects; `script` names another Worker
  migrations?: unknown[]; // of its Durable Objects; else one that makes all of them
  workflows?: { binding: string; name: string; class: string; schedules?: string[]; limits?: object }[]; // the last two: Insula only
  assets?: { binding?: string; files: Record<string, string | Uint8Array> }; // Insula only
  limits?: { cpu_ms?: number; subrequests?: number }; // Insula only
}

export function freshFolder(): string {
  return mkdtempSync(join(tmpdir(), 'insula-test-'));
}

export function writeFile(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

// Writes one folder for the Worker and returns the path of its wrangler.jsonc.
export function writeWrangler(folder: string, worker: WorkerSpec): string {
  const home = join(folder, worker.name);
  writeFile(join(home, 'index.js'), worker.source);
  for (const [path, content] of Object.entries(worker.assets?.files ?? {})) {
    writeFile(join(home, 'assets', path), content);
  }
  const assets = worker.assets && { directory: 'assets', binding: worker.assets.binding };
  const path = join(home, 'wrangler.jsonc');
  writeFile(path, JSON.stringify({
    name: worker.name,
    main: 'index.js',
    no_bundle: true,
    compatibility_date: worker.compatibilityDate ?? kCompatibilityDate,
    compatibility_flags: worker.compatibilityFlags ?? [],
    vars: worker.vars,
    worker_loaders: worker.loaders,
    services: worker.services,
    durable_objects: worker.objects && {
      bindings: worker.objects.map((object) => ({ name: object.binding, class_name: object.class, script_name: object.script })),
    },
    migrations: worker.migrations
      ?? (ownClasses(worker).length > 0 ? [{ tag: 'v1', new_sqlite_classes: ownClasses(worker) }] : undefined),
    workflows: worker.workflows?.map(({ class: className, ...rest }) => ({ ...rest, class_name: className })),
    assets,
    limits: worker.limits,
  }, null, 2));
  return path;
}

function ownClasses(worker: WorkerSpec): string[] {
  return [...new Set((worker.objects ?? []).filter((object) => object.script === undefined).map((object) => object.class))];
}

// Writes the peer's configuration with all Workers; the first one gets the socket named "http".
export function writeCapnp(folder: string, workers: WorkerSpec[]): string {
  for (const worker of workers) writeFile(join(folder, `${worker.name}.js`), worker.source);
  const services = workers.map((worker) => `    (name = ${quoted(worker.name)}, worker = (
      modules = [(name = "index.js", esModule = embed ${quoted(`${worker.name}.js`)})],
      compatibilityDate = ${quoted(worker.compatibilityDate ?? kCompatibilityDate)},
      compatibilityFlags = [${(worker.compatibilityFlags ?? []).map(quoted).join(', ')}],
      bindings = [${capnpBindings(worker).join(', ')}]${capnpObjects(worker)})),`);
  const path = join(folder, 'config.capnp');
  writeFile(path, `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
${services.join('\n')}${disk(folder, workers)}
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true)))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = ${quoted(workers[0]!.name)})],
);
`);
  return path;
}

function capnpBindings(worker: WorkerSpec): string[] {
  const bindings: string[] = [];
  for (const [name, value] of Object.entries(worker.vars ?? {})) {
    const kind = typeof value === 'string' ? `text = ${quoted(value)}` : `json = ${quoted(JSON.stringify(value))}`;
    bindings.push(`(name = ${quoted(name)}, ${kind})`);
  }
  for (const { binding, id } of worker.loaders ?? []) {
    bindings.push(`(name = ${quoted(binding)}, workerLoader = (${id === undefined ? '' : `id = ${quoted(id)}`}))`);
  }
  for (const { binding, service, entrypoint, props } of worker.services ?? []) {
    const target = (entrypoint === undefined ? '' : `, entrypoint = ${quoted(entrypoint)}`) +
      (props === undefined ? '' : `, props = (json = ${quoted(JSON.stringify(props))})`);
    bindings.push(`(name = ${quoted(binding)}, service = (name = ${quoted(service)}${target}))`);
  }
  for (const { binding, class: className, script } of worker.objects ?? []) {
    const target = script === undefined ? quoted(className) : `(className = ${quoted(className)}, serviceName = ${quoted(script)})`;
    bindings.push(`(name = ${quoted(binding)}, durableObjectNamespace = ${target})`);
  }
  return bindings;
}

function capnpObjects(worker: WorkerSpec): string {
  const spaces = ownClasses(worker).map((name) => `(className = ${quoted(name)}, uniqueKey = ${quoted(`${worker.name}-${name}`)}, enableSql = true)`);
  return spaces.length === 0 ? '' : `,
      durableObjectNamespaces = [${spaces.join(', ')}], durableObjectStorage = (localDisk = "objects")`;
}

// A folder for the objects' databases, only when there are objects.
function disk(folder: string, workers: WorkerSpec[]): string {
  if (workers.every((worker) => ownClasses(worker).length === 0)) return '';
  const path = join(folder, 'objects');
  mkdirSync(path, { recursive: true });
  return `\n    (name = "objects", disk = (path = ${quoted(path)}, writable = true)),`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
