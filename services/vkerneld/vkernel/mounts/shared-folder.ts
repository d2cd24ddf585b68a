// /shared: the dataspaces of the cluster as files. Listed and found is what the person may see whose the virtual kernel is.
//
// A dataspace has its size for good. So a file that is made here is none at first: it becomes one when its size is known, by
// ftruncate(2) or posix_fallocate(3) at once, else by fsync(2) or the last close(2) with what was written until then. To open one that
// is there with O_TRUNC replaces it: it is removed, and made anew.

import { type Filestat, Filetype } from '../wasi/abi.ts';
import { Errno, WasiError } from '../wasi/errno.ts';
import type { ListedName } from '../wasi/mounts/file-request.ts';
import type { DataspaceAbout, Dataspaces } from './dataspaces.ts';
import type { FrameStore } from './frame-store.ts';
import { MemoryContents } from './memory-contents.ts';
import { type FileNode, FixedFolder, fail, type OpenedFile, type OpenHow, type Written } from './tree.ts';

/** Of one write into a dataspace. */
const WRITE_BYTES = 1 << 20;
/** Files of a virtual kernel that are to become dataspaces. */
export const UNMADE_MAX = 1_024;

export interface SharedPlace {
  readonly dataspaces: Dataspaces;
  /** For what is written before the size is known. */
  readonly store: FrameStore;
  readonly dev: bigint;
}

const statOf = (dev: bigint, ino: bigint, size: number): Filestat => ({
  ...{ dev, ino, filetype: Filetype.regularFile, nlink: 1n, size: BigInt(size) },
  ...{ atimNs: 0n, mtimNs: 0n, ctimNs: 0n },
});

export class SharedFolder extends FixedFolder {
  readonly #place: SharedPlace;
  /** By name. */
  readonly #unmade = new Map<string, UnmadeFile>();

  constructor(place: SharedPlace) {
    super();
    this.#place = place;
  }

  stat(): Filestat {
    return { ...statOf(this.#place.dev, 1n, 0), filetype: Filetype.directory };
  }

  async lookup(name: string): Promise<FileNode | undefined> {
    const text = textOf(name);
    if (text === undefined) return undefined;
    const unmade = this.#unmade.get(text);
    if (unmade !== undefined) return unmade;
    const about = await this.#place.dataspaces.stat(text);
    return about && new SharedFile(this.#place, this, about);
  }

  async list(): Promise<ListedName[]> {
    const made = await this.#place.dataspaces.list();
    // A name with a slash has no place in a folder.
    const names = made.filter(({ name }) => !name.includes('/') && name !== '.' && name !== '..');
    return [
      ...names.map(({ name, id: inode }) => ({
        name: Buffer.from(name),
        filetype: Filetype.regularFile,
        inode,
      })),
      ...[...this.#unmade.keys()].map((name) => {
        return { name: Buffer.from(name), filetype: Filetype.regularFile, inode: 2n };
      }),
    ];
  }

  override create(name: string): FileNode {
    const text = textOf(name) ?? fail(Errno.ilseq);
    if (/\p{Cc}/u.test(text)) fail(Errno.inval);
    return this.unmade(text);
  }

  /** A file that is none yet. */
  unmade(name: string): UnmadeFile {
    if (this.#unmade.size >= UNMADE_MAX) fail(Errno.nfile);
    const file = new UnmadeFile(this.#place, name, () => {
      if (this.#unmade.get(name) === file) this.#unmade.delete(name);
    });
    this.#unmade.set(name, file);
    return file;
  }

  override async unlink(name: string): Promise<void> {
    const text = textOf(name) ?? fail(Errno.noent);
    const unmade = this.#unmade.get(text);
    if (unmade === undefined) return this.#place.dataspaces.remove(text);
    unmade.forget();
  }

  /** mv(1) copies then. */
  override rename(): never {
    fail(Errno.xdev);
  }

  override link(): never {
    fail(Errno.perm);
  }
  override symlink(): never {
    fail(Errno.perm);
  }
  override mkdir(): never {
    fail(Errno.perm);
  }
  override rmdir(): never {
    fail(Errno.notdir);
  }
}

/** A name as UTF-8; undefined where it is none. */
function textOf(name: string): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(name, 'latin1'));
  } catch {
    return undefined;
  }
}

/** A dataspace. */
class SharedFile implements FileNode {
  readonly filetype = Filetype.regularFile;
  readonly #place: SharedPlace;
  readonly #folder: SharedFolder;
  readonly #about: DataspaceAbout;

  constructor(place: SharedPlace, folder: SharedFolder, about: DataspaceAbout) {
    this.#place = place;
    this.#folder = folder;
    this.#about = about;
  }

  stat(): Filestat {
    return statOf(this.#place.dev, this.#about.id, this.#about.sizeBytes);
  }

  setTimes(): void {
    // A dataspace has none.
  }

  async open({ writes, truncates }: OpenHow): Promise<OpenedFile> {
    const { dataspaces } = this.#place;
    const { name } = this.#about;
    if (truncates) {
      await dataspaces.remove(name);
      return this.#folder.unmade(name).open();
    }
    // Who may not write hears it now, as of any file.
    if (writes) await dataspaces.write(name, 0, new Uint8Array(0));
    return new OpenedDataspaceFile(this.#place, this.#about);
  }
}

class OpenedDataspaceFile implements OpenedFile {
  readonly #place: SharedPlace;
  readonly #about: DataspaceAbout;

  constructor(place: SharedPlace, about: DataspaceAbout) {
    this.#place = place;
    this.#about = about;
  }

  stat(): Filestat {
    return statOf(this.#place.dev, this.#about.id, this.#about.sizeBytes);
  }

  setTimes(): void {}

  async read(offset: number, lengthBytes: number): Promise<Uint8Array> {
    const { name, sizeBytes } = this.#about;
    const length = Math.min(lengthBytes, sizeBytes - offset);
    if (length <= 0) return new Uint8Array(0);
    return gone(this.#place.dataspaces.read(name, offset, length));
  }

  async write(at: number | undefined, bytes: Uint8Array): Promise<Written> {
    const { name, sizeBytes } = this.#about;
    const offset = at ?? sizeBytes;
    if (bytes.length === 0) return { written: 0, endBytes: offset };
    const written = Math.min(bytes.length, sizeBytes - offset);
    if (written <= 0) fail(Errno.fbig);
    await gone(this.#place.dataspaces.write(name, offset, bytes.subarray(0, written)));
    return { written, endBytes: offset + written };
  }

  setSize(sizeBytes: number): void {
    if (sizeBytes !== this.#about.sizeBytes) fail(Errno.inval);
  }

  allocate(endBytes: number): void {
    if (endBytes > this.#about.sizeBytes) fail(Errno.fbig);
  }

  sync(): void {}
  close(): void {}
}

/** It was there when it was opened. */
async function gone<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof WasiError && error.errno === Errno.noent) throw new WasiError(Errno.stale);
    throw error;
  }
}

/** A file that becomes a dataspace when its size is known. */
class UnmadeFile implements FileNode {
  readonly filetype = Filetype.regularFile;
  readonly #place: SharedPlace;
  readonly #name: string;
  readonly #left: () => void;
  readonly #contents: MemoryContents;
  #opened = 0;
  #forgotten = false;
  /** Once it is one. */
  #made: Promise<OpenedFile> | undefined;

  constructor(place: SharedPlace, name: string, left: () => void) {
    this.#place = place;
    this.#name = name;
    this.#left = left;
    this.#contents = new MemoryContents(place.store);
  }

  stat(): Filestat {
    return statOf(this.#place.dev, 2n, this.#contents.sizeBytes);
  }

  setTimes(): void {}

  open({ truncates }: OpenHow = { reads: true, writes: true, truncates: false }): OpenedFile {
    if (truncates && this.#made === undefined) this.#contents.setSize(0);
    this.#opened++;
    const sized = async (sizeBytes: number): Promise<void> => {
      if (this.#made === undefined && sizeBytes === 0) this.#contents.setSize(0);
      else if (this.#made === undefined) await this.#make(sizeBytes);
      else await (await this.#made).setSize(sizeBytes);
    };
    return {
      stat: async () => (this.#made === undefined ? this.stat() : (await this.#made).stat()),
      setTimes: () => {},
      read: async (offset, lengthBytes) => {
        if (this.#made !== undefined) return (await this.#made).read(offset, lengthBytes);
        return this.#contents.read(offset, lengthBytes);
      },
      write: async (offset, bytes) => {
        if (this.#made !== undefined) return (await this.#made).write(offset, bytes);
        return this.#contents.write(offset, bytes);
      },
      setSize: sized,
      allocate: async (endBytes) => {
        if (this.#made !== undefined) return (await this.#made).allocate(endBytes);
        await sized(Math.max(endBytes, this.#contents.sizeBytes));
      },
      sync: async () => {
        if (this.#made === undefined && this.#contents.sizeBytes > 0)
          await this.#make(this.#contents.sizeBytes);
      },
      close: async () => {
        this.#opened--;
        if (this.#opened > 0) return;
        try {
          const { sizeBytes } = this.#contents;
          if (this.#made === undefined && sizeBytes > 0 && !this.#forgotten) await this.#make(sizeBytes);
        } finally {
          if (this.#opened === 0) this.forget();
        }
      },
    };
  }

  /** Its name is free again. */
  forget(): void {
    this.#forgotten = true;
    this.#left();
    if (this.#opened === 0) this.#contents.drop();
  }

  async #make(sizeBytes: number): Promise<void> {
    this.#made = this.#madeWith(sizeBytes);
    try {
      await this.#made;
      this.#left();
      this.#contents.drop();
    } catch (error) {
      this.#made = undefined;
      throw error;
    }
  }

  async #madeWith(sizeBytes: number): Promise<OpenedFile> {
    const { dataspaces } = this.#place;
    const name = this.#name;
    await dataspaces.create(name, sizeBytes);
    const length = Math.min(sizeBytes, this.#contents.sizeBytes);
    for (let at = 0; at < length; at += WRITE_BYTES)
      await dataspaces.write(name, at, this.#contents.read(at, Math.min(WRITE_BYTES, length - at)));
    const about = (await dataspaces.stat(name)) ?? fail(Errno.stale);
    return new OpenedDataspaceFile(this.#place, about);
  }
}
