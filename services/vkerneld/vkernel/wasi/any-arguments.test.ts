// Whatever a program passes, a call answers with an errno: nothing else is thrown, and nothing outside is touched.

import {
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DescriptorTable } from './descriptor-table.ts';
import { addGrant } from './directory-calls.ts';
import { Errno } from './errno.ts';
import { GuestMemory } from './guest-memory.ts';
import { preview1Imports, preview1Types } from './preview1.ts';

/** A small generator with a seed: https://github.com/bryc/code/blob/master/jshash/PRNGs.md (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Arguments that are 64 bits wide, by call and position. */
const wide: Readonly<Record<string, readonly number[]>> = Object.fromEntries(
  Object.entries(preview1Types).map(([name, type]) => [
    name,
    [...type].flatMap((letter, i) => (letter === 'I' ? [i] : [])),
  ]),
);
const errnos = new Set<number>(Object.values(Errno));
const rounds = 40_000;

test.each([1, 2, 3, Date.now() % 1_000_000])('seed %i', (seed) => {
  const random = chance(seed);
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  const folder = mkdtempSync(join(tmpdir(), 'odonata-any-'));
  mkdirSync(join(folder, 'in/deep'), { recursive: true });
  mkdirSync(join(folder, 'read'));
  mkdirSync(join(folder, 'out'));
  writeFileSync(join(folder, 'out/secret'), 'secret');
  writeFileSync(join(folder, 'read/kept'), 'kept');
  symlinkSync('../out', join(folder, 'in/up'));
  symlinkSync('deep', join(folder, 'in/link'));

  const wasm = new WebAssembly.Memory({ initial: 2, maximum: 4, shared: true });
  const memory = new GuestMemory(wasm);
  const descriptors = new DescriptorTable();
  for (const stream of [0, 1, 2] as const) {
    descriptors.add({ kind: 'stream', stream, isTerminal: false, flags: 0, rights: -1n, inheriting: 0n });
  }
  addGrant(descriptors, { descriptor: openSync(join(folder, 'in'), 'r'), guestPath: '/in', readOnly: false });
  addGrant(descriptors, {
    descriptor: openSync(join(folder, 'read'), 'r'),
    guestPath: '/read',
    readOnly: true,
  });
  const imports = preview1Imports({
    memory,
    args: ['program', 'x'],
    env: ['A=1'],
    descriptors,
    streams: {
      read: (maxBytes) => new Uint8Array(Math.min(maxBytes, 7)),
      write: () => {},
      pollInput: () => ({ ready: true, availableBytes: 7, ended: false }),
    },
    exit: () => {
      throw new Error('not called here');
    },
  });

  const paths = [
    'a',
    'b',
    'deep',
    'deep/c',
    'link/d',
    'up/secret',
    '../out/secret',
    '..',
    '.',
    '/etc/passwd',
    'link/',
    'kept',
    'x/../y',
    '',
  ];
  const names = Object.keys(preview1Types).filter((name) => name !== 'proc_exit' && name !== 'poll_oneoff');
  const narrow = (): number => {
    switch (random(8)) {
      case 0:
        return random(2 ** 32) | 0;
      case 1:
        return -1 - random(20);
      case 2:
        return 65536 * 2 - random(64);
      case 3:
        return random(2048) * 8;
      default:
        return random(24);
    }
  };
  const answers = new Map<string, Set<number>>();
  try {
    for (let round = 0; round < rounds; round++) {
      const name = pick(names);
      const at = 1024 + random(4) * 64;
      const path = pick(paths);
      const other = pick(paths);
      memory.copyIn(at, Buffer.from(path));
      memory.setU32(512, 4096);
      memory.setU32(516, random(300));
      const args: (number | bigint)[] = Array.from({ length: 9 }, (_, i) =>
        wide[name]?.includes(i)
          ? pick([0n, 1n, -1n, BigInt(random(5000)), 1n << 62n, -(1n << 63n)])
          : narrow(),
      );
      // Mostly what may succeed: a descriptor, a path, a list of one slice, a place for the result.
      if (random(4) > 0) {
        args[0] = random(2) ? 3 : random(12);
        const withPath = {
          path_open: 2,
          path_filestat_get: 2,
          path_filestat_set_times: 2,
          path_link: 2,
          path_symlink: 3,
        }[name];
        const start = name.startsWith('path_') ? (withPath ?? 1) : 1;
        const first = name.startsWith('path_') ? at : 512;
        if (!wide[name]?.includes(start)) args[start] = first;
        args[start + 1] = wide[name]?.includes(start + 1)
          ? args[start + 1]!
          : name.startsWith('path_')
            ? path.length
            : 1;
        if (name === 'path_open') args.splice(4, 5, random(16), -1n, -1n, random(32), 600);
        if (name === 'path_rename' || name === 'path_link') memory.copyIn(at + 32, Buffer.from(other));
        if (name === 'path_rename') args.splice(3, 3, 3 + random(3), at + 32, other.length);
        if (name === 'path_link') args.splice(4, 3, 3 + random(3), at + 32, other.length);
      }
      // The grants stay, and their rights.
      if (/renumber|close/.test(name)) args.splice(0, 2, 5 + random(7), 5 + random(7));
      if (name === 'fd_fdstat_set_rights') args[0] = 5 + random(7);
      // A file is not to fill the disk of whoever runs this: sizes stay small.
      if (/set_size|allocate|pwrite/.test(name)) {
        for (const i of wide[name]!) args[i] = pick([0n, 5n, -1n, 100_000n]);
      }
      if (name === 'fd_seek') args[1] = pick([0n, -5n, 100_000n]);
      let errno: number;
      try {
        errno = imports[name]!(...args);
      } catch (error) {
        throw new Error(`seed=${seed} round=${round} ${name}(${args.join(', ')}) "${path}"`, {
          cause: error,
        });
      }
      if (!errnos.has(errno)) throw new Error(`seed=${seed} round=${round} ${name} gave ${errno}`);
      answers.set(name, (answers.get(name) ?? new Set()).add(errno));
    }
    expect(readFileSync(join(folder, 'out/secret'), 'utf8')).toBe('secret');
    expect(readdirSync(join(folder, 'out'))).toEqual(['secret']);
    expect(readdirSync(folder).toSorted()).toEqual(['in', 'out', 'read']);
    expect(readdirSync(join(folder, 'read'))).toEqual(['kept']);
    expect(readFileSync(join(folder, 'read/kept'), 'utf8')).toBe('kept');
    // The arguments are not so odd that nothing ever worked.
    for (const name of ['path_open', 'path_rename', 'path_create_directory', 'fd_write', 'fd_readdir']) {
      expect([name, answers.get(name)?.has(0)]).toEqual([name, true]);
    }
  } finally {
    for (let fd = 0; fd < 1024; fd++) imports.fd_close!(fd);
    rmSync(folder, { recursive: true });
  }
});
