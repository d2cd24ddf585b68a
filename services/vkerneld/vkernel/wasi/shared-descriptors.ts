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

import { duplicateAs } from '@odonata/userfault/libc.ts';
import type { GivenDescriptor } from '../kernel-call.ts';
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
import { FilePosition } from './file-position.ts';
import { deviceNames } from './mounts/devices.ts';
import {
  at,
  BIT,
  BYTES,
  FILES,
  FILES_AT,
  kinds,
  LOCK,
  NUMBERS_AT,
  SERIAL,
  SharedDescriptor,
  W,
  WORDS,
} from './shared-descriptor.ts';

/** What becomes of descriptors of the host, in the main thread. */
export interface HostFiles {
  /** Another descriptor of the same, which no thread's end closes. */
  adopt(host: number): number;
  close(host: number): void;
  /** What `host` is open to is what `as` is from now on. */
  replace(as: number, host: number): void;
}

export class SharedDescriptors extends DescriptorTable {
  override readonly ownsFiles = false;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bigs: BigInt64Array<SharedArrayBuffer>;
  readonly #lock: Mutex;
  readonly #host: HostFiles;
  readonly #connections: ConnectionTable;
  readonly #preopens: readonly Uint8Array<ArrayBuffer>[];
  /** All directories that lead to them. */
  readonly #aboves: readonly string[];
  /** Positions of files that the process has of its parent, as it was given them. */
  readonly #given: readonly (FilePosition | undefined)[];
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
    given: readonly GivenDescriptor[] = [],
    mounts: readonly string[] = [],
  ) {
    super(connections);
    this.#given = given.map((each) => ('file' in each ? new FilePosition(each.file.position) : undefined));
    this.#words = new Int32Array(memory);
    this.#bigs = new BigInt64Array(memory);
    this.#lock = new Mutex(this.#words, LOCK);
    this.#connections = connections;
    this.#host = host;
    this.#preopens = preopens;
    this.#aboves = leadingTo([
      ...preopens,
      ...mounts.map((path) => Uint8Array.from(Buffer.from(path, 'latin1'))),
    ]);
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

  override ownFile(): undefined {
    return undefined;
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
    this.limits?.expectDescriptor();
    if (this.#freeNumber() < 0) throw new WasiError(Errno.mfile);
  }

  override add(descriptor: Descriptor): number {
    this.expectRoom();
    // Sockets are not Node's.
    const adopts = (descriptor.kind === 'file' && !descriptor.kept) || descriptor.kind === 'directory';
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
    if (fd >= 0) {
      this.limits?.opened(fd, descriptor.kind);
      return fd;
    }
    if (adopts) this.#host.close(host);
    throw new WasiError(Errno.mfile);
  }

  override again(fd: number): number {
    this.limits?.expectDescriptor();
    return this.#lock.with(() => {
      const file = this.#fileOf(fd);
      const number = this.#freeNumber();
      if (number < 0) throw new WasiError(Errno.mfile);
      // A number is a user that has not been counted yet.
      this.#words[at(file) + W.users]!++;
      this.#words[NUMBERS_AT + number] = file + 1;
      this.limits?.opened(number, this.#descriptor(file).kind);
      return number;
    });
  }

  override streamAgain(stream: 0 | 1 | 2): number {
    return this.again(stream);
  }

  /** Of one that the process opened itself: a position that begins there, and is the child's alone. */
  override sharePosition(file: PositionedDescriptor, lent: Map<unknown, FilePosition>): FilePosition {
    const { file: slot } = file as unknown as SharedDescriptor;
    const position = file.shared ?? lent.get(slot) ?? FilePosition.at(file.positionBytes);
    lent.set(slot, position);
    return position;
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
      this.limits?.closed(fd);
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
      this.limits?.closed(to);
      this.limits?.moved(from, to);
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
      if (replaced >= 0) this.limits?.closed(to);
      this.limits?.moved(from, to);
    } finally {
      this.#lock.unlock();
    }
    if (replaced >= 0) this.#leave(replaced);
  }

  override release(): void {
    while (this.#used.length > 0) this.#leave(this.#used.pop()!);
  }

  override holdPosition(file: PositionedDescriptor): () => void {
    if (file.shared !== undefined) return file.shared.hold(this.holder);
    const lock = new Mutex(this.#words, at((file as unknown as SharedDescriptor).file) + W.position);
    lock.lock();
    return () => lock.unlock();
  }

  override replaceHost(file: FileDescriptor, host: number): void {
    if (file.kept) duplicateAs(host, file.host);
    else this.#host.replace(file.host, host);
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
      const isKept = (words[at(file) + W.bits]! & BIT.kept) !== 0;
      this.#listings.delete(words[at(file) + W.serial]!);
      words[at(file) + W.kind] = 0;
      return { kind, isListener, host, isKept };
    });
    if (gone === undefined) return;
    if (gone.isKept) this.#connections.close(gone.host);
    else if (gone.kind === 'file' || gone.kind === 'directory') this.#host.close(gone.host);
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
      ('readOnly' in descriptor && descriptor.readOnly ? BIT.readOnly : 0) |
      ('counted' in descriptor && descriptor.counted ? BIT.counted : 0) |
      (kind === 'file' && descriptor.kept ? BIT.kept : 0);
    const stored = this.#descriptor(file);
    stored.rights = descriptor.rights;
    stored.inheriting = descriptor.inheriting;
    stored.lost = descriptor.lost ?? 0n;
    stored.lostInheriting = descriptor.lostInheriting ?? 0n;
    if (kind === 'file' || kind === 'mounted-file')
      this.#storePosition(words, stored as PositionedDescriptor, descriptor);
  }

  #storePosition(words: Int32Array, stored: PositionedDescriptor, from: PositionedDescriptor): void {
    words[W.given] =
      this.#given.findIndex((position) => position?.cell === from.shared?.cell && position) + 1;
    stored.positionBytes = from.positionBytes;
  }

  #descriptor(file: number): Descriptor {
    const preopen = this.#preopens[this.#words[at(file) + W.preopen]! - 1];
    const shared = this.#given[this.#words[at(file) + W.given]! - 1];
    const names = { preopen, aboves: this.#aboves, shared };
    const made = new SharedDescriptor(this.#words, this.#bigs, file, names, this.#listings);
    return made as unknown as Descriptor;
  }
}
