// SPDX-License-Identifier: Apache-2.0
//
// Markdown: the pages of the repository, their headings, links and marked examples. Enough of the format for our own
// pages, not a parser for others'.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

import { root } from '../suites/outcome.ts';

export interface Page {
  path: string; // from the root of the checkout
  text: string;
  prose: string; // without fenced blocks
  anchors: Set<string>;
}

export interface Link {
  target: string; // path from the root of the checkout
  anchor: string; // empty: the page itself
}

const skipped = new Set(['node_modules', 'build', '.git', '.insula', 'third_party']);

function pathsBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name) || entry.name.startsWith('build-')) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return pathsBelow(path);
    return entry.isFile() && entry.name.endsWith('.md') ? [path] : [];
  });
}

// As hosting sites make them: lower case, without punctuation, words joined by hyphens.
function anchorOf(heading: string): string {
  return heading.replaceAll('`', '').trim().toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-');
}

export function pageOf(path: string, text: string): Page {
  const prose = text.replace(/^```.*?^```$/gms, '');
  const anchors = new Set([...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading)));
  return { path, text, prose, anchors };
}

export function readPages(): Page[] {
  return pathsBelow(root)
    .sort()
    .map((path) => pageOf(relative(root, path), readFileSync(path, 'utf8')));
}

// Links to the repository itself; those to the web are not ours to check.
export function linksOf(page: Page): Link[] {
  const links: Link[] = [];
  for (const [, destination] of page.prose.matchAll(/\]\(([^()\s]+)\)/g)) {
    if (/^[a-z]+:/i.test(destination)) continue;
    const [path, anchor = ''] = destination.split('#');
    const target = path === '' ? page.path : relative(root, resolve(root, dirname(page.path), path));
    links.push({ target, anchor });
  }
  return links;
}

// `src/io/task.h` and the like: what is written as a path from the root, or from the page's own folder.
export function namedPathsOf(page: Page): string[] {
  const pattern = /`((?:src|docs|tools|cmake|tests|bench|examples)\/[\w./-]*)`/g;
  return [...page.prose.matchAll(pattern)].map(([, path]) => path);
}

// `make test`, and the lines of fenced blocks that begin so.
export function makeTargetsOf(page: Page): string[] {
  const inline = [...page.text.matchAll(/`make ([a-z]+)`/g)];
  const lines = [...page.text.matchAll(/^(?:\$ )?make ([a-z]+)$/gm)];
  return [...inline, ...lines].map(([, target]) => target);
}

// A fenced block of commands and what they print, below <!-- check_docs: transcript [of EXAMPLE] [after a restart] -->.
// Without a name it is of the example in whose folder the page is, elsewhere of examples/platform.
export interface Transcript {
  example: string;
  restarts: boolean; // the server is killed and started again before it
  text: string;
}

export function transcriptsOf(page: Page): Transcript[] {
  const own = /^examples\/([\w-]+)\//.exec(page.path)?.[1] ?? 'platform';
  const pattern = /<!-- check_docs: transcript(?: of ([\w-]+))?( after a restart)? -->\n```[^\n]*\n(.*?)^```$/gms;
  return [...page.text.matchAll(pattern)]
    .map(([, example, restarts, text]) => ({ example: example ?? own, restarts: restarts !== undefined, text }));
}
