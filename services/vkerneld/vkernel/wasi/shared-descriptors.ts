// The open descriptors of a process of several threads: one table in shared memory, that all of its threads use.
//
// As in every kernel there are two tables: of numbers, and of open files, which a number names. A call counts as a user of the files
// that it works on, until it returns; a file that is closed meanwhile is closed in the host when its last user is done, for its host
// descriptor would be another's by then. Host descriptors belong to the main thread: Node closes those that a thread opened when that
// thread ends, and the process may go on.
//
//   header    words   0 lock   1 the next file's serial number
//   numbers   a word each: the file's place and 1; 0: free
//   files     WORDS words each, the last ten of them as five of 64 bits

import { Mutex } from '../mutex.ts';
import { leadingTo } from './above-grants.ts';
import type { ConnectionTable } from './connection-table.ts';
import {
  type Descriptor,
  DescriptorTable,
  type DirectoryEntry,
  descriptorsMax,
  type FileDescriptor,
  isMounted,
  type PositionedDescriptor,
} from './descriptor-table.ts';
import { Errno, WasiError } from './errno.ts';
import { type DeviceName, deviceNames } from './mounts/devices.ts';

/** Those that are closed, and in use, too. */
const FILES = descriptorsMax + 256;
const LOCK = 0;
const SERIAL = 1;
const NUMBERS_AT = 2;
const FILES_AT = NUMBERS_AT + descriptorsMax;
const WORDS = 20;
const BYTES = (FILES_AT + FILES * WORDS) * 4;

/** Words of a file. */
const W = {
  users: 0,
  kind: 1,
  host: 2,
  flags: 3,
  type: 4,
  bits: 5,
  preopen: 6,
  serial: 7,
  position: 8,
} as const;
/** Its numbers of 64 bits. */
const B = { rights: 0, inheriting: 1, lost: 2, lostInheriting: 3, position: 4 } as const;
const BIGS_AT = WORDS - 10;
const kinds = [
  'stream',
  'file',
  'directory',
  'nowhere',
  'socket',
  'device',
  'mounted-file',
  'mounted-folder',
] as const;
const BIT = { terminal: 1, seekable: 2, readOnly: 4 } as const;

/** What becomes of descriptors of the host, in the main thread. */
export interface HostFiles {
  /** Another descriptor of the same, which no thread's end closes. */
  adopt(host: number): number;
  close(host: number): void;
  /** What `host` is open to is what `as` is from now on. */
  replace(as: number, host: number): void;
}

export class SharedDescriptors extends DescriptorTable {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bigs: BigInt64Array<SharedArrayBuffer>;
  readonly #lock: Mutex;
  readonly #host: HostFiles;
  readonly #connections: ConnectionTable;
  readonly #preopens: readonly Uint8Array<ArrayBuffer>[];
  /** All directories that lead to them. */
  readonly #aboves: readonly string[];
  /** Files that this thread's call is a user of. */
  #used: number[] = [];
  /** Listings that this thread began, by the serial number of the file. */
  readonly #listings = new Map<number, DirectoryEntry[]>();

  /** @param preopens the names of all that came with the process */
  constructor(
    memory: SharedArrayBuffer,
    connections: ConnectionTable,
    host: HostFiles,
    preopens: readonly Uint8Array<ArrayBuffer>[],
  ) {
    super(connections);
    this.#words = new Int32Array(memory);
    this.#bigs = new BigInt64Array(memory);
    this.#lock = new Mutex(this.#words, LOCK);
    this.#connections = connections;
    this.#host = host;
    this.#preopens = preopens;
    this.#aboves = leadingTo(preopens);
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(BYTES);
  }

  override get(fd: number, rights = 0n): Descriptor {
    const descriptor = this.#lock.with(() => {
      const file = this.#fileOf(fd);
      this.#words[at(file) + W.users]!++;
      this.#used.push(file);
      return this.#descriptor(file);
    });
    if (((descriptor.lost ?? 0n) & rights) !== 0n) throw new WasiError(Errno.notcapable);
    return descriptor;
  }

  override *all(): Iterable<Descriptor> {
    for (let fd = 0; fd < descriptorsMax; fd++) {
      if (Atomics.load(this.#words, NUMBERS_AT + fd) === 0) continue;
      try {
        yield this.get(fd);
      } catch (error) {
        if (!(error instanceof WasiError)) throw error; // Another thread closed it.
      }
    }
  }

  override numbers(): number[] {
    const numbers = this.#words.subarray(NUMBERS_AT, FILES_AT);
    return [...numbers.keys()].filter((fd) => Atomics.load(numbers, fd) !== 0);
  }

  override expectRoom(): void {
    if (this.#freeNumber() < 0) throw new WasiError(Errno.mfile);
  }

  override add(descriptor: Descriptor): number {
    this.expectRoom();
    // Sockets are not Node's.
    const adopts = descriptor.kind === 'file' || descriptor.kind === 'directory';
    const own = isMounted(descriptor) ? descriptor.handle : 'host' in descriptor ? descriptor.host : -1;
    const host = adopts ? this.#adopt(own) : own;
    const fd = this.#lock.with(() => {
      const number = this.#freeNumber();
      const file = this.#freeFile();
      if (number < 0 || file < 0) return -1;
      this.#store(file, descriptor, host);
      this.#words[NUMBERS_AT + number] = file + 1;
      return number;
    });
    if (fd >= 0) return fd;
    if (adopts) this.#host.close(host);
    throw new WasiError(Errno.mfile);
  }

  #adopt(own: number): number {
    try {
      return this.#host.adopt(own);
    } finally {
      super.closeHost(own);
    }
  }

  override close(fd: number): void {
    this.#lock.lock();
    let file: number;
    try {
      file = this.#fileOf(fd);
      this.#words[NUMBERS_AT + fd] = 0;
    } finally {
      this.#lock.unlock();
    }
    this.#leave(file);
  }

  override renumber(from: number, to: number): void {
    this.#lock.lock();
    let replaced: number;
    try {
      const file = this.#fileOf(from);
      replaced = this.#fileOf(to);
      if (from === to) return;
      this.#words[NUMBERS_AT + to] = file + 1;
      this.#words[NUMBERS_AT + from] = 0;
    } finally {
      this.#lock.unlock();
    }
    this.#leave(replaced);
  }

  override moveTo(from: number, to: number): void {
    this.#lock.lock();
    let replaced: number;
    try {
      const file = this.#fileOf(from);
      replaced = this.#words[NUMBERS_AT + to]! - 1;
      this.#words[NUMBERS_AT + to] = file + 1;
      this.#words[NUMBERS_AT + from] = 0;
    } finally {
      this.#lock.unlock();
    }
    if (replaced >= 0) this.#leave(replaced);
  }

  override release(): void {
    while (this.#used.length > 0) this.#leave(this.#used.pop()!);
  }

  override holdPosition(file: PositionedDescriptor): () => void {
    const lock = new Mutex(this.#words, at((file as unknown as SharedDescriptor).file) + W.position);
    lock.lock();
    return () => lock.unlock();
  }

  override replaceHost(file: FileDescriptor, host: number): void {
    this.#host.replace(file.host, host);
    super.closeHost(host);
  }

  /** One user less, of those that it has and the number that names it. */
  #leave(file: number): void {
    const words = this.#words;
    const gone = this.#lock.with(() => {
      if (words[at(file) + W.users]! > 0) {
        words[at(file) + W.users]!--;
        return undefined;
      }
      const kind = kinds[words[at(file) + W.kind]! - 1];
      const isListener = words[at(file) + W.preopen] !== 0;
      const host = words[at(file) + W.host]!;
      this.#listings.delete(words[at(file) + W.serial]!);
      words[at(file) + W.kind] = 0;
      return { kind, isListener, host };
    });
    if (gone === undefined) return;
    if (gone.kind === 'file' || gone.kind === 'directory') this.#host.close(gone.host);
    if (gone.kind === 'socket' && !gone.isListener) this.#connections.close(gone.host);
    if (gone.kind === 'mounted-file' || gone.kind === 'mounted-folder') this.closeMounted(gone.host);
  }

  #fileOf(fd: number): number {
    const file = fd < descriptorsMax ? this.#words[NUMBERS_AT + fd]! - 1 : -1;
    if (file < 0) throw new WasiError(Errno.badf);
    return file;
  }

  #freeNumber(): number {
    return this.#words.subarray(NUMBERS_AT, FILES_AT).indexOf(0);
  }

  #freeFile(): number {
    for (let file = 0; file < FILES; file++) if (this.#words[at(file) + W.kind] === 0) return file;
    return -1;
  }

  #store(file: number, descriptor: Descriptor, host: number): void {
    const words = this.#words.subarray(at(file), at(file) + WORDS);
    words.fill(0);
    const { kind } = descriptor;
    words[W.kind] = kinds.indexOf(kind) + 1;
    words[W.host] = host;
    words[W.flags] = descriptor.flags;
    words[W.serial] = ++this.#words[SERIAL]!;
    if (kind === 'stream') words[W.type] = descriptor.stream;
    if (kind === 'file' || kind === 'mounted-file') words[W.type] = descriptor.filetype;
    if (kind === 'device') words[W.type] = deviceNames.indexOf(descriptor.device);
    if (kind === 'nowhere') words[W.type] = this.#aboves.indexOf(descriptor.above);
    const preopen = 'preopen' in descriptor ? descriptor.preopen : undefined;
    if (preopen !== undefined)
      words[W.preopen] = this.#preopens.findIndex((name) => Buffer.compare(name, preopen) === 0) + 1;
    words[W.bits] =
      (kind === 'stream' && descriptor.isTerminal ? BIT.terminal : 0) |
      (kind === 'file' && descriptor.seekable ? BIT.seekable : 0) |
      ('readOnly' in descriptor && descriptor.readOnly ? BIT.readOnly : 0);
    const stored = this.#descriptor(file);
    stored.rights = descriptor.rights;
    stored.inheriting = descriptor.inheriting;
    stored.lost = descriptor.lost ?? 0n;
    stored.lostInheriting = descriptor.lostInheriting ?? 0n;
    if (kind === 'file' || kind === 'mounted-file')
      (stored as PositionedDescriptor).positionBytes = descriptor.positionBytes;
  }

  #descriptor(file: number): Descriptor {
    const preopen = this.#preopens[this.#words[at(file) + W.preopen]! - 1];
    const names = { preopen, aboves: this.#aboves };
    const shared = new SharedDescriptor(this.#words, this.#bigs, file, names, this.#listings);
    return shared as unknown as Descriptor;
  }
}

const at = (file: number): number => FILES_AT + file * WORDS;

/** As if it were a Descriptor of its kind. */
class SharedDescriptor {
  readonly file: number;
  readonly preopen: Uint8Array<ArrayBuffer> | undefined;
  readonly #aboves: readonly string[];
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bigs: BigInt64Array<SharedArrayBuffer>;
  readonly #listings: Map<number, DirectoryEntry[]>;

  constructor(
    words: Int32Array<SharedArrayBuffer>,
    bigs: BigInt64Array<SharedArrayBuffer>,
    file: number,
    names: { preopen: Uint8Array<ArrayBuffer> | undefined; aboves: readonly string[] },
    listings: Map<number, DirectoryEntry[]>,
  ) {
    this.#words = words;
    this.#bigs = bigs;
    this.file = file;
    this.preopen = names.preopen;
    this.#aboves = names.aboves;
    this.#listings = listings;
  }

  #word(which: number): number {
    return Atomics.load(this.#words, at(this.file) + which);
  }

  #bigAt(which: number): number {
    return (at(this.file) + BIGS_AT) / 2 + which;
  }

  #has(bit: number): boolean {
    return (this.#word(W.bits) & bit) !== 0;
  }

  get kind(): (typeof kinds)[number] {
    return kinds[this.#word(W.kind) - 1]!;
  }
  get host(): number {
    return this.#word(W.host);
  }
  get handle(): number {
    return this.#word(W.host);
  }
  get device(): DeviceName {
    return deviceNames[this.#word(W.type)]!;
  }
  get stream(): number {
    return this.#word(W.type);
  }
  get filetype(): number {
    return this.#word(W.type);
  }
  get above(): string {
    return this.#aboves[this.#word(W.type)]!;
  }
  get isTerminal(): boolean {
    return this.#has(BIT.terminal);
  }
  get seekable(): boolean {
    return this.#has(BIT.seekable);
  }
  get readOnly(): boolean {
    return this.#has(BIT.readOnly);
  }
  get flags(): number {
    return this.#word(W.flags);
  }
  set flags(flags: number) {
    Atomics.store(this.#words, at(this.file) + W.flags, flags);
  }
  get rights(): bigint {
    return Atomics.load(this.#bigs, this.#bigAt(B.rights));
  }
  set rights(rights: bigint) {
    Atomics.store(this.#bigs, this.#bigAt(B.rights), rights);
  }
  get inheriting(): bigint {
    return Atomics.load(this.#bigs, this.#bigAt(B.inheriting));
  }
  set inheriting(rights: bigint) {
    Atomics.store(this.#bigs, this.#bigAt(B.inheriting), rights);
  }
  get lost(): bigint {
    return Atomics.load(this.#bigs, this.#bigAt(B.lost));
  }
  set lost(rights: bigint) {
    Atomics.store(this.#bigs, this.#bigAt(B.lost), rights);
  }
  get lostInheriting(): bigint {
    return Atomics.load(this.#bigs, this.#bigAt(B.lostInheriting));
  }
  set lostInheriting(rights: bigint) {
    Atomics.store(this.#bigs, this.#bigAt(B.lostInheriting), rights);
  }
  get positionBytes(): bigint {
    return Atomics.load(this.#bigs, this.#bigAt(B.position));
  }
  set positionBytes(bytes: bigint) {
    Atomics.store(this.#bigs, this.#bigAt(B.position), bytes);
  }
  /** Each thread lists by itself. */
  get listing(): DirectoryEntry[] | undefined {
    return this.#listings.get(this.#word(W.serial));
  }
  set listing(listing: DirectoryEntry[] | undefined) {
    if (listing !== undefined) this.#listings.set(this.#word(W.serial), listing);
  }
}
