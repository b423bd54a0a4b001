// SPDX-License-Identifier: Apache-2.0
//
// Checks: each compares the pages with what they speak of, and returns its complaints.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { root } from '../suites/outcome.ts';
import { linksOf, makeTargetsOf, namedPathsOf, type Page, type Transcript, transcriptsOf } from './markdown.ts';
import { replay } from './transcript.ts';

type Check = (pages: Page[]) => string[] | Promise<string[]>;

interface Fault {
  code: string;
  status: string;
  isRetryable: boolean;
  message: string;
}

const errorsPage = 'docs/errors/README.md';
const decisionsFolder = 'docs/decisions';
const sectionParts = ['**What happened.**', '**What the caller sees.**', '**What to do.**'];

function pageAt(path: string, pages: Page[]): Page {
  const page = pages.find((candidate) => candidate.path === path);
  if (page === undefined) throw new Error(`there is no ${path}`);
  return page;
}

// The table in fault.cc: {"ERR_X", 503, false, "text" "more text"},
export function faultsOf(source: string): Fault[] {
  const row = /\{"(ERR_\w+)", (\d+), (true|false),\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\}/g;
  return [...source.matchAll(row)].map(([, code, status, retryable, texts]) => ({
    code,
    status,
    isRetryable: retryable === 'true',
    message: [...texts.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part]) => part).join(''),
  }));
}

export function complaintsAboutErrors(page: Page, faults: Fault[]): string[] {
  const complaints: string[] = [];
  const sections = new Map(page.prose.split(/^## /m).slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n')).trim()]));
  for (const { code, status, isRetryable, message } of faults) {
    const row = `| [${code}](#${code.toLowerCase()}) | ${status} | ${isRetryable ? 'yes ' : ''}|`;
    if (!page.prose.includes(row)) complaints.push(`${page.path}: its table has no row "${row}"`);
    const section = sections.get(code);
    if (section === undefined) {
      complaints.push(`${page.path}: there is no section "## ${code}"`);
      continue;
    }
    const opening = section.split('\n\n')[0].replaceAll('\n', ' ');
    if (opening !== message) complaints.push(`${page.path}: ${code} opens with "${opening}", its text is "${message}"`);
    for (const part of sectionParts) {
      if (!section.includes(part)) complaints.push(`${page.path}: ${code} lacks "${part}"`);
    }
  }
  const codes = new Set(faults.map(({ code }) => code));
  for (const title of sections.keys()) {
    if (title.startsWith('ERR_') && !codes.has(title)) complaints.push(`${page.path}: there is no error ${title}`);
  }
  return complaints;
}

export function complaintsAboutLinks(pages: Page[]): string[] {
  const complaints: string[] = [];
  for (const page of pages) {
    for (const { target, anchor } of linksOf(page)) {
      if (!existsSync(join(root, target))) complaints.push(`${page.path}: there is no ${target}`);
      else if (anchor !== '' && target.endsWith('.md') && !pageAt(target, pages).anchors.has(anchor)) {
        complaints.push(`${page.path}: ${target} has no heading #${anchor}`);
      }
    }
  }
  return complaints;
}

export function complaintsAboutPaths(pages: Page[]): string[] {
  return pages.flatMap((page) => namedPathsOf(page)
    .filter((path) => !existsSync(join(root, path)) && !existsSync(join(root, dirname(page.path), path)))
    .map((path) => `${page.path}: there is no ${path}`));
}

export function complaintsAboutTargets(pages: Page[], makefile: string): string[] {
  const targets = new Set([...makefile.matchAll(/^([a-z]+):/gm)].map(([, target]) => target));
  return pages.flatMap((page) => makeTargetsOf(page)
    .filter((target) => !targets.has(target))
    .map((target) => `${page.path}: there is no \`make ${target}\``));
}

export function complaintsAboutDecisions(pages: Page[]): string[] {
  const index = pageAt(`${decisionsFolder}/README.md`, pages);
  const listed = new Set(linksOf(index).map(({ target }) => target));
  const complaints: string[] = [];
  for (const page of pages.filter(({ path }) => dirname(path) === decisionsFolder && path !== index.path)) {
    if (!listed.has(page.path)) complaints.push(`${index.path}: ${page.path} is not in its table`);
    const number = basename(page.path).slice(0, 4);
    if (!page.text.startsWith(`# ${number}: `)) complaints.push(`${page.path}: its heading lacks the number ${number}`);
    for (const part of ['**Context.**', '**Decision.**']) {
      if (!page.text.includes(part)) complaints.push(`${page.path}: it lacks "${part}"`);
    }
  }
  return complaints;
}

function sourcesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.cc') && !path.endsWith('_test.cc'))
    .map((path) => readFileSync(join(root, folder, path), 'utf8'));
}

// Names of events are texts of the form "room.past_tense".
export function complaintsAboutEvents(page: Page, sources: string[]): string[] {
  const used = new Set(sources.flatMap((source) =>
    [...source.matchAll(/"((?:server|runner|worker|http|egress|config|workflow|admin|objects|alarms?|websocket)\.[a-z_]+)"/g)].map(([, name]) => name)));
  const listed = new Set([...page.prose.matchAll(/^\| `([a-z]+\.[a-z_]+)` \|/gm)].map(([, name]) => name));
  return [
    ...[...used].filter((name) => !listed.has(name)).map((name) => `${page.path}: it does not list ${name}`),
    ...[...listed].filter((name) => !used.has(name)).map((name) => `${page.path}: nobody logs ${name}`),
  ];
}

// `tests/x.test.ts` "name of the case": the file has a case of that name.
export function complaintsAboutTests(page: Page): string[] {
  const named = [...page.prose.matchAll(/`((?:tests|src)\/[\w./-]+)` "([^"]+)"/g)];
  if (named.length === 0) return [`${page.path}: it names no test`];
  return named
    .filter(([, path, name]) => !existsSync(join(root, path)) || !readFileSync(join(root, path), 'utf8').includes(name))
    .map(([, path, name]) => `${page.path}: there is no "${name}" in ${path}`);
}

// Each page shows each example on a server of its own. The README and the page of every example show one.
async function complaintsAboutTranscripts(pages: Page[]): Promise<string[]> {
  const complaints: string[] = [];
  const servers: Promise<string[]>[] = [];
  for (const page of pages) {
    const byExample = new Map<string, Transcript[]>();
    for (const transcript of transcriptsOf(page)) {
      byExample.set(transcript.example, [...(byExample.get(transcript.example) ?? []), transcript]);
    }
    if (byExample.size === 0 && /^(examples\/[\w-]+\/)?README\.md$/.test(page.path)) {
      complaints.push(`${page.path}: there is no block below <!-- check_docs: transcript -->`);
    }
    for (const [example, transcripts] of byExample) {
      servers.push(replay(example, transcripts).then((said) => said.map((complaint) => `${page.path}: ${complaint}`)));
    }
  }
  return [...complaints, ...(await Promise.all(servers)).flat()];
}

export const checks: Record<string, Check> = {
  'every error code has its section': (pages) => {
    const faults = faultsOf(readFileSync(join(root, 'src/base/fault.cc'), 'utf8'));
    if (faults.length === 0) return ['src/base/fault.cc: no error code was recognised in it'];
    return complaintsAboutErrors(pageAt(errorsPage, pages), faults);
  },
  'every event of the log is listed': (pages) =>
    complaintsAboutEvents(pageAt('docs/reference/log.md', pages), sourcesBelow('src/supervisor')),
  'links lead somewhere': complaintsAboutLinks,
  'named files exist': complaintsAboutPaths,
  'named make targets exist': (pages) => complaintsAboutTargets(pages, readFileSync(join(root, 'Makefile'), 'utf8')),
  'tests named by the list of behaviours exist': (pages) => complaintsAboutTests(pageAt('docs/conformance.md', pages)),
  'decisions are complete and listed': complaintsAboutDecisions,
  'pages show what the examples print': complaintsAboutTranscripts,
};
