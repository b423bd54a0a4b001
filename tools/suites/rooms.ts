// SPDX-License-Identifier: Apache-2.0
//
// Rooms: compares every #include of our own with cmake/rooms.cmake, the one place that says which room may use which,
// and keeps V8 out of the supervisor.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { type Outcome, root } from './outcome.ts';

interface Room {
  name: string;
  uses: Set<string>; // with what those use in turn
  isV8: boolean;
}

// room(NAME USES a b LINK x), in whatever order of keywords and over any number of lines.
function readRooms(): Map<string, Room> {
  const rooms = new Map<string, Room>();
  for (const file of readdirSync(join(root, 'cmake')).filter((name) => name.endsWith('.cmake'))) {
    const text = readFileSync(join(root, 'cmake', file), 'utf8').replace(/#.*$/gm, '');
    for (const [, body] of text.matchAll(/^\s*room\(([^)]+)\)/gm)) {
      const [name, ...words] = body.trim().split(/\s+/);
      const uses = new Set<string>();
      let keyword = '';
      for (const word of words) {
        if (word === 'USES' || word === 'LINK' || word === 'V8') keyword = word;
        else if (keyword === 'USES') uses.add(word);
      }
      rooms.set(name, { name, uses, isV8: words.includes('V8') });
    }
  }
  for (const room of rooms.values()) {
    for (const used of room.uses) rooms.get(used)?.uses.forEach((further) => room.uses.add(further));
  }
  return rooms;
}

// The room that a path under src/ lies in: the longest declared folder.
function roomOf(path: string, rooms: Map<string, Room>): Room | undefined {
  const parts = path.split('/').slice(0, -1);
  for (let length = parts.length; length > 0; --length) {
    const room = rooms.get(parts.slice(0, length).join('/'));
    if (room !== undefined) return room;
  }
  return undefined;
}

function complaintsAbout(path: string, text: string, rooms: Map<string, Room>): string[] {
  const room = roomOf(path, rooms);
  const isTest = /_test\.(cc|h)$/.test(path);
  const complaints: string[] = [];
  for (const [, included] of text.matchAll(/^#include ["<]([^">]+)[">]/gm)) {
    if (/^(v8|libplatform\/)/.test(included) && path.startsWith('supervisor/')) {
      complaints.push(`src/${path}: includes ${included}, but the supervisor has no V8`);
    }
    if (/^(tests|bench)\//.test(included) && !isTest) {
      complaints.push(`src/${path}: includes ${included}; sources do not know of tests`);
    }
    if (room === undefined || !included.startsWith('src/')) continue;
    const target = roomOf(included.slice('src/'.length), rooms);
    if (target !== undefined && target !== room && !room.uses.has(target.name)) {
      complaints.push(`src/${path}: includes ${included}, but room ${room.name} does not use ${target.name}`);
    }
  }
  return complaints;
}

export async function runRooms(): Promise<Outcome> {
  const rooms = readRooms();
  const source = join(root, 'src');
  const files = readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(cc|h)$/.test(entry.name))
    .map((entry) => relative(source, join(entry.parentPath, entry.name)));
  const complaints = files.flatMap((path) => complaintsAbout(path, readFileSync(join(source, path), 'utf8'), rooms));
  const failed = complaints.length;
  return {
    passed: failed === 0 ? 1 : 0,
    failed,
    skipped: 0,
    log: complaints.map((complaint) => `rooms: ${complaint}\n`).join(''),
  };
}
