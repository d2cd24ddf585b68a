// Names of every kind, as this machine's kernel takes them: each call with each name on two equal folders, once by a
// program and once by Node. What they answer, and what is in the folders then, must be the same.

import {
  closeSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { compileC, hasClang } from '../testdata/programs.ts';
import { TestMachine } from '../testdata/run-process.ts';
import { ConnectionTable } from './connection-table.ts';
import { errnoOfHostCode } from './errno.ts';
import { statFiletype } from './file-stat.ts';
import { type HostCalls, hostCalls, isPlain } from './host-calls.ts';

const machine = new TestMachine();
// Some forty thousand files: not on a disk.
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'odonata-names-'));
afterAll(async () => {
  await machine.close();
  rmSync(folder, { recursive: true });
});

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW } = constants;
const opens = (flags: number) => (path: Buffer) => closeSync(openSync(path, flags, 0o666));
/** By the name that the program knows them by. `path` and `other` are beneath the folder of the call. */
const calls: Readonly<Record<string, (path: Buffer, other: Buffer, word: string) => unknown>> = {
  open: opens(O_RDONLY),
  'open-nofollow': opens(O_RDONLY | O_NOFOLLOW),
  'open-write': opens(O_WRONLY),
  'open-directory': opens(O_RDONLY | O_DIRECTORY),
  'open-directory-write': opens(O_RDWR | O_DIRECTORY),
  create: opens(O_WRONLY | O_CREAT),
  'create-nofollow': opens(O_WRONLY | O_CREAT | O_NOFOLLOW),
  'create-new': opens(O_WRONLY | O_CREAT | O_EXCL),
  truncate: opens(O_WRONLY | O_TRUNC),
  stat: (path) => statSync(path),
  lstat: (path) => lstatSync(path),
  mkdir: (path) => mkdirSync(path),
  rmdir: (path) => rmdirSync(path),
  unlink: unlinkSync,
  readlink: (path) => readlinkSync(path),
  symlink: (path, _, word) => symlinkSync(word, path),
  rename: renameSync,
  link: linkSync,
  utimes: (path) => utimesSync(path, 5e-9, 6e-9),
  lutimes: (path) => lutimesSync(path, 5e-9, 6e-9),
};

const looking = new Set([
  'open',
  'open-nofollow',
  'open-write',
  'open-directory',
  'open-directory-write',
  'stat',
  'lstat',
  'readlink',
]);

const bases = [
  'f',
  'd',
  'd/e',
  'd/g',
  'missing',
  'to-f',
  'to-d',
  'to-to-d',
  'dangling',
  'loop',
  'slashed',
  'up',
];
const names = [
  ...bases.flatMap((base) => ['', '/', '///', '/.', '/x', '/..'].map((end) => `${base}${end}`)),
  ...[
    '.',
    './',
    'd/../f',
    'd/../f/',
    'to-d/../f',
    `${'n'.repeat(255)}`,
    `${'n'.repeat(256)}`,
    `d/${'ü'.repeat(128)}`,
  ],
  ...['bad-\xff', 'bad-\xff/', 'to-bad', 'bad-d-\xfe/x', 'made-\xc3', '\xe2\x98\x83'],
];

/** A folder with one of everything. Names are latin1: a character a byte. */
function fixture(name: string): Buffer {
  const at = (word: string) => Buffer.from(join(folder, name, word), 'latin1');
  mkdirSync(at(''), { recursive: true });
  for (const word of ['d', 'd/e', 'bad-d-\xfe', 'full']) mkdirSync(at(word));
  for (const word of ['f', 'd/g', 'bad-\xff', 'bad-d-\xfe/x', 'full/x'])
    writeFileSync(at(word), word, 'latin1');
  const links = { 'to-f': 'f', 'to-d': 'd', 'to-to-d': 'to-d', dangling: 'nothing', loop: 'loop' };
  for (const [word, target] of Object.entries(links)) symlinkSync(target, at(word));
  symlinkSync('f/', at('slashed'));
  symlinkSync('d/../d', at('up'));
  symlinkSync(Buffer.from('bad-\xff', 'latin1'), at('to-bad'));
  return at('');
}

/** What is there, with kinds and sizes; times are another matter. */
function tree(path: Buffer): string[] {
  return readdirSync(path, { encoding: 'buffer' })
    .flatMap((entry) => {
      const inside = Buffer.concat([path, Buffer.from('/'), entry]);
      const stat = lstatSync(inside);
      const word = `${entry.toString('latin1')} ${stat.mode.toString(8)} ${stat.isFile() ? stat.size : ''}`;
      return stat.isDirectory()
        ? [word, ...tree(inside).map((each) => `${entry.toString('latin1')}/${each}`)]
        : [word];
    })
    .toSorted();
}

function errnoOfHost(run: () => unknown): number {
  try {
    run();
    return 0;
  } catch (error) {
    return errnoOfHostCode[(error as NodeJS.ErrnoException).code!] ?? -1;
  }
}

interface Attempt {
  readonly call: string;
  readonly name: string;
  readonly other: string;
}

/** The answers of a program, as errnos of WASI. */
async function answers(attempts: readonly Attempt[], place: (i: number) => string): Promise<number[]> {
  const lines = attempts
    .map(({ call, name, other }, i) => `${place(i)}\t${call}\t${name}\t${other}\n`)
    .join('');
  const run = machine.run(compileC('names'), {
    grants: [{ descriptor: openSync(join(folder, 'ours'), 'r'), guestPath: '/data', readOnly: false }],
  });
  const input = Buffer.from(lines, 'latin1');
  for (let at = 0; at < input.length; at += 60_000) run.process.input.push(input.subarray(at, at + 60_000));
  run.process.input.end();
  expect(await run.exited).toMatchObject({ code: 0, reason: '' });
  return run.stdout().trimEnd().split('\n').map(Number);
}

/** Ends of names that calls with two of them need not be tried with. */
const rare = /\/(\/\/|\.\.|x)$/;

/** The calls with two names, with this one in each place. */
const both = (name: string): Attempt[] => [
  ...['new', 'new/', 'f', 'f/', 'd', 'to-d/', 'full'].map((other) => ({ call: 'rename', name, other })),
  // Of two errors either may come first.
  ...['f', 'full', 'full/', 'to-f', ...(name.length > 255 ? [] : ['missing'])].map((from) => ({
    call: 'rename',
    name: from,
    other: name,
  })),
  ...['new', 'new/', 'f', 'dangling'].map((other) => ({ call: 'link', name, other })),
  ...['f', 'to-f', 'd'].map((from) => ({ call: 'link', name: from, other: name })),
];

describe.skipIf(!hasClang)('names', () => {
  test('each call with each of them answers and does what the kernel does', async () => {
    const attempts: Attempt[] = names.flatMap((name) => [
      ...Object.keys(calls)
        .filter((call) => !['rename', 'link'].includes(call))
        .map((call) => ({ call, name, other: 'f' })),
      ...(rare.test(name) ? [] : both(name)),
    ]);
    // Calls that change nothing share one.
    const place = (i: number) => (looking.has(attempts[i]!.call) ? 'looked-at' : `${i}`);
    for (const at of new Set(attempts.map((_, i) => place(i)))) {
      fixture(`ours/${at}`);
      fixture(`theirs/${at}`);
    }
    const ours = await answers(attempts, place);
    const differences = attempts.flatMap(({ call, name, other }, i) => {
      const at = (word: string) => Buffer.from(`${folder}/theirs/${place(i)}/${word}`, 'latin1');
      const theirs = errnoOfHost(() => calls[call]!(at(name), at(other), other));
      const [left, right] = ['ours', 'theirs'].map((side) =>
        looking.has(call) ? '' : tree(Buffer.from(`${folder}/${side}/${i}`)).join('\n'),
      );
      const what = `${call} ${name} ${other}`;
      if (ours[i] !== theirs) return [`${what}: ${ours[i]}, the kernel says ${theirs}`];
      return left === right
        ? []
        : [`${what}: ${theirs} both, and then there is\n${left}\nwhere the kernel has\n${right}`];
    });
    expect(differences).toEqual([]);
  }, 60_000);
});

describe('what is asked of the host at once', () => {
  const calls = () => hostCalls(undefined, 1_000) as HostCalls;
  const opened = new ConnectionTable();
  const noted = () => opened.places.filter((place) => place !== 0).length;

  test('says of names what Node says, and nothing of what leads out or is not there', () => {
    fixture('at-once');
    const path = join(folder, 'at-once');
    const directory = openSync(path, 'r');
    utimesSync(join(path, 'f'), -1.5, 2 ** 31 + 0.25);
    utimesSync(join(path, 'd/g'), 2 ** 31 - 1, 2 ** 32 - 0.5);
    for (const name of ['f', 'd', 'd/g', 'to-f', 'dangling']) {
      const stat = lstatSync(join(path, name), { bigint: true });
      const record = calls().filestat(calls().statBelow(directory, name, opened)!);
      const { dev, ino, nlink, size, atimeNs, mtimeNs, ctimeNs } = stat;
      const words = [dev, ino, BigInt(statFiletype(stat)), nlink, size, atimeNs, mtimeNs, ctimeNs];
      expect([...new BigInt64Array(record.slice().buffer)], name).toEqual(words);
    }
    const devices = openSync('/dev', 'r');
    const { rdev: _, ...of } = lstatSync('/dev/null', { bigint: true });
    const record = calls().filestat(calls().statBelow(devices, 'null', opened)!);
    expect(new BigInt64Array(record.slice().buffer)[0]).toBe(of.dev);
    closeSync(devices);
    for (const name of ['missing', 'to-d/g', '../at-once/f', 'f/x'])
      expect(calls().statBelow(directory, name, opened), name).toBeUndefined();
    const there = calls().entriesOf(path)!;
    const texts = there.map(({ name }) => Buffer.from(name).toString('latin1'));
    const expected = readdirSync(path, { encoding: 'buffer' }).map((name) => name.toString('latin1'));
    expect(texts).toEqual(expected.toSorted());
    const ofF = there[texts.indexOf('f')]!;
    expect(ofF.inode).toBe(lstatSync(join(path, 'f'), { bigint: true }).ino);
    closeSync(directory);
    expect(noted()).toBe(0);
  });

  test('opens below the directory only, through no link, into no mount; what is open is noted until it is closed', () => {
    fixture('opened');
    const directory = openSync(join(folder, 'opened'), 'r');
    const host = calls().openAt(directory, 'd/g', constants.O_RDONLY, 0, opened);
    expect(existsSync(`/proc/self/fd/${host}`)).toBe(true);
    expect(noted()).toBe(1);
    calls().close(host, opened);
    expect([existsSync(`/proc/self/fd/${host}`), noted()]).toEqual([false, 0]);
    for (const path of ['to-f', 'to-d/g', '../opened/f', 'd/../../opened/f', folder, 'missing'])
      expect(calls().openAt(directory, path, constants.O_RDONLY, 0, opened), path).toBe(-1);
    const root = openSync('/', 'r');
    expect(calls().openAt(root, 'proc/version', constants.O_RDONLY, 0, opened)).toBe(-1);
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true }).buffer);
    const base = calls().addressOf(memory);
    const text = Buffer.from('some bytes');
    memory.set(text, 70_000);
    const written = calls().openAt(directory, 'f', constants.O_RDWR, 0, opened);
    expect(calls().write(written, base + 70_000, text.length, 3)).toBe(text.length);
    expect(calls().read(written, base + 5, 100, 3)).toBe(text.length);
    expect(Buffer.from(memory.slice(5, 5 + text.length))).toEqual(text);
    expect(calls().read(written, base + 5, 100, 3 + text.length)).toBe(0);
    calls().close(written, opened);
    expect(calls().read(written, base + 5, 100, 0)).toBe(-1);
    const left = calls().openAt(directory, 'f', constants.O_RDONLY, 0, opened);
    // Its thread has ended.
    opened.closeAll();
    expect([existsSync(`/proc/self/fd/${left}`), noted()]).toEqual([false, 0]);
    for (const fd of [directory, root]) closeSync(fd);
    expect(['f', 'd/g', './f', 'a..b', '...'].filter((path) => !isPlain(path))).toEqual([]);
    expect(['', '.', '..', '/f', 'd/', 'd/..', '../f', 'bad-\xff', 'a\0b'].filter(isPlain)).toEqual([]);
  });
});
