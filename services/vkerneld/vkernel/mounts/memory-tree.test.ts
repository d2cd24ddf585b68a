// A file system in memory against the kernel of this machine: every call, in any order, has the same outcome on both.
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { Filetype, Oflags } from '../wasi/abi.ts';
import { Errno, errnoOf } from '../wasi/errno.ts';
import { type FileRequest, unpackNames, unpackStat } from '../wasi/mounts/file-request.ts';
import { FrameStore, PlainFrames } from './frame-store.ts';
import { MemoryTree } from './memory-tree.ts';
import { ProcessFiles } from './process-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-memory-tree-'));
afterAll(() => rmSync(folder, { recursive: true }));

const PAGE = 4096;
let made = 0;

class Both {
  readonly store: FrameStore;
  readonly files: ProcessFiles;
  readonly root: string;
  readonly #memory: number;
  /** Open files, here and on the host. */
  readonly open: { handle: number; host: number }[] = [];

  constructor(frames = 1_000) {
    this.root = join(folder, `${++made}`);
    mkdirSync(this.root);
    this.#memory = openSync(join(folder, `${made}.memory`), 'w+');
    this.store = new FrameStore(new PlainFrames(this.#memory), frames);
    const tree = new MemoryTree(this.store, 1n);
    this.files = new ProcessFiles(new Map([['tmp', tree.root]]));
  }

  at(path: string): { at: { mount: string }; path: string } {
    return { at: { mount: 'tmp' }, path };
  }

  /** The payload, or an errno. */
  ask(request: FileRequest): Promise<Uint8Array | number> {
    return this.files.serve(request);
  }

  async end(): Promise<void> {
    for (const { host } of this.open) closeSync(host);
    await this.files.closeAll();
    closeSync(this.#memory);
    rmSync(this.root, { recursive: true });
  }
}

function hostOutcome<T>(run: () => T): T | number {
  try {
    return run();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno;
  }
}

const hostDone = (run: () => void): number =>
  hostOutcome(() => {
    run();
    return 0;
  });

type Command = (both: Both) => Promise<void>;

/** An errno, or what `of` makes of a payload. */
const outcome = <T>(answer: Uint8Array | number, of: (payload: Uint8Array<ArrayBuffer>) => T): T | number =>
  typeof answer === 'number' ? answer : of(answer.slice() as Uint8Array<ArrayBuffer>);

const word = (payload: Uint8Array<ArrayBuffer>, i: number): number =>
  Number(new DataView(payload.buffer).getBigUint64(i * 8, true));

const name = fc.constantFrom('a', 'b', 'c');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const size = fc.oneof(fc.nat(20), fc.nat(3 * PAGE), fc.constantFrom(0, PAGE, 2 * PAGE));

const change = (op: 'mkdir' | 'rmdir' | 'unlink', host: (path: string) => void): fc.Arbitrary<Command> =>
  path.map((at) => async (both) => {
    const answer = outcome(await both.ask({ op, ...both.at(at) }), () => 0);
    expect(answer, `${op} ${at}`).toBe(hostDone(() => host(join(both.root, at))));
  });

const commands: fc.Arbitrary<Command>[] = [
  change('mkdir', mkdirSync),
  change('rmdir', rmdirSync),
  change('unlink', unlinkSync),
  fc
    .record({
      at: path,
      oflags: fc.constantFrom(
        0,
        Oflags.creat,
        Oflags.creat | Oflags.excl,
        Oflags.trunc,
        Oflags.creat | Oflags.trunc,
      ),
      follow: fc.boolean(),
      writes: fc.boolean(),
    })
    .map(({ at, oflags, follow, writes }) => async (both) => {
      const flags =
        (writes ? constants.O_RDWR : constants.O_RDONLY) |
        (follow ? 0 : constants.O_NOFOLLOW) |
        (oflags & Oflags.creat ? constants.O_CREAT : 0) |
        (oflags & Oflags.excl ? constants.O_EXCL : 0) |
        (oflags & Oflags.trunc ? constants.O_TRUNC : 0);
      const request = { op: 'open', ...both.at(at), oflags, follow, reads: true, writes } as const;
      const answer = outcome(await both.ask(request), (payload) => ({ handle: word(payload, 0) }));
      const host = hostOutcome(() => ({ fd: openSync(join(both.root, at), flags) }));
      expect(typeof answer === 'number' ? answer : 0, `open ${at} ${oflags} ${follow}`).toBe(
        typeof host === 'number' ? host : 0,
      );
      if (typeof answer === 'number' || typeof host === 'number') return;
      // Directories are listed by their path.
      if (fstatSync(host.fd).isDirectory()) {
        closeSync(host.fd);
        await both.ask({ op: 'close', handle: answer.handle });
      } else both.open.push({ handle: answer.handle, host: host.fd });
    }),
  fc.nat(20).map((i) => async (both) => {
    const [file] = both.open.splice(i % Math.max(1, both.open.length), 1);
    if (file === undefined) return;
    closeSync(file.host);
    expect(await both.ask({ op: 'close', handle: file.handle })).toHaveLength(0);
  }),
  fc
    .record({
      i: fc.nat(20),
      offset: fc.option(size, { nil: undefined }),
      length: size,
      byte: fc.integer({ min: 1, max: 255 }),
    })
    .map(({ i, offset, length, byte }) => async (both) => {
      const file = both.open[i % Math.max(1, both.open.length)];
      if (file === undefined) return;
      const bytes = new Uint8Array(length).fill(byte);
      const end = fstatSync(file.host).size;
      const host = hostOutcome(() => ({ written: writeSync(file.host, bytes, 0, length, offset ?? end) }));
      // Who may write is known to the descriptor, which is not tried here.
      if (host === Errno.badf) return;
      const answer = outcome(
        await both.ask({ op: 'write', handle: file.handle, offset, bytes }),
        (payload) => [word(payload, 0), word(payload, 1)],
      );
      expect(answer).toEqual([length, (offset ?? end) + length]);
    }),
  fc.record({ i: fc.nat(20), offset: size, length: size }).map(({ i, offset, length }) => async (both) => {
    const file = both.open[i % Math.max(1, both.open.length)];
    if (file === undefined) return;
    const bytes = Buffer.alloc(length);
    const n = readSync(file.host, bytes, 0, length, offset);
    const answer = await both.ask({ op: 'read', handle: file.handle, offset, lengthBytes: length });
    expect(Buffer.from(answer as Uint8Array).equals(bytes.subarray(0, n))).toBe(true);
  }),
  fc
    .record({ i: fc.nat(20), bytes: size, grows: fc.boolean() })
    .map(({ i, bytes, grows }) => async (both) => {
      const file = both.open[i % Math.max(1, both.open.length)];
      if (file === undefined) return;
      const to = grows ? Math.max(bytes, fstatSync(file.host).size) : bytes;
      // A descriptor for reading only.
      if (typeof hostOutcome(() => String(ftruncateSync(file.host, to))) === 'number') return;
      const request = grows
        ? ({ op: 'allocate', handle: file.handle, endBytes: to } as const)
        : ({ op: 'set-size', handle: file.handle, sizeBytes: to } as const);
      expect(await both.ask(request)).toHaveLength(0);
    }),
  fc.tuple(path, path).map(([from, to]) => async (both) => {
    const answer = outcome(await both.ask({ op: 'rename', from: both.at(from), to: both.at(to) }), () => 0);
    const host = hostDone(() => renameSync(join(both.root, from), join(both.root, to)));
    expect(answer, `rename ${from} ${to}`).toBe(host);
  }),
  fc.tuple(path, path).map(([from, to]) => async (both) => {
    const request = { op: 'link', from: both.at(from), to: both.at(to), follow: false } as const;
    const answer = outcome(await both.ask(request), () => 0);
    const host = hostDone(() => linkSync(join(both.root, from), join(both.root, to)));
    expect(answer, `link ${from} ${to}`).toBe(host);
  }),
  fc.tuple(path, path).map(([target, at]) => async (both) => {
    const answer = outcome(await both.ask({ op: 'symlink', ...both.at(at), target }), () => 0);
    const host = hostDone(() => symlinkSync(target, join(both.root, at)));
    expect(answer, `symlink ${target} ${at}`).toBe(host);
  }),
  path.map((at) => async (both) => {
    const answer = outcome(await both.ask({ op: 'readlink', ...both.at(at) }), (payload) =>
      Buffer.from(payload).toString(),
    );
    expect(answer, `readlink ${at}`).toBe(hostOutcome(() => readlinkSync(join(both.root, at))));
  }),
  fc.tuple(path, fc.boolean()).map(([at, follow]) => async (both) => {
    const answer = outcome(await both.ask({ op: 'stat-path', ...both.at(at), follow }), (payload) => {
      const { filetype, size: bytes, nlink } = unpackStat(payload);
      return filetype === Filetype.directory ? [filetype] : [filetype, Number(bytes), Number(nlink)];
    });
    const host = hostOutcome(() => {
      const stat = (follow ? statSync : lstatSync)(join(both.root, at));
      const filetype = stat.isDirectory()
        ? Filetype.directory
        : stat.isFile()
          ? Filetype.regularFile
          : Filetype.symbolicLink;
      return stat.isDirectory() ? [filetype] : [filetype, stat.size, stat.nlink];
    });
    expect(answer, `stat ${at} ${follow}`).toEqual(host);
  }),
];

const namesIn = async (both: Both, at: string): Promise<string[]> => {
  const request = {
    op: 'open',
    ...both.at(at),
    oflags: Oflags.directory,
    follow: true,
    reads: true,
    writes: false,
  };
  const opened = (await both.ask(request as FileRequest)) as Uint8Array;
  const handle = word(opened.slice() as Uint8Array<ArrayBuffer>, 0);
  const listed = (await both.ask({ op: 'list', handle, from: 0 })) as Uint8Array;
  await both.ask({ op: 'close', handle });
  return unpackNames(listed.slice() as Uint8Array<ArrayBuffer>)
    .map((entry) => Buffer.from(entry.name).toString())
    .slice(2)
    .sort();
};

async function expectSameTree(both: Both, at = '.'): Promise<void> {
  const names = readdirSync(join(both.root, at)).sort();
  expect(await namesIn(both, at)).toEqual(names);
  for (const each of names) {
    const below = `${at}/${each}`;
    if (lstatSync(join(both.root, below)).isDirectory()) await expectSameTree(both, below);
  }
}

test('every call, in any order, is answered as the kernel answers it', async () => {
  const sequence = fc.array(fc.oneof(...commands), { minLength: 5, maxLength: 60, size: 'max' });
  await fc.assert(
    fc.asyncProperty(sequence, async (steps) => {
      const both = new Both();
      try {
        for (const step of steps) await step(both);
        await expectSameTree(both);
      } finally {
        await both.end();
      }
    }),
    { numRuns: 300 },
  );
}, 60_000);
