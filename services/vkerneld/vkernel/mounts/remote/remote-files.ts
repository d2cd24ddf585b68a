// Folders and files on another node, as a process here has them open. A path is walked there, whole: each call is one message and its
// answer. What the other side says is not believed more than a program is.

import { FileOp, type FileStat } from '@odonata/proto/vkernel/v1/files';
import { type Filestat, Filetype } from '../../wasi/abi.ts';
import { Errno } from '../../wasi/errno.ts';
import { type FilePath, type ListedName, unpackNames } from '../../wasi/mounts/file-request.ts';
import type { FileNode, OpenedFile, OpenHow, TimesToSet, Written } from '../tree.ts';
import { fail } from '../tree.ts';
import type { Call, FolderLine, FoldersAsked } from './folders-asked.ts';
import { KEPT_MS, ReadAhead } from './read-ahead.ts';

/** Of one listing. */
const NAMES_BYTES_MAX = 64 << 20;

/** What a process has of a folder on another node: opened when it is first used, and again after it was lost. */
export class RemoteMount {
  readonly #asked: FoldersAsked;
  readonly #pid: bigint;
  readonly #place: number;
  #line: FolderLine | undefined;
  /** The process, and what is open of it, in other processes, too. */
  #users = 1;
  readonly top: RemoteFolder;
  /** What is open of it: who changes one tells others of the same file. */
  readonly files = new Set<RemoteFile>();

  constructor(asked: FoldersAsked, pid: bigint, place: number) {
    this.#asked = asked;
    this.#pid = pid;
    this.#place = place;
    this.top = new RemoteFolder(this, undefined);
  }

  get line(): FolderLine {
    if (this.#line === undefined || this.#line.isGone) this.#line = this.#asked.open(this.#pid, this.#place);
    return this.#line;
  }

  used(): void {
    this.#users++;
  }

  /** One user less. */
  release(): void {
    this.#users--;
    if (this.#users === 0) this.#line?.close();
  }
}

/** Where something is open: on that line it has that number. */
export class RemoteHandle {
  readonly mount: RemoteMount;
  readonly line: FolderLine;
  readonly number: number;

  constructor(mount: RemoteMount, line: FolderLine, number: number) {
    this.mount = mount;
    this.line = line;
    this.number = number;
    mount.used();
  }

  call(call: Call) {
    return this.line.call({ ...call, handle: this.number });
  }

  /** What was lost with its line is closed. All that was written is there already. */
  async close(): Promise<void> {
    try {
      if (!this.line.isGone) await this.call({ op: FileOp.CLOSE });
    } finally {
      this.mount.release();
    }
  }
}

type PathCall = Omit<Call, 'path' | 'handle' | 'toPath' | 'toHandle'>;
type Path = Pick<FilePath, 'path'>;

export class RemoteFolder {
  readonly filetype = Filetype.directory;
  readonly mount: RemoteMount;
  /** Undefined: the folder itself that was granted. */
  readonly #handle: RemoteHandle | undefined;
  readonly #ino: bigint;

  constructor(mount: RemoteMount, handle: RemoteHandle | undefined, ino = 1n) {
    this.mount = mount;
    this.#handle = handle;
    this.#ino = ino;
  }

  /** What a path names here, opened. */
  async open(
    { path }: Path,
    { oflags, follow, reads, writes }: { oflags: number; follow: boolean; reads: boolean; writes: boolean },
  ) {
    const line = this.#handle?.line ?? this.mount.line;
    const at = { handle: this.#handle?.number ?? 0, path: bytesOf(path) };
    return openedOf(
      this.mount,
      line,
      await line.call({ op: FileOp.OPEN, ...at, oflags, follow, reads, writes }),
    );
  }

  /** The same folder, opened anew. */
  reopen(): Promise<Awaited<ReturnType<RemoteFolder['open']>>> {
    return this.open({ path: '.' }, { oflags: 0, follow: true, reads: true, writes: false });
  }

  /** Of a path beneath it. */
  async at(call: PathCall, { path }: Path) {
    const line = this.#handle?.line ?? this.mount.line;
    return line.call({ ...call, handle: this.#handle?.number ?? 0, path: bytesOf(path) });
  }

  /** Of two paths, which have to be of one mount. @throws WasiError EXDEV */
  async between(call: PathCall, { path }: Path, to: RemoteFolder, { path: toPath }: Path): Promise<void> {
    if (this.mount !== to.mount) fail(Errno.xdev);
    const line = this.#handle?.line ?? to.#handle?.line ?? this.mount.line;
    if ((to.#handle?.line ?? line) !== line) fail(Errno.stale);
    await line.call({
      ...call,
      ...{ handle: this.#handle?.number ?? 0, path: bytesOf(path) },
      ...{ toHandle: to.#handle?.number ?? 0, toPath: bytesOf(toPath) },
    });
  }

  async stat(): Promise<Filestat> {
    return statOf((await this.at({ op: FileOp.STAT_PATH }, { path: '.' })).stat);
  }

  async setTimes({ atimNs, mtimNs }: TimesToSet): Promise<void> {
    await this.at({ op: FileOp.SET_TIMES_PATH, atimNs, mtimNs }, { path: '.' });
  }

  /** With "." and "..". */
  async list(): Promise<ListedName[]> {
    const handle = this.#handle ?? fail(Errno.badf);
    const names: ListedName[] = ['.', '..'].map((name) => {
      return { name: Buffer.from(name), filetype: Filetype.directory, inode: this.#ino };
    });
    let bytes = 0;
    for (let from = 0; ; ) {
      const { data, end } = await handle.call({ op: FileOp.LIST, offset: BigInt(from) });
      const more = namesOf(data);
      names.push(...more);
      from += more.length;
      bytes += data.length;
      if (bytes > NAMES_BYTES_MAX) fail(Errno.overflow);
      if (more.length === 0 || from >= Number(end)) return names;
    }
  }

  async sync(): Promise<void> {
    await this.#handle?.call({ op: FileOp.SYNC });
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

class RemoteNode implements FileNode {
  readonly filetype = Filetype.regularFile;
  protected readonly handle: RemoteHandle;

  constructor(handle: RemoteHandle) {
    this.handle = handle;
  }

  async open({ reads, writes, truncates }: OpenHow): Promise<OpenedFile> {
    const { mount, line } = this.handle;
    const answer = await this.handle.call({ op: FileOp.REOPEN, reads, writes });
    const opened = openedOf(mount, line, answer);
    if (!('file' in opened)) return fail(Errno.io);
    if (truncates) await opened.file.setSize(0);
    return opened.file;
  }

  async stat(): Promise<Filestat> {
    return statOf((await this.handle.call({ op: FileOp.STAT })).stat);
  }

  async setTimes({ atimNs, mtimNs }: TimesToSet): Promise<void> {
    await this.handle.call({ op: FileOp.SET_TIMES, atimNs, mtimNs });
  }
}

class RemoteFile extends RemoteNode implements OpenedFile {
  readonly #ahead: ReadAhead;
  readonly #ino: bigint;
  readonly #dev: bigint;
  /** As the answer to its opening said. */
  #fresh: { readonly stat: Filestat; readonly atMs: number } | undefined;
  /** Of its line, when that and what was read ahead were said. */
  #changes: number;

  constructor(handle: RemoteHandle, stat: Filestat) {
    super(handle);
    this.#fresh = { stat, atMs: performance.now() };
    this.#changes = handle.line.changes;
    this.#ino = stat.ino;
    this.#dev = stat.dev;
    handle.mount.files.add(this);
    this.#ahead = new ReadAhead(async (offset, lengthBytes) => {
      const { data } = await handle.call({ op: FileOp.READ, offset: BigInt(offset), length: lengthBytes });
      return data.length > lengthBytes ? fail(Errno.io) : data;
    });
  }

  override async stat(): Promise<Filestat> {
    this.#expectUnchanged();
    const fresh = this.#fresh;
    this.#fresh = undefined;
    return fresh !== undefined && performance.now() - fresh.atMs < KEPT_MS ? fresh.stat : super.stat();
  }

  override async setTimes(times: TimesToSet): Promise<void> {
    this.#changed();
    await super.setTimes(times);
  }

  read(offset: number, lengthBytes: number): Promise<Uint8Array> {
    this.#expectUnchanged();
    return this.#ahead.read(offset, lengthBytes);
  }

  async write(offset: number | undefined, bytes: Uint8Array): Promise<Written> {
    this.#changed();
    const where = { offset: BigInt(offset ?? 0), atEnd: offset === undefined };
    const { written, end } = await this.handle.call({ op: FileOp.WRITE, ...where, data: bytes });
    this.#changed();
    return { written: Math.min(written, bytes.length), endBytes: Number(end) };
  }

  async setSize(sizeBytes: number): Promise<void> {
    this.#changed();
    await this.handle.call({ op: FileOp.SET_SIZE, offset: BigInt(sizeBytes) });
  }

  async allocate(endBytes: number): Promise<void> {
    this.#changed();
    await this.handle.call({ op: FileOp.ALLOCATE, offset: BigInt(endBytes) });
  }

  async sync(): Promise<void> {
    await this.handle.call({ op: FileOp.SYNC });
  }

  close(): Promise<void> {
    this.handle.mount.files.delete(this);
    return this.handle.close();
  }

  /** Whatever this process changed there, this file perhaps, by another name. */
  #expectUnchanged(): void {
    const { changes } = this.handle.line;
    if (changes !== this.#changes) this.#forget();
    this.#changes = changes;
  }

  /** This file, by whichever descriptor. */
  #changed(): void {
    for (const file of this.handle.mount.files)
      if (file.#ino === this.#ino && file.#dev === this.#dev) file.#forget();
  }

  #forget(): void {
    this.#fresh = undefined;
    this.#ahead.forget();
  }
}

/** What is open elsewhere is opened anew by itself. */
export const isOpenNode = (file: OpenedFile): file is OpenedFile & FileNode => file instanceof RemoteFile;

function openedOf(
  mount: RemoteMount,
  line: FolderLine,
  { handle: number, stat }: { handle: number; stat?: FileStat | undefined },
): { folder: RemoteFolder } | { node: FileNode; file: OpenedFile } {
  const about = statOf(stat);
  const handle = new RemoteHandle(mount, line, number);
  if (about.filetype === Filetype.directory) return { folder: new RemoteFolder(mount, handle, about.ino) };
  const file = new RemoteFile(handle, about);
  return { node: file, file };
}

export function statOf(stat: FileStat | undefined): Filestat {
  if (stat === undefined) return fail(Errno.io);
  const { dev, ino, filetype, nlink, size, atimNs, mtimNs, ctimNs } = stat;
  return { dev, ino, filetype, nlink, size, atimNs, mtimNs, ctimNs };
}

function namesOf(data: Uint8Array): ListedName[] {
  try {
    return unpackNames(data.slice() as Uint8Array<ArrayBuffer>);
  } catch (error) {
    if (error instanceof RangeError) return fail(Errno.io);
    throw error;
  }
}

const bytesOf = (path: string): Uint8Array => Buffer.from(path, 'latin1');
