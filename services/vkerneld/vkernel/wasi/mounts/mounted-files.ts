// Files in mounts of the virtual kernel, as a guest's thread has them: its main thread holds them, and answers (kernel-call.ts).

import { type Filestat, Filetype, fileRights, Lookupflags, Oflags, Rights, writingRights } from '../abi.ts';
import type { DirectoryEntry, MountedFileDescriptor, MountedFolderDescriptor } from '../descriptor-table.ts';
import { Errno, WasiError } from '../errno.ts';
import { type FilePath, type FileRequest, unpackNames, unpackStat } from './file-request.ts';

/** Answers one; the payload of a success. */
export type AskFile = (request: FileRequest) => { errno: number; payload: Uint8Array<ArrayBuffer> };

/** What is sent and answered at once. */
export const transferBytesMax = 65_536;

export interface MountedOpen {
  readonly handle: number;
  readonly filetype: number;
}

export class MountedFiles {
  readonly #ask: AskFile;

  constructor(ask: AskFile) {
    this.#ask = ask;
  }

  /** @throws WasiError */
  ask(request: FileRequest): Uint8Array<ArrayBuffer> {
    const { errno, payload } = this.#ask(request);
    if (errno !== Errno.success) throw new WasiError(errno);
    return payload;
  }

  open(
    path: FilePath,
    { oflags, follow, reads, writes }: { oflags: number; follow: boolean; reads: boolean; writes: boolean },
  ): MountedOpen {
    return opened(this.ask({ op: 'open', ...path, oflags, follow, reads, writes }));
  }

  reopen(handle: number, reads: boolean, writes: boolean): MountedOpen {
    return opened(this.ask({ op: 'reopen', handle, reads, writes }));
  }

  stat(handle: number): Filestat {
    return unpackStat(this.ask({ op: 'stat', handle }));
  }

  statPath(path: FilePath, lookupFlags: number): Filestat {
    const follow = (lookupFlags & Lookupflags.symlinkFollow) !== 0;
    return unpackStat(this.ask({ op: 'stat-path', ...path, follow }));
  }

  read(handle: number, offset: bigint, lengthBytes: number): Uint8Array<ArrayBuffer> {
    if (offset > BigInt(Number.MAX_SAFE_INTEGER)) return new Uint8Array(0);
    return this.ask({ op: 'read', handle, offset: Number(offset), lengthBytes });
  }

  /** @returns how many were written, and the position after them */
  write(
    handle: number,
    offset: bigint | undefined,
    bytes: Uint8Array,
  ): { written: number; endBytes: bigint } {
    const payload = this.ask({
      op: 'write',
      handle,
      offset: offset === undefined ? undefined : exact(offset),
      // A copy of these alone is sent.
      bytes: bytes.slice(),
    });
    const view = new DataView(payload.buffer, payload.byteOffset);
    return { written: Number(view.getBigUint64(0, true)), endBytes: view.getBigUint64(8, true) };
  }

  setSize(handle: number, size: bigint): void {
    this.ask({ op: 'set-size', handle, sizeBytes: exact(size) });
  }

  allocate(handle: number, end: bigint): void {
    this.ask({ op: 'allocate', handle, endBytes: exact(end) });
  }

  list(handle: number): DirectoryEntry[] {
    const entries: DirectoryEntry[] = [];
    for (;;) {
      const more = unpackNames(this.ask({ op: 'list', handle, from: entries.length }));
      if (more.length === 0) return entries;
      entries.push(...more);
    }
  }
}

function opened(payload: Uint8Array<ArrayBuffer>): MountedOpen {
  const view = new DataView(payload.buffer, payload.byteOffset);
  return { handle: Number(view.getBigUint64(0, true)), filetype: Number(view.getBigUint64(8, true)) };
}

/** EFBIG above what a number says exactly. */
function exact(bytes: bigint): number {
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new WasiError(Errno.fbig);
  return Number(bytes);
}

/** A descriptor of what was opened. */
export function mountedDescriptor(
  { handle, filetype }: MountedOpen,
  asked: { rights: bigint; inheriting: bigint; flags: number; writes: boolean; lost: bigint },
  directoryRights: bigint,
): MountedFileDescriptor | MountedFolderDescriptor {
  const { inheriting, flags, lost } = asked;
  if (filetype === Filetype.directory) {
    const rights = asked.rights & (directoryRights | Rights.fdRead) & ~lost;
    const common = { rights, inheriting, flags, lost, lostInheriting: lost };
    return { kind: 'mounted-folder', handle, preopen: undefined, listing: undefined, ...common };
  }
  let rights = asked.rights & fileRights & ~lost;
  if (!asked.writes) rights &= ~writingRights;
  return { kind: 'mounted-file', handle, filetype, positionBytes: 0n, rights, inheriting, flags, lost };
}

/** EINVAL as the host says it. */
export function expectOpenFlags(oflags: number): void {
  if (oflags & ~Oflags.all) throw new WasiError(Errno.inval);
  if (oflags & Oflags.directory && oflags & (Oflags.creat | Oflags.excl | Oflags.trunc))
    throw new WasiError(Errno.inval);
}
