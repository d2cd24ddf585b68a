import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileOp } from '@odonata/proto/vkernel/v1/files';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Limits } from '../../limits.ts';
import { FolderLoopback } from '../../testdata/folder-loopback.ts';
import { Oflags } from '../../wasi/abi.ts';
import { Errno, WasiError } from '../../wasi/errno.ts';
import type { OpenedFile } from '../tree.ts';
import { ReadAhead } from './read-ahead.ts';
import type { RemoteFolder } from './remote-files.ts';

let outside: string;
let folder: string;
let loopback: FolderLoopback;
beforeEach(() => {
  outside = mkdtempSync(join(tmpdir(), 'odonata-remote-'));
  folder = join(outside, 'granted');
  mkdirSync(folder);
  writeFileSync(join(outside, 'secret'), 'secret');
  writeFileSync(join(folder, 'a'), 'text');
  loopback = new FolderLoopback(folder);
});
afterEach(() => {
  vi.useRealTimers();
  loopback.close();
  rmSync(outside, { recursive: true });
  expect(loopback.troubles).toEqual([]);
});

const read = { oflags: 0, follow: true, reads: true, writes: false };
const write = { oflags: Oflags.creat, follow: true, reads: true, writes: true };
async function fileOf(top: RemoteFolder, path: string, how: typeof read): Promise<OpenedFile> {
  const opened = await top.open({ path }, how);
  if (!('file' in opened)) throw new Error('a folder');
  return opened.file;
}
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const errno = (promise: unknown): Promise<unknown> =>
  Promise.resolve(promise).then(
    () => 0,
    (error) => (error instanceof WasiError ? error.errno : error),
  );

test('one message a call: open says what the file is, too', async () => {
  const { top } = loopback.mount();
  const file = await fileOf(top, 'a', read);
  expect(loopback.calls).toBe(1);
  expect((await file.stat()).size).toBe(4n);
  expect(loopback.calls).toBe(1);
  expect(text(await file.read(0, 100))).toBe('text');
  await file.close();
  expect(loopback.calls).toBe(3);
  const made = await fileOf(top, 'b', write);
  expect(await made.write(0, Buffer.from('12345'))).toEqual({ written: 5, endBytes: 5 });
  expect(await made.write(undefined, Buffer.from('67'))).toEqual({ written: 2, endBytes: 7 });
  await made.sync();
  await made.close();
  expect(readFileSync(join(folder, 'b'), 'utf8')).toBe('1234567');
});

test('nothing leads out, whoever asks and however the path is written', async () => {
  const { top } = loopback.mount();
  symlinkSync('../secret', join(folder, 'up'));
  symlinkSync(join(outside, 'secret'), join(folder, 'absolute'));
  symlinkSync('..', join(folder, 'above'));
  mkdirSync(join(folder, 'd'));
  for (const path of ['../secret', 'd/../../secret', 'up', 'absolute', 'above/secret', '/etc/passwd'])
    expect(await errno(top.open({ path }, read))).toBe(Errno.notcapable);
  expect(await errno(top.open({ path: 'a\0' }, read))).toBe(Errno.inval);
  expect(await errno(top.open({ path: '' }, read))).toBe(Errno.noent);
  const opened = await top.open({ path: 'd' }, read);
  const d = (opened as { folder: RemoteFolder }).folder;
  expect(await errno(d.open({ path: '../a' }, read))).toBe(Errno.notcapable);
  // A folder that is moved out by others: its own parent is not reached by it.
  renameSync(join(folder, 'd'), join(outside, 'd'));
  expect(await errno(d.open({ path: '../secret' }, read))).toBe(Errno.notcapable);
  expect(await errno(top.at({ op: FileOp.SYMLINK, data: Buffer.from('/etc') }, { path: 'l' }))).toBe(
    Errno.perm,
  );
  expect(await errno(top.at({ op: FileOp.MKDIR }, { path: '../made' }))).toBe(Errno.notcapable);
  expect(await errno(top.between({ op: FileOp.RENAME }, { path: 'a' }, top, { path: '../a' }))).toBe(
    Errno.notcapable,
  );
  expect(await errno(top.between({ op: FileOp.LINK }, { path: '../secret' }, top, { path: 's' }))).toBe(
    Errno.notcapable,
  );
  expect(existsSync(join(folder, 's'))).toBe(false);
});

test('read-only stays so, for each call', async () => {
  loopback = new FolderLoopback(folder, true);
  const { top } = loopback.mount();
  expect(await errno(top.open({ path: 'a' }, write))).toBe(Errno.rofs);
  expect(await errno(top.open({ path: 'a' }, { ...read, oflags: Oflags.trunc }))).toBe(Errno.rofs);
  for (const op of [FileOp.MKDIR, FileOp.RMDIR, FileOp.UNLINK, FileOp.SET_TIMES_PATH, FileOp.SYMLINK])
    expect(await errno(top.at({ op, data: Buffer.from('x') }, { path: 'a' }))).toBe(Errno.rofs);
  for (const op of [FileOp.RENAME, FileOp.LINK])
    expect(await errno(top.between({ op }, { path: 'a' }, top, { path: 'b' }))).toBe(Errno.rofs);
  const line = loopback.mount().line;
  const { handle } = await line.call({ op: FileOp.OPEN, path: Buffer.from('a'), reads: true });
  expect(await errno(line.call({ op: FileOp.REOPEN, handle, writes: true }))).toBe(Errno.rofs);
  expect(await errno(line.call({ op: FileOp.WRITE, handle, data: Buffer.from('x') }))).toBe(Errno.badf);
  expect(await errno(line.call({ op: FileOp.SET_SIZE, handle }))).toBe(Errno.badf);
  expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('text');
});

test('what a home grows by is counted there, and refused, as for programs of its own node', async () => {
  const limits = new Limits();
  limits.countHome();
  limits.boundHome(100_000n);
  loopback = new FolderLoopback(folder, false, limits);
  const { top } = loopback.mount();
  const file = await fileOf(top, 'b', write);
  expect(limits.homeGrew).toBe(4_096n);
  // What there is room for is written, and the next write hears of it.
  expect((await file.write(0, new Uint8Array(90_000))).written).toBe(90_000);
  expect(await file.write(undefined, new Uint8Array(90_000))).toEqual({ written: 5_904, endBytes: 95_904 });
  expect(await errno(file.write(undefined, new Uint8Array(1)))).toBe(Errno.dquot);
  expect(await file.write(0, new Uint8Array(90_000))).toEqual({ written: 90_000, endBytes: 90_000 });
  expect(await errno(top.open({ path: 'c' }, write))).toBe(Errno.dquot);
  expect(await errno(top.at({ op: FileOp.MKDIR }, { path: 'd' }))).toBe(Errno.dquot);
  expect(await errno(top.at({ op: FileOp.SYMLINK, data: Buffer.from('a') }, { path: 'l' }))).toBe(
    Errno.dquot,
  );
  expect(await errno(top.between({ op: FileOp.LINK }, { path: 'a' }, top, { path: 'l' }))).toBe(Errno.dquot);
  // Length counts: a hole is as large as what would fill it.
  await file.setSize(1_000);
  expect(limits.homeGrew).toBe(5_096n);
  expect(await errno(file.setSize(200_000))).toBe(Errno.dquot);
  expect(await errno(file.allocate(200_000))).toBe(Errno.dquot);
  expect(await errno(file.write(200_000, new Uint8Array(1)))).toBe(Errno.dquot);
  await file.allocate(50_000);
  expect(limits.homeGrew).toBe(54_096n);
  await file.close();
  await (await fileOf(top, 'b', { ...write, oflags: Oflags.trunc })).close();
  expect(limits.homeGrew).toBe(4_096n);
  await top.at({ op: FileOp.UNLINK }, { path: 'b' });
  expect(limits.homeGrew).toBe(0n);
  expect(limits.takeRefused().home).toBe(8);
});

test('what was open when the other side ended is stale; paths are reached again', async () => {
  const mount = loopback.mount();
  const file = await fileOf(mount.top, 'a', read);
  loopback.restart();
  expect(await errno(file.read(0, 4))).toBe(Errno.stale);
  expect(await errno(file.close())).toBe(0);
  expect(text(await (await fileOf(mount.top, 'a', read)).read(0, 4))).toBe('text');
});

test('a side that says nothing: EIO in time, and what was open is stale', async () => {
  const mount = loopback.mount();
  const file = await fileOf(mount.top, 'a', read);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  loopback.answers = false;
  const late = errno(file.read(0, 4));
  await vi.advanceTimersByTimeAsync(10_001);
  expect(await late).toBe(Errno.io);
  const opening = errno(mount.top.open({ path: 'a' }, read));
  await vi.advanceTimersByTimeAsync(8_001);
  expect(await opening).toBe(Errno.io);
  loopback.answers = true;
  expect(await errno(file.read(0, 4))).toBe(Errno.stale);
  expect(text(await (await fileOf(mount.top, 'a', read)).read(0, 4))).toBe('text');
});

test('a list of names in many pages is whole', async () => {
  for (let i = 0; i < 1_500; i++) writeFileSync(join(folder, `${i}`.padStart(200, 'n')), '');
  const { top } = loopback.mount();
  const opened = (await top.open({ path: '.' }, read)) as { folder: RemoteFolder };
  expect(await opened.folder.list()).toHaveLength(1_503);
});

test('reads in order are read ahead, and what was written since is seen', async () => {
  const bytes = Buffer.alloc(1 << 20, 'x');
  writeFileSync(join(folder, 'big'), bytes);
  const { top } = loopback.mount();
  const file = await fileOf(top, 'big', { ...read, writes: true });
  const before = loopback.calls;
  let got = 0;
  for (let at = 0; at < bytes.length; at += 4096) got += (await file.read(at, 4096)).length;
  expect(got).toBe(bytes.length);
  expect(loopback.calls - before).toBeLessThan(20);
  await file.read(0, 4096);
  await file.read(4096, 4096);
  await file.write(8192, Buffer.from('new'));
  expect(text(await file.read(8192, 3))).toBe('new');
  const other = await fileOf(top, 'big', write);
  await file.read(8195, 4096);
  await file.read(8195 + 4096, 4096);
  await other.write(8195 + 8192, Buffer.from('too'));
  expect(text(await file.read(8195 + 8192, 3))).toBe('too');
  expect((await file.read(bytes.length - 2, 100)).length).toBe(2);
});

test('a program that writes between its reads is not read ahead of', async () => {
  const asked: number[] = [];
  const ahead = new ReadAhead(async (_offset, length) => {
    asked.push(length);
    return new Uint8Array(length);
  });
  for (let at = 0; at < 10; at++) {
    await ahead.read(at * 4096, 4096);
    ahead.forget();
  }
  expect(asked).toEqual([4096, 256 * 1024, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096]);
});

test('read ahead is kept for a tenth of a second', async () => {
  let nowMs = 0;
  const asked: number[] = [];
  const ahead = new ReadAhead(
    async (offset, length) => {
      asked.push(offset);
      return new Uint8Array(length);
    },
    () => nowMs,
  );
  await ahead.read(0, 10);
  await ahead.read(10, 10);
  await ahead.read(20, 10);
  expect(asked).toEqual([0, 10]);
  nowMs = 101;
  await ahead.read(30, 10);
  expect(asked).toEqual([0, 10, 30]);
});
