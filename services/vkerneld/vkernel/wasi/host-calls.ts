// Calls of the host that Node has not, on a directory that is held open and a name in it. Node knows a file by its path alone, and a
// descriptor's leads through /proc, which takes longer than what is asked there; nor does it tell inodes of a listing.
//
//   statAt     statx(2)       what a name is, without following it
//   openAt     openat2(2)     below the directory only, through no link, into no mount: what it refuses is walked (path-lookup.ts)
//   entriesOf  getdents64(2)  names, types and inodes
//   read, write  pread(2), pwrite(2)   as Node's, which take a fifth longer
//
// koffi keeps some 50 KiB of each thread that loads it for good, and takes a millisecond: so it is for threads that ask often, and
// for so many of a virtual kernel.
import { closeSync, constants, openSync } from 'node:fs';
import { koffi } from '@odonata/userfault/koffi.ts';
import { Resolve, SYS_OPENAT2 } from '@odonata/userfault/libc.ts';
import type { Limits } from '../limits.ts';
import { Filetype, filestatBytes } from './abi.ts';
import type { ConnectionTable } from './connection-table.ts';
import type { DirectoryEntry } from './descriptor-table.ts';

/** Calls of a thread before it is worth while; reads and writes gain less. */
const WORTH = 48;
export const TRANSFER = 1 / 32;
const THREADS_MAX = 512;

const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const SYS_GETDENTS64 = process.arch === 'arm64' ? 61 : 217;
const LISTING_BYTES = 32_768;
const BELOW = Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS | Resolve.NO_XDEV;

/** Of the bits that say what a file is. */
const filetypes: ReadonlyMap<number, number> = new Map([
  [constants.S_IFREG, Filetype.regularFile],
  [constants.S_IFDIR, Filetype.directory],
  [constants.S_IFLNK, Filetype.symbolicLink],
  [constants.S_IFCHR, Filetype.characterDevice],
  [constants.S_IFBLK, Filetype.blockDevice],
  [constants.S_IFSOCK, Filetype.socketStream],
]);

/** Names go as text: one that is not plain ASCII, or may be a way out, is walked. */
const PLAIN = /^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))[ -~]+(?<!\/)$/s;
export const isPlain = (path: string): boolean => path !== '.' && path.length < 4096 && PLAIN.test(path);

class HostCalls {
  readonly #statx;
  readonly #openat2;
  readonly #getdents;
  readonly #close;
  readonly #pread;
  readonly #pwrite;
  /** struct statx, and of open_how. */
  readonly #bytes = new Uint8Array(new ArrayBuffer(256));
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #record = new Uint8Array(filestatBytes);
  readonly #filestat = new DataView(this.#record.buffer);
  readonly #how = new BigUint64Array(new ArrayBuffer(24));
  #listing: Uint8Array<ArrayBuffer> | undefined;

  constructor() {
    const libc = koffi().load('libc.so.6');
    this.#statx = libc.func('int statx(int dir, const char *path, int flags, uint mask, void *into)');
    this.#openat2 = libc.func('long syscall(long n, long dir, const char *path, void *how, size_t size)');
    this.#getdents = libc.func('long syscall(long n, long dir, void *into, size_t size)');
    this.#close = libc.func('int close(int fd)');
    this.#pread = libc.func('int pread(int fd, uintptr_t at, uint length, int64_t from)');
    this.#pwrite = libc.func('int pwrite(int fd, uintptr_t at, uint length, int64_t to)');
    this.#how[2] = BigInt(BELOW);
  }

  /** The type of a name in a directory, or with '' of what is open; undefined: it fails. The rest is in `filestat` until the next call. */
  statAt(directory: number, name: string): number | undefined {
    const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name === '' ? AT_EMPTY_PATH : 0);
    if (this.#statx(directory, name, flags, STATX_BASIC_STATS, this.#bytes) !== 0) return undefined;
    return filetypes.get(this.#view.getUint16(28, true) & constants.S_IFMT) ?? Filetype.unknown;
  }

  /** A record `filestat` of what `statAt` found. No number of 64 bits is made of it: that would take as long as the call. */
  filestat(filetype: number): Uint8Array {
    const [from, to] = [this.#view, this.#filestat];
    const copy = (at: number, of: number): void => {
      to.setUint32(at, from.getUint32(of, true), true);
      to.setUint32(at + 4, from.getUint32(of + 4, true), true);
    };
    storeDevice(to, from.getUint32(136, true), from.getUint32(140, true));
    copy(8, 32); // inode
    to.setUint8(16, filetype);
    to.setUint32(24, from.getUint32(16, true), true); // links
    copy(32, 40); // size
    this.#storeTime(40, 64); // of the last access
    this.#storeTime(48, 112); // of the last change of bytes
    this.#storeTime(56, 96); // of the last change of anything
    return this.#record;
  }

  /** Seconds, which may be below 0, and nanoseconds as one number. */
  #storeTime(at: number, of: number): void {
    const seconds = this.#view.getInt32(of, true);
    const nanoseconds = this.#view.getUint32(of + 8, true);
    // Below 2^31, as until 2038, each product is exact.
    if (seconds < 0 || this.#view.getInt32(of + 4, true) !== 0) {
      const whole = this.#view.getBigInt64(of, true) * 1_000_000_000n;
      this.#filestat.setBigInt64(at, whole + BigInt(nanoseconds), true);
      return;
    }
    const upper = (seconds >>> 16) * 1e9;
    const lower = (upper % 65_536) * 65_536 + (seconds & 0xffff) * 1e9 + nanoseconds;
    this.#filestat.setUint32(at, lower % 2 ** 32, true);
    this.#filestat.setUint32(at + 4, Math.floor(upper / 65_536) + Math.floor(lower / 2 ** 32), true);
  }

  /** @param mode of what is made. @returns the host's descriptor, which `opened` has from then on; below 0: it fails */
  openAt(directory: number, path: string, flags: number, mode: number, opened: ConnectionTable): number {
    this.#how[0] = BigInt(flags | O_CLOEXEC);
    this.#how[1] = BigInt(flags & constants.O_CREAT ? mode : 0);
    const { places } = opened;
    const place = opened.reserve();
    if (place < 0) return -1;
    // In one step, as far as an end of the thread goes: it would be nobody's.
    places[place] = this.#openat2(SYS_OPENAT2, directory, path, this.#how, 24) + 1;
    return places[place]! - 1;
  }

  close(host: number, opened: ConnectionTable): void {
    opened.forget(host);
    this.#close(host);
  }

  /** @param at an address, where there are so many bytes, fewer than 2^31. @returns below 0: it fails */
  read(host: number, at: number, length: number, from: number): number {
    return this.#pread(host, at, length, from);
  }

  /** The same. */
  write(host: number, at: number, length: number, to: number): number {
    return this.#pwrite(host, at, length, to);
  }

  /** Of a program's memory: it moves no more. */
  addressOf(memory: Uint8Array): number {
    return Number(koffi().address(memory));
  }

  /** Of a path below a directory; undefined: it fails. */
  statBelow(directory: number, path: string, opened: ConnectionTable): number | undefined {
    const slash = path.lastIndexOf('/');
    if (slash < 0) return this.statAt(directory, path);
    const flags = O_PATH | constants.O_DIRECTORY;
    const parent = this.openAt(directory, path.slice(0, slash), flags, 0, opened);
    if (parent < 0) return undefined;
    try {
      return this.statAt(parent, path.slice(slash + 1));
    } finally {
      this.close(parent, opened);
    }
  }

  /** All but '.' and '..', by name. @throws what node:fs throws */
  entriesOf(path: string): DirectoryEntry[] | undefined {
    this.#listing ??= new Uint8Array(new ArrayBuffer(LISTING_BYTES));
    // Its own: where a descriptor stands in a directory all that have it see.
    const host = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const found: (DirectoryEntry & { text: string })[] = [];
      for (;;) {
        const length = Number(this.#getdents(SYS_GETDENTS64, host, this.#listing, LISTING_BYTES));
        if (length < 0) return undefined;
        if (length === 0) break;
        this.#take(host, this.#listing, length, found);
      }
      return found.sort((a, b) => (a.text < b.text ? -1 : 1));
    } finally {
      closeSync(host);
    }
  }

  // struct linux_dirent64: inode, offset, length of the record (16), type (18), the name from 19 on up to a 0
  #take(
    host: number,
    bytes: Uint8Array<ArrayBuffer>,
    length: number,
    found: (DirectoryEntry & { text: string })[],
  ): void {
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
      const name = bytes.slice(at + 19, bytes.indexOf(0, at + 19));
      const text = Buffer.from(name.buffer).toString('latin1');
      if (text === '.' || text === '..') continue;
      // Some file systems do not say.
      const filetype =
        filetypes.get(view.getUint8(at + 18) << 12) ??
        (view.getUint8(at + 18) === 0 && isPlain(text) ? this.statAt(host, text) : undefined) ??
        Filetype.unknown;
      found.push({ name, text, filetype, inode: view.getBigUint64(at, true) });
    }
  }
}

export type { HostCalls };

/** As the C library makes it of a major and a minor number. */
function storeDevice(to: DataView, major: number, minor: number): void {
  to.setUint32(0, ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12) | (minor & 0xff), true);
  to.setUint32(4, (major & ~0xfff) | (minor >>> 20), true);
}

let asked = 0;
let calls: HostCalls | false | undefined;

/** Undefined: it is not worth while yet, or too many threads have it. @param count how many calls this stands for */
export function hostCalls(limits: Limits | undefined, count = 1): HostCalls | undefined {
  if (calls) return calls;
  asked += count;
  if (calls === undefined && asked >= WORTH)
    calls = limits?.mayCall(THREADS_MAX) === false ? false : new HostCalls();
  return calls || undefined;
}

/** Those of this thread, where it has them by now. */
export const ownHostCalls = (): HostCalls | undefined => calls || undefined;
