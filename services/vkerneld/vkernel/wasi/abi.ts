// Constants and record layouts of WASI preview 1 (wasi_snapshot_preview1), as in its witx files.

import type { GuestMemory } from './guest-memory.ts';

export const Filetype = {
  unknown: 0,
  blockDevice: 1,
  characterDevice: 2,
  directory: 3,
  regularFile: 4,
  socketDgram: 5,
  socketStream: 6,
  symbolicLink: 7,
} as const;

export const Fdflags = { append: 1, dsync: 2, nonblock: 4, rsync: 8, sync: 16, all: 31 } as const;
export const Oflags = { creat: 1, directory: 2, excl: 4, trunc: 8, all: 15 } as const;
export const Lookupflags = { symlinkFollow: 1 } as const;
export const Fstflags = { atim: 1, atimNow: 2, mtim: 4, mtimNow: 8 } as const;
export const Whence = { set: 0, cur: 1, end: 2 } as const;
export const Clockid = { realtime: 0, monotonic: 1, processCputime: 2, threadCputime: 3 } as const;

export const Rights = {
  fdDatasync: 1n << 0n,
  fdRead: 1n << 1n,
  fdSeek: 1n << 2n,
  fdFdstatSetFlags: 1n << 3n,
  fdSync: 1n << 4n,
  fdTell: 1n << 5n,
  fdWrite: 1n << 6n,
  fdAdvise: 1n << 7n,
  fdAllocate: 1n << 8n,
  pathCreateDirectory: 1n << 9n,
  pathCreateFile: 1n << 10n,
  pathLinkSource: 1n << 11n,
  pathLinkTarget: 1n << 12n,
  pathOpen: 1n << 13n,
  fdReaddir: 1n << 14n,
  pathReadlink: 1n << 15n,
  pathRenameSource: 1n << 16n,
  pathRenameTarget: 1n << 17n,
  pathFilestatGet: 1n << 18n,
  pathFilestatSetSize: 1n << 19n,
  pathFilestatSetTimes: 1n << 20n,
  fdFilestatGet: 1n << 21n,
  fdFilestatSetSize: 1n << 22n,
  fdFilestatSetTimes: 1n << 23n,
  pathSymlink: 1n << 24n,
  pathRemoveDirectory: 1n << 25n,
  pathUnlinkFile: 1n << 26n,
  pollFdReadwrite: 1n << 27n,
  sockShutdown: 1n << 28n,
  sockAccept: 1n << 29n,
  all: (1n << 30n) - 1n,
} as const;

/** What a stream (stdin, stdout, stderr) can do: no seek and no tell, by which wasi-libc knows a terminal. */
export const streamRights =
  Rights.fdRead |
  Rights.fdWrite |
  Rights.fdFdstatSetFlags |
  Rights.fdFilestatGet |
  Rights.pollFdReadwrite |
  Rights.fdSync |
  Rights.fdDatasync;

/** What a socket can do. */
export const socketRights =
  Rights.fdRead |
  Rights.fdWrite |
  Rights.fdFdstatSetFlags |
  Rights.fdFilestatGet |
  Rights.pollFdReadwrite |
  Rights.sockShutdown |
  Rights.sockAccept;

/** What a directory can do. None of `writingRights`: with these same rights it can be opened again. */
export const directoryRights =
  Rights.fdFdstatSetFlags |
  Rights.fdSync |
  Rights.fdAdvise |
  Rights.pathCreateDirectory |
  Rights.pathCreateFile |
  Rights.pathLinkSource |
  Rights.pathLinkTarget |
  Rights.pathOpen |
  Rights.fdReaddir |
  Rights.pathReadlink |
  Rights.pathRenameSource |
  Rights.pathRenameTarget |
  Rights.pathFilestatGet |
  Rights.pathFilestatSetSize |
  Rights.pathFilestatSetTimes |
  Rights.fdFilestatGet |
  Rights.fdFilestatSetTimes |
  Rights.pathSymlink |
  Rights.pathRemoveDirectory |
  Rights.pathUnlinkFile |
  Rights.pollFdReadwrite;

/** What a regular file can do, before its access mode takes away reading or writing. */
export const fileRights =
  Rights.fdDatasync |
  Rights.fdRead |
  Rights.fdSeek |
  Rights.fdFdstatSetFlags |
  Rights.fdSync |
  Rights.fdTell |
  Rights.fdWrite |
  Rights.fdAdvise |
  Rights.fdAllocate |
  Rights.fdFilestatGet |
  Rights.fdFilestatSetSize |
  Rights.fdFilestatSetTimes |
  Rights.pollFdReadwrite;

/** Rights that ask for an open for reading. */
export const readingRights = Rights.fdRead | Rights.fdReaddir;
/** Rights that ask for an open for writing. Not that to set the size: Go asks for it also to read. */
export const writesAsked = Rights.fdDatasync | Rights.fdWrite | Rights.fdAllocate;
/** What is of no use to who reads. */
export const writingRights = writesAsked | Rights.fdFilestatSetSize;

/** A record `filestat`, 64 bytes. */
export interface Filestat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly filetype: number;
  readonly nlink: bigint;
  readonly size: bigint;
  readonly atimNs: bigint;
  readonly mtimNs: bigint;
  readonly ctimNs: bigint;
}

export const filestatBytes = 64;

export function storeFilestat(memory: GuestMemory, at: number, stat: Filestat): void {
  memory.setU64(at, stat.dev);
  memory.setU64(at + 8, stat.ino);
  memory.setU64(at + 16, 0n);
  memory.setU8(at + 16, stat.filetype);
  memory.setU64(at + 24, stat.nlink);
  memory.setU64(at + 32, stat.size);
  memory.setU64(at + 40, stat.atimNs);
  memory.setU64(at + 48, stat.mtimNs);
  memory.setU64(at + 56, stat.ctimNs);
}

export const fdstatBytes = 24;

export function storeFdstat(
  memory: GuestMemory,
  at: number,
  stat: { filetype: number; flags: number; rights: bigint; inheriting: bigint },
): void {
  memory.setU64(at, 0n);
  memory.setU8(at, stat.filetype);
  memory.setU16(at + 2, stat.flags);
  memory.setU64(at + 8, stat.rights);
  memory.setU64(at + 16, stat.inheriting);
}

export const subscriptionBytes = 48;
export const eventBytes = 32;
export const direntBytes = 24;
