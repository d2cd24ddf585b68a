// A folder of this machine that programs of the same person on another node have: what they ask is done beneath its descriptor, by the
// rules of a granted folder (wasi/path-lookup.ts), whoever asks. Only files and directories are opened: nothing here waits for a pipe.

import type { BigIntStats } from 'node:fs';
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  write,
} from 'node:fs';
import { promisify } from 'node:util';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type FileAnswerSchema, type FileCall, FileOp } from '@odonata/proto/vkernel/v1/files';
import { setSizeCounted, writeCounted } from '../../home-growth.ts';
import { ENTRY_BYTES, type Limits } from '../../limits.ts';
import { Filetype, Lookupflags, Oflags, Rights } from '../../wasi/abi.ts';
import type { DirectoryDescriptor } from '../../wasi/descriptor-table.ts';
import { Errno, errnoOf } from '../../wasi/errno.ts';
import { hostAccess } from '../../wasi/file-calls.ts';
import { filestatOf, statAt, statFiletype } from '../../wasi/file-stat.ts';
import { setTimes } from '../../wasi/file-times.ts';
import { openHost } from '../../wasi/host-open.ts';
import { packNames } from '../../wasi/mounts/file-request.ts';
import { descriptorPath, type PathLookup, withPath } from '../../wasi/path-lookup.ts';
import { fail } from '../tree.ts';

/** Handles of one folder: as many as a process may have descriptors, in several processes. */
export const HANDLES_MAX = 2_048;
const ANSWER_BYTES = 256 * 1024;
const O_FLAGS = constants.O_NONBLOCK | constants.O_NOCTTY;

export type Answer = Omit<MessageInitShape<typeof FileAnswerSchema>, '$typeName' | '$unknown' | 'number'>;

interface Handle {
  readonly host: number;
  readonly isFolder: boolean;
  readonly reads: boolean;
  readonly writes: boolean;
  /** The same, for what goes to the end. */
  appends: number | undefined;
  names: string[];
  /** Transfers under way, and the handle itself. */
  users: number;
}

const readAt = promisify(read);
const writeAt = promisify(write);
const syncIt = promisify(fdatasync);

export class ServedFolder {
  readonly #top: number;
  readonly #readOnly: boolean;
  readonly #limits: Limits | undefined;
  readonly #handles = new Map<number, Handle>();
  #last = 0;

  /** @param top a descriptor, its own from now on; @param limits of the home, where it lies in that: what is changed counts there */
  constructor(top: number, readOnly: boolean, limits?: Limits) {
    this.#top = top;
    this.#readOnly = readOnly;
    this.#limits = limits;
  }

  /** Never fails but for a bug: what does not work is said. */
  async serve(call: FileCall): Promise<Answer> {
    try {
      return await this.#serve(call);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      return { errno };
    }
  }

  close(): void {
    for (const handle of this.#handles.values()) letGo(handle);
    this.#handles.clear();
    closeSync(this.#top);
  }

  #serve(call: FileCall): Answer | Promise<Answer> {
    switch (call.op) {
      case FileOp.OPEN:
        return this.#open(call);
      case FileOp.REOPEN:
        return this.#reopen(call);
      case FileOp.CLOSE: {
        const handle = this.#of(call);
        this.#handles.delete(call.handle);
        letGo(handle);
        return {};
      }
      case FileOp.READ:
        return this.#read(call);
      case FileOp.WRITE:
        return this.#write(call);
      case FileOp.SET_SIZE:
        setSizeCounted(this.#limits, this.#writable(call).host, Number(call.offset));
        return {};
      case FileOp.ALLOCATE: {
        const { host } = this.#writable(call);
        if (fstatSync(host, { bigint: true }).size < call.offset)
          setSizeCounted(this.#limits, host, Number(call.offset));
        return {};
      }
      case FileOp.SYNC:
        return using(this.#of(call), async ({ host }) => {
          await syncIt(host);
          return {};
        });
      case FileOp.STAT:
        return { stat: filestatOf(fstatSync(this.#of(call).host, { bigint: true })) };
      case FileOp.STAT_PATH:
        return this.#walk(call, (lookup) => ({
          stat: filestatOf(statAt(lookup, flagsOf(call), pathOf(call))),
        }));
      case FileOp.SET_TIMES: {
        const { host } = this.#of(call);
        this.#expectWrites();
        setTimes(Buffer.from(descriptorPath(host)), timesOf(call), true);
        return {};
      }
      case FileOp.SET_TIMES_PATH:
        return this.#walk(call, (lookup) => {
          statAt(lookup, flagsOf(call), pathOf(call));
          this.#expectWrites();
          setTimes(lookup.hostPath, timesOf(call), lookup.isDirectoryItself);
          return {};
        });
      case FileOp.LIST:
        return this.#list(call);
      case FileOp.READLINK:
        return this.#walk(call, (lookup) => {
          if (lookup.mustBeDirectory) {
            // A slash goes through the link: what is behind it is a directory, or the error.
            statAt(lookup, Lookupflags.symlinkFollow, pathOf(call));
            fail(Errno.inval);
          }
          return { data: readlinkSync(lookup.hostPath, 'buffer') };
        });
      case FileOp.UNSPECIFIED:
        return fail(Errno.nosys);
      default:
        this.#expectWrites();
        return this.#change(call);
    }
  }

  /** Names are made, and removed. */
  #change(call: FileCall): Answer {
    switch (call.op) {
      case FileOp.MKDIR:
        return this.#walk(call, (lookup) => {
          if (lookup.isDirectoryItself) fail(Errno.exist);
          this.#named(() => mkdirSync(lookup.hostPath, 0o777));
          return {};
        });
      case FileOp.RMDIR:
        return this.#walk(call, (lookup) => {
          if (lookup.isDirectoryItself) fail(lookup.endsInParent ? Errno.notempty : Errno.inval);
          rmdirSync(lookup.hostPath);
          return {};
        });
      case FileOp.UNLINK:
        return this.#walk(call, (lookup) => {
          if (lookup.isDirectoryItself) fail(Errno.isdir);
          lookup.expectDirectoryWhereNamedSo();
          const gone = lstatSync(lookup.hostPath, { bigint: true, throwIfNoEntry: false });
          unlinkSync(lookup.hostPath);
          if (gone?.nlink === 1n) this.#limits?.grow(-gone.size - ENTRY_BYTES);
          return {};
        });
      case FileOp.SYMLINK:
        return this.#walk(call, (lookup) => {
          const target = Buffer.from(call.data);
          if (target.length === 0) fail(Errno.noent);
          if (target.length > 4096) fail(Errno.nametoolong);
          if (target.includes(0)) fail(Errno.inval);
          // As a program here hears it: others on this machine would follow it.
          if (target[0] === '/'.charCodeAt(0)) fail(Errno.perm);
          lookup.expectNothingThere();
          this.#named(() => symlinkSync(target, lookup.hostPath));
          return {};
        });
      case FileOp.RENAME:
        return this.#both(call, (old, fresh) => {
          if (old.isDirectoryItself || fresh.isDirectoryItself) fail(Errno.busy);
          old.expectDirectoryWhereNamedSo();
          if (fresh.mustBeDirectory && !lstatSync(old.hostPath).isDirectory()) fail(Errno.notdir);
          renameSync(old.hostPath, fresh.hostPath);
        });
      case FileOp.LINK:
        return this.#both(call, (old, fresh) => {
          const stat = statAt(old, flagsOf(call), pathOf(call));
          fresh.expectNothingThere();
          if (stat.isDirectory()) fail(Errno.perm);
          this.#named(() => linkSync(old.hostPath, fresh.hostPath));
        });
      default:
        return fail(Errno.nosys);
    }
  }

  #open(call: FileCall): Answer {
    const { oflags, follow, reads, writes } = call;
    const path = pathOf(call);
    const wantsFolder = (oflags & Oflags.directory) !== 0;
    let rights = writes ? Rights.fdWrite : 0n;
    if (reads) rights |= Rights.fdRead;
    const request = {
      follow: follow || path.endsWith('/'),
      oflags,
      rights,
      inheriting: Rights.all,
      fdflags: 0,
    };
    const opened = this.#walk(call, (lookup) =>
      openHost(this.#folder(call.handle), lookup, request, this.#limits),
    );
    if (opened.kind !== 'file' && opened.kind !== 'directory') return fail(Errno.io);
    const about = { isFolder: opened.kind === 'directory', reads, writes: writes && !wantsFolder };
    return this.#add(opened.host, about);
  }

  #reopen(call: FileCall): Answer {
    const of = this.#of(call);
    const { reads, writes } = call;
    if (of.isFolder) fail(Errno.isdir);
    if (writes) this.#expectWrites();
    const host = openSync(descriptorPath(of.host), hostAccess(reads, writes) | O_FLAGS);
    return this.#add(host, { isFolder: false, reads: reads || !writes, writes });
  }

  #add(host: number, about: Pick<Handle, 'isFolder' | 'reads' | 'writes'>): Answer {
    try {
      const stat = fstatSync(host, { bigint: true });
      if (!stat.isFile() && !stat.isDirectory()) fail(Errno.nxio);
      if (this.#handles.size >= HANDLES_MAX) fail(Errno.nfile);
      do this.#last = (this.#last % 0x7fff_ffff) + 1;
      while (this.#handles.has(this.#last));
      this.#handles.set(this.#last, { host, ...about, appends: undefined, names: [], users: 1 });
      return { handle: this.#last, stat: filestatOf(stat) };
    } catch (error) {
      closeSync(host);
      throw error;
    }
  }

  #read(call: FileCall): Promise<Answer> {
    const handle = this.#of(call);
    if (handle.isFolder) fail(Errno.isdir);
    if (!handle.reads) fail(Errno.badf);
    return using(handle, async ({ host }) => {
      const buffer = new Uint8Array(call.length);
      const { bytesRead } = await readAt(host, buffer, 0, buffer.length, Number(call.offset));
      return { data: buffer.subarray(0, bytesRead) };
    });
  }

  #write(call: FileCall): Promise<Answer> {
    return using(this.#writable(call), async (handle) => {
      const { data, atEnd, offset } = call;
      if (!atEnd) {
        const written = await writeCounted(this.#limits, handle.host, offset, data, async (bytes) => {
          return (await writeAt(handle.host, bytes, 0, bytes.length, Number(offset))).bytesWritten;
        });
        return { written, end: offset + BigInt(written) };
      }
      // It is the host that must append atomically.
      const append = hostAccess(false, true) | constants.O_APPEND | O_FLAGS;
      handle.appends ??= openSync(descriptorPath(handle.host), append);
      const end = handle.appends;
      const written = await writeCounted(this.#limits, end, undefined, data, async (bytes) => {
        return (await writeAt(end, bytes, 0, bytes.length, null)).bytesWritten;
      });
      return { written, end: fstatSync(end, { bigint: true }).size };
    });
  }

  #list(call: FileCall): Answer {
    const handle = this.#of(call);
    if (!handle.isFolder) fail(Errno.notdir);
    const path = descriptorPath(handle.host);
    const from = Number(call.offset);
    if (from === 0) handle.names = readdirSync(path, { encoding: 'latin1' });
    const page = [];
    for (let at = from, bytes = 0; at < handle.names.length && bytes < ANSWER_BYTES; at++) {
      const name = Buffer.from(handle.names[at]!, 'latin1');
      const found = lstatSync(Buffer.concat([Buffer.from(`${path}/`), name]), {
        ...{ bigint: true, throwIfNoEntry: false },
      }) as BigIntStats | undefined;
      // One that is gone by now has no number.
      const filetype = found === undefined ? Filetype.unknown : statFiletype(found);
      page.push({ name, filetype, inode: found?.ino ?? 0n });
      bytes += name.length + 11;
    }
    return { data: packNames(page, ANSWER_BYTES), end: BigInt(handle.names.length) };
  }

  #walk<T>(call: FileCall, use: (lookup: PathLookup) => T): T {
    return withPath(this.#folder(call.handle).host, pathOf(call), use);
  }

  #both(call: FileCall, use: (old: PathLookup, fresh: PathLookup) => void): Answer {
    const to = Buffer.from(call.toPath).toString('latin1');
    this.#walk(call, (old) => withPath(this.#folder(call.toHandle).host, to, (fresh) => use(old, fresh)));
    return {};
  }

  /** Where a path begins. */
  #folder(number: number): DirectoryDescriptor {
    const handle = number === 0 ? undefined : (this.#handles.get(number) ?? fail(Errno.badf));
    if (handle?.isFolder === false) fail(Errno.notdir);
    return {
      ...{ kind: 'directory', host: handle?.host ?? this.#top, preopen: undefined, listing: undefined },
      ...{ readOnly: this.#readOnly, flags: 0, rights: Rights.all, inheriting: Rights.all },
      counted: this.#limits !== undefined,
    };
  }

  #of({ handle }: FileCall): Handle {
    return this.#handles.get(handle) ?? fail(Errno.badf);
  }

  #writable(call: FileCall): Handle {
    const handle = this.#of(call);
    return handle.writes ? handle : fail(Errno.badf);
  }

  /** A new name in the home takes room. */
  #named(make: () => void): void {
    if (this.#limits === undefined) make();
    else this.#limits.growing(ENTRY_BYTES, make);
  }

  #expectWrites(): void {
    if (this.#readOnly) fail(Errno.rofs);
  }
}

/** It stays open until that is done. */
async function using(handle: Handle, run: (handle: Handle) => Promise<Answer>): Promise<Answer> {
  handle.users++;
  try {
    return await run(handle);
  } finally {
    letGo(handle);
  }
}

/** One user less. */
function letGo(handle: Handle): void {
  handle.users--;
  if (handle.users > 0) return;
  closeSync(handle.host);
  if (handle.appends !== undefined) closeSync(handle.appends);
}

const pathOf = ({ path }: FileCall): string => Buffer.from(path).toString('latin1');
const flagsOf = ({ follow }: FileCall): number => (follow ? Lookupflags.symlinkFollow : 0);
const timesOf = ({ atimNs, mtimNs }: FileCall) => ({ atimNs, mtimNs });
