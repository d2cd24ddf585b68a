// Backups between two real clusters: whole, cut at any byte, spoilt at any byte, and gone on with.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster } from '../../../test/cluster/cluster.ts';
import { type Cluster, connect } from '../cluster.ts';
import { ArchiveError, encodeEntry, PIECE_BYTES } from './archive.ts';
import { exportDataspaces } from './export.ts';
import { checkBackup, importDataspaces } from './import.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-backup-'));
const file = join(folder, 'backup.tar');
let from: TestCluster;
let into: TestCluster;
let source: Cluster;
let target: Cluster;

/** Bytes that look like chance, the same each time. */
function bytesOf(seed: string, length: number): Buffer {
  const pieces: Buffer[] = [];
  for (let i = 0; pieces.length * 32 < length; i++)
    pieces.push(createHash('sha256').update(`${seed}${i}`).digest());
  return Buffer.concat(pieces).subarray(0, length);
}
async function contentOf(cluster: Cluster, name: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of cluster.dataspaces.save(name)) pieces.push(piece);
  return Buffer.concat(pieces);
}
/** Of 5 MiB and a bit, with zeros between. */
const notes = Buffer.concat([
  bytesOf('a', PIECE_BYTES),
  Buffer.alloc(3 * PIECE_BYTES),
  bytesOf('b', PIECE_BYTES + 777),
]);
const odd = 'of/../many-parts_1.x';

beforeAll(async () => {
  from = await TestCluster.up({ nodes: 1 });
  into = await TestCluster.up({ nodes: 1 });
  source = await connect({
    cluster: from.cluster,
    syslink: from.record.syslink,
    credential: { tlsDir: from.tlsDir },
  });
  target = await connect({
    cluster: into.cluster,
    syslink: into.record.syslink,
    credential: { tlsDir: into.tlsDir },
  });
  await source.dataspaces.create('notes', notes.length, { durable: true, mode: 0o640 });
  await source.dataspaces.load('notes', notes);
  await source.dataspaces.create(odd, 4096, { durable: true });
  await source.dataspaces.load(odd, bytesOf('c', 4096));
  await source.dataspaces.create('scratch', 4096);
}, 150_000);
afterAll(async () => {
  source?.close();
  target?.close();
  await from?.down();
  await into?.down();
  rmSync(folder, { recursive: true });
}, 90_000);

const small = ['notes', odd];
const exported = (names: readonly string[] = small, to = file) =>
  exportDataspaces(source.dataspaces, to, { cluster: source.name, names });

test('what was written is there in another cluster: bytes, size, mode, durable; any tar lists it', async () => {
  expect(await exported()).toEqual({
    resumedBytes: 0,
    dataspaces: [
      { name: 'notes', bytes: 2 * PIECE_BYTES + 777 },
      { name: odd, bytes: 4096 },
    ],
  });
  expect(execFileSync('tar', ['tf', file], { encoding: 'utf8' }).trim().split('\n')).toEqual([
    'begin.json',
    ...['notes/dataspace.json', 'notes/0000000000000000', 'notes/0000000004194304', 'notes/0000000005242880'],
    'notes/whole.json',
    ...['dataspace.json', '0000000000000000', 'whole.json'].map(
      (each) => `${encodeURIComponent(odd)}/${each}`,
    ),
    'end.json',
  ]);
  expect(await checkBackup(file)).toMatchObject({
    cluster: source.name,
    dataspaces: [{ name: 'notes' }, { name: odd }],
  });
  expect(await importDataspaces(target.dataspaces, file)).toMatchObject([
    { name: 'notes', sizeBytes: notes.length, how: 'made' },
    { name: odd, how: 'made' },
  ]);
  expect((await contentOf(target, 'notes')).equals(notes)).toBe(true);
  expect((await contentOf(target, odd)).equals(bytesOf('c', 4096))).toBe(true);
  const { dataspace } = await target.dataspaces.stat('notes');
  expect(dataspace).toMatchObject({ durable: true, mode: 0o640 });
  expect(dataspace.load).toBeUndefined();
}, 60_000);

test('again: what is there with the same bytes is passed over, what has others is named', async () => {
  expect(await importDataspaces(target.dataspaces, file)).toMatchObject([{ how: 'there' }, { how: 'there' }]);
  await target.dataspaces.load('notes', bytesOf('z', 10), { lengthBytes: 10 });
  await expect(importDataspaces(target.dataspaces, file)).rejects.toThrow(
    /"notes" is there already, and has other bytes/,
  );
  expect(await importDataspaces(target.dataspaces, file, { names: [odd] })).toMatchObject([{ how: 'there' }]);
  await expect(importDataspaces(target.dataspaces, file, { names: ['x'] })).rejects.toThrow(
    /no dataspace "x" in it; there are: notes/,
  );
  await expect(exported(['x'])).rejects.toThrow(/no dataspace "x" that you may read/);
}, 60_000);

test('cut anywhere it makes nothing; an export goes on there, and is the same', async () => {
  await target.dataspaces.remove('notes');
  const whole = readFileSync(file);
  const part = `${file}.part`;
  const cuts = [
    0,
    1,
    511,
    512,
    5_000,
    700_000,
    PIECE_BYTES + 4_000,
    2 * PIECE_BYTES,
    whole.length - 2_000,
    whole.length - 1_024 - 1,
  ];
  for (const cut of cuts) {
    copyFileSync(file, part);
    truncateSync(part, cut);
    await expect(importDataspaces(target.dataspaces, part), String(cut)).rejects.toThrow(ArchiveError);
    const { resumedBytes } = await exported();
    expect(resumedBytes, String(cut)).toBeLessThanOrEqual(cut);
    expect(resumedBytes > cut - PIECE_BYTES - 4_096, String(cut)).toBe(true);
    expect(readFileSync(file).equals(whole), String(cut)).toBe(true);
    expect(existsSync(part)).toBe(false);
  }
  expect((await target.dataspaces.records()).map(({ name }) => name)).toEqual([odd]);
}, 60_000);

test('two at one time: one writes it, the other is told; one that was killed holds nobody up', async () => {
  const both = join(folder, 'both.tar');
  const [one, other] = await Promise.allSettled([exported(small, both), exported(small, both)]);
  expect([one.status, other.status].sort()).toEqual(['fulfilled', 'rejected']);
  const { reason } = [one, other].find((each) => each.status === 'rejected') as PromiseRejectedResult;
  expect(String(reason)).toMatch(/both\.tar\.part is being written by process \d+/);
  expect(await checkBackup(both)).toMatchObject({ dataspaces: [{ name: 'notes' }, { name: odd }] });
  writeFileSync(`${both}.part.lock`, '1 0');
  await exported(small, both);
  expect(existsSync(`${both}.part.lock`)).toBe(false);
}, 60_000);

test('spoilt anywhere it makes nothing, and says where', async () => {
  const whole = readFileSync(file);
  const spoilt = join(folder, 'spoilt.tar');
  // The last ones are only what fills the file up.
  for (let at = 100; at < whole.length - 1_600; at += 98_765) {
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 0x40;
    writeFileSync(spoilt, bytes);
    // What no checksum covers are fields of headers that nobody reads.
    const said = await checkBackup(spoilt).then(
      () => 'whole',
      (error) => error.constructor.name,
    );
    if (said !== 'whole') expect(said, String(at)).toBe('ArchiveError');
    else
      expect(at % 512 === at || whole.subarray(at - 600, at + 600).includes('ustar'), String(at)).toBe(true);
  }
  for (const [name, bytes] of [
    ['of something else', Buffer.from('hello '.repeat(1_000))],
    ['without an end', encodeEntry('begin.json', Buffer.from('{"version":1,"cluster":"c"}'))],
    ['of another version', encodeEntry('begin.json', Buffer.from('{"version":2,"cluster":"c"}'))],
    [
      'with a piece of nothing',
      Buffer.concat([
        encodeEntry('begin.json', Buffer.from('{"version":1,"cluster":"c"}')),
        encodeEntry('x/0000000000000000', Buffer.alloc(10)),
      ]),
    ],
    [
      'with a name that moves a cursor',
      Buffer.concat([
        encodeEntry('begin.json', Buffer.from('{"version":1,"cluster":"c"}')),
        encodeEntry(
          '%1B%5B31m/dataspace.json',
          Buffer.from('{"name":"\\u001b[31m","id":"1","sizeBytes":4096,"owner":"","mode":384,"group":""}'),
        ),
        encodeEntry('%1B%5B31m/whole.json', Buffer.from('{"pieces":0}')),
        encodeEntry('end.json', Buffer.from('{"dataspaces":1}')),
      ]),
    ],
    [
      'of a cluster with such a name',
      encodeEntry('begin.json', Buffer.from('{"version":1,"cluster":"\\u001b"}')),
    ],
    ['that is too large', encodeEntry('begin.json', Buffer.alloc(3 * PIECE_BYTES))],
  ] as const) {
    writeFileSync(spoilt, bytes);
    await expect(importDataspaces(target.dataspaces, spoilt), name).rejects.toThrow(ArchiveError);
  }
  await expect(importDataspaces(target.dataspaces, join(folder, 'none'))).rejects.toThrow(/ENOENT/);
}, 60_000);

test('an import that is killed leaves nothing that looks whole, and the next one makes it', async () => {
  const large = 'large';
  const bytes = bytesOf('l', 24 * PIECE_BYTES);
  await source.dataspaces.create(large, bytes.length, { durable: true });
  await source.dataspaces.load(large, bytes);
  const of = join(folder, 'large.tar');
  await exported([large], of);
  const vkctl = join(import.meta.dirname, '../../../services/vkctl/bin/vkctl.js');
  const child = spawn(process.execPath, [vkctl, 'ds', 'import', of], {
    env: into.env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  for (;;) {
    const there = (await target.dataspaces.records()).find(({ name }) => name === large);
    if (there?.load !== undefined) break;
    if (child.exitCode !== null) throw new Error(`it ended too soon: ${child.stderr.read()}`);
  }
  child.kill('SIGKILL');
  const { code, stdout, stderr } = await into.vkctl(['ds', 'import', of]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toBe('large: 24 MiB\n');
  expect((await contentOf(target, large)).equals(bytes)).toBe(true);
  const { stdout: checked } = await into.vkctl(['ds', 'import', '--check', of]);
  expect(checked).toBe(
    `large: 24 MiB, 24 MiB that are not zeros\n${of} is whole: 1 dataspace of cluster "${from.cluster}"\n`,
  );
}, 60_000);

test('two imports at a time: one of them makes it; what is loaded by hand stays', async () => {
  const name = 'twice';
  const bytes = bytesOf('t', 16 * PIECE_BYTES);
  await source.dataspaces.create(name, bytes.length, { durable: true });
  await source.dataspaces.load(name, bytes);
  const of = join(folder, 'twice.tar');
  await exported([name], of);
  const ends = await Promise.allSettled([1, 2].map(() => importDataspaces(target.dataspaces, of)));
  expect(ends.some(({ status }) => status === 'fulfilled')).toBe(true);
  expect((await contentOf(target, name)).equals(bytes)).toBe(true);
  await target.dataspaces.remove(name);

  async function* broken() {
    yield bytesOf('h', 4096);
    throw new Error('broke off');
  }
  await target.dataspaces.create(name, 4096);
  await expect(target.dataspaces.load(name, broken(), { lengthBytes: 4096 })).rejects.toThrow('broke off');
  await expect(importDataspaces(target.dataspaces, of)).rejects.toThrow(/a load into it has not ended/);
  await target.dataspaces.remove(name);
}, 60_000);

test('by the command: what is no file keeps its place', async () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  expect(await from.vkctl(['ds', 'export', pipe, 'notes'])).toMatchObject({
    ...{ code: 1, stderr: expect.stringMatching(/pipe is no file, and a backup would take its place/) },
  });
  expect(statSync(pipe).isFIFO()).toBe(true);
  expect(existsSync(`${pipe}.part`)).toBe(false);
});

test('by the command: a full disk and what is no file are one line', async () => {
  expect(await from.vkctl(['ds', 'export', '/dev/full/x', 'notes'])).toMatchObject({
    ...{ code: 1, stderr: expect.stringMatching(/^vkctl: ds export: cannot write \/dev\/full\/x: /) },
  });
  expect(await from.vkctl(['ds', 'export', folder])).toMatchObject({
    code: 1,
    stderr: `vkctl: ds export: ${folder} is a folder. Name a file in it.\n`,
  });
  expect(await from.vkctl(['ds', 'export', '/dev/zero'])).toMatchObject({
    ...{
      code: 1,
      stderr: expect.stringMatching(
        /^vkctl: ds export: \/dev\/zero is no file, and a backup would take its place/,
      ),
    },
  });
  await expect(exported(small, '/dev/zero')).rejects.toThrow(/is no file, and a backup would take its place/);
  expect(await from.vkctl(['ds', 'import', '--check', '/dev/zero'])).toMatchObject({
    ...{ code: 1, stderr: 'vkctl: ds import: /dev/zero is no file\n' },
  });
  const here = join(folder, 'by-command.tar');
  const { stdout } = await from.vkctl(['ds', 'export', here, 'notes', odd]);
  expect(stdout).toBe(`2 dataspaces in ${here}: 2.0 MiB that are not zeros\n`);
  expect(statSync(here).mode & 0o777).toBe(0o600);
});
