// /shared over dataspaces of a test: what becomes one and when, and what is refused.
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { Oflags } from '../wasi/abi.ts';
import { Errno, WasiError } from '../wasi/errno.ts';
import { type FileRequest, unpackNames, unpackStat } from '../wasi/mounts/file-request.ts';
import type { Dataspaces } from './dataspaces.ts';
import { FrameStore, PlainFrames } from './frame-store.ts';
import { ProcessFiles } from './process-files.ts';
import { SharedFolder } from './shared-folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-shared-'));
const memory = openSync(join(folder, 'memory'), 'w+');
afterAll(() => {
  closeSync(memory);
  rmSync(folder, { recursive: true });
});

class TestDataspaces implements Dataspaces {
  readonly all = new Map<string, { id: bigint; bytes: Uint8Array; mapped?: boolean; locked?: boolean }>();
  #last = 2n;
  async list() {
    return [...this.all].map(([name, { id, bytes }]) => this.#about(name, id, bytes));
  }
  async stat(name: string) {
    const found = this.all.get(name);
    return found && this.#about(name, found.id, found.bytes);
  }
  async create(name: string, sizeBytes: number) {
    if (this.all.has(name)) throw new WasiError(Errno.exist);
    this.all.set(name, { id: ++this.#last, bytes: new Uint8Array(sizeBytes) });
  }
  async remove(name: string) {
    if (this.#get(name).mapped) throw new WasiError(Errno.busy);
    this.all.delete(name);
  }
  async read(name: string, offset: number, length: number) {
    return this.#get(name).bytes.slice(offset, offset + length);
  }
  async write(name: string, offset: number, bytes: Uint8Array) {
    if (this.#get(name).locked) throw new WasiError(Errno.acces);
    this.#get(name).bytes.set(bytes, offset);
  }
  #get(name: string) {
    const found = this.all.get(name);
    if (found === undefined) throw new WasiError(Errno.noent);
    return found;
  }
  #about(name: string, id: bigint, bytes: Uint8Array) {
    return { name, id, sizeBytes: bytes.length, owner: 'alice', mode: 0o600 };
  }
}

let dataspaces: TestDataspaces;
let store: FrameStore;
let files: ProcessFiles;
beforeEach(() => {
  dataspaces = new TestDataspaces();
  store = new FrameStore(new PlainFrames(memory), 100);
  files = new ProcessFiles(new Map([['shared', new SharedFolder({ dataspaces, store, dev: 7n })]]));
});

const at = (path: string) => ({ at: { mount: 'shared' }, path });
const ask = async (request: FileRequest) => {
  const answer = await files.serve(request);
  return typeof answer === 'number' ? answer : (answer.slice() as Uint8Array<ArrayBuffer>);
};
const open = async (path: string, oflags = 0, writes = true) => {
  const answer = await ask({ op: 'open', ...at(path), oflags, follow: true, reads: true, writes });
  return typeof answer === 'number' ? -answer : Number(new DataView(answer.buffer).getBigUint64(0, true));
};
const write = (handle: number, text: string, offset?: number) =>
  ask({ op: 'write', handle, offset, bytes: Buffer.from(text) });
const textOf = (name: string) => Buffer.from(dataspaces.all.get(name)!.bytes).toString();

test('what is written becomes a dataspace with the last close, and takes no frame then', async () => {
  const handle = await open('a', Oflags.creat);
  await write(handle, 'hello');
  await write(handle, ' there');
  expect(dataspaces.all.has('a')).toBe(false);
  expect(store.usedFrames).toBe(1);
  const again = await open('a', 0, false);
  await ask({ op: 'close', handle });
  expect(dataspaces.all.has('a')).toBe(false);
  await ask({ op: 'close', handle: again });
  expect(textOf('a')).toBe('hello there');
  expect(store.usedFrames).toBe(0);
});

test('a size makes it at once; a sync, too; without a byte nothing is made', async () => {
  const sized = await open('sized', Oflags.creat | Oflags.excl);
  await write(sized, 'xy');
  expect(await ask({ op: 'set-size', handle: sized, sizeBytes: 5000 })).toHaveLength(0);
  expect(dataspaces.all.get('sized')!.bytes).toHaveLength(5000);
  await write(sized, '!', 4999);
  expect(textOf('sized').startsWith('xy\0')).toBe(true);
  expect(await write(sized, 'z', 5000)).toBe(Errno.fbig);
  expect(await ask({ op: 'set-size', handle: sized, sizeBytes: 1 })).toBe(Errno.inval);
  const synced = await open('synced', Oflags.creat);
  await write(synced, 'now');
  await ask({ op: 'sync', handle: synced });
  expect(textOf('synced')).toBe('now');
  const empty = await open('empty', Oflags.creat);
  await ask({ op: 'close', handle: empty });
  expect(dataspaces.all.has('empty')).toBe(false);
  expect(await open('empty')).toBe(-Errno.noent);
  expect(await open('sized', Oflags.creat | Oflags.excl)).toBe(-Errno.exist);
});

test('O_TRUNC makes it anew, but not under whoever has it mapped; who may not write hears it at the open', async () => {
  await dataspaces.create('x', 10);
  const handle = await open('x', Oflags.trunc);
  await write(handle, 'short');
  await ask({ op: 'close', handle });
  expect(textOf('x')).toBe('short');
  dataspaces.all.get('x')!.mapped = true;
  expect(await open('x', Oflags.trunc)).toBe(-Errno.busy);
  expect(await ask({ op: 'unlink', ...at('x') })).toBe(Errno.busy);
  dataspaces.all.get('x')!.locked = true;
  expect(await open('x')).toBe(-Errno.acces);
  expect(await open('x', 0, false)).toBeGreaterThan(0);
});

test('made by somebody else meanwhile: close says so, and nothing is left of ours', async () => {
  const handle = await open('race', Oflags.creat);
  await write(handle, 'mine');
  await dataspaces.create('race', 4);
  expect(await ask({ op: 'close', handle })).toBe(Errno.exist);
  expect(store.usedFrames).toBe(0);
  expect(textOf('race')).toBe('\0\0\0\0');
});

test('removed while it is open it is stale; lists, sizes, and what cannot be done', async () => {
  await dataspaces.create('a', 3);
  await dataspaces.create('with/slash', 3);
  const handle = await open('a');
  await ask({ op: 'unlink', ...at('a') });
  expect(await ask({ op: 'read', handle, offset: 0, lengthBytes: 3 })).toBe(Errno.stale);
  await open('new', Oflags.creat);
  const top = await ask({ op: 'open', ...at('.'), oflags: 0, follow: true, reads: true, writes: false });
  const listed = await ask({ op: 'list', handle: Number((top as Uint8Array)[0]), from: 0 });
  expect(
    unpackNames(listed as Uint8Array<ArrayBuffer>).map((each) => Buffer.from(each.name).toString()),
  ).toEqual(['.', '..', 'new']);
  await dataspaces.create('b', 3);
  const stat = await ask({ op: 'stat-path', ...at('b'), follow: true });
  expect(unpackStat(stat as Uint8Array<ArrayBuffer>)).toMatchObject({ size: 3n, dev: 7n });
  expect(await ask({ op: 'mkdir', ...at('d') })).toBe(Errno.perm);
  expect(await ask({ op: 'rename', from: at('b'), to: at('c') })).toBe(Errno.xdev);
  expect(await ask({ op: 'stat-path', ...at('../etc'), follow: true })).toBe(Errno.notcapable);
});

test('what a program that ended left open is made, or given up', async () => {
  await write(await open('left', Oflags.creat), 'behind');
  await files.closeAll();
  expect(textOf('left')).toBe('behind');
  expect(store.usedFrames).toBe(0);
});
