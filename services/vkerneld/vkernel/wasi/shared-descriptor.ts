// One open file of a process of several threads, as its words are laid out in memory that they share: see shared-descriptors.ts.

import { descriptorKinds } from './descriptor-kind.ts';
import { type DirectoryEntry, descriptorsMax } from './descriptor-table.ts';
import type { FilePosition } from './file-position.ts';
import { type DeviceName, deviceNames } from './mounts/devices.ts';

/** Those that are closed, and in use, too. */
export const FILES = descriptorsMax + 256;
export const LOCK = 0;
export const SERIAL = 1;
export const NUMBERS_AT = 2;
export const FILES_AT = NUMBERS_AT + descriptorsMax;
export const WORDS = 20;
export const BYTES = (FILES_AT + FILES * WORDS) * 4;

/** Words of a file. */
export const W = {
  users: 0,
  kind: 1,
  host: 2,
  flags: 3,
  type: 4,
  bits: 5,
  preopen: 6,
  serial: 7,
  position: 8,
  given: 9,
} as const;
/** Its numbers of 64 bits. */
export const B = { rights: 0, inheriting: 1, lost: 2, lostInheriting: 3, position: 4 } as const;
export const BIGS_AT = WORDS - 10;
export const kinds = descriptorKinds;
export const BIT = { terminal: 1, seekable: 2, readOnly: 4, kept: 8, counted: 16 } as const;

export const at = (file: number): number => FILES_AT + file * WORDS;

/** As if it were a Descriptor of its kind. */
export class SharedDescriptor {
  readonly file: number;
  readonly preopen: Uint8Array<ArrayBuffer> | undefined;
  readonly shared: FilePosition | undefined;
  readonly #aboves: readonly string[];
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bigs: BigInt64Array<SharedArrayBuffer>;
  readonly #listings: Map<number, DirectoryEntry[]>;

  constructor(
    words: Int32Array<SharedArrayBuffer>,
    bigs: BigInt64Array<SharedArrayBuffer>,
    file: number,
    names: {
      preopen: Uint8Array<ArrayBuffer> | undefined;
      aboves: readonly string[];
      shared: FilePosition | undefined;
    },
    listings: Map<number, DirectoryEntry[]>,
  ) {
    this.#words = words;
    this.#bigs = bigs;
    this.file = file;
    this.preopen = names.preopen;
    this.shared = names.shared;
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
  get kept(): boolean {
    return this.#has(BIT.kept);
  }
  get counted(): boolean {
    return this.#has(BIT.counted);
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
    return this.shared?.bytes ?? Atomics.load(this.#bigs, this.#bigAt(B.position));
  }
  set positionBytes(bytes: bigint) {
    if (this.shared !== undefined) this.shared.bytes = bytes;
    else Atomics.store(this.#bigs, this.#bigAt(B.position), bytes);
  }
  /** Each thread lists by itself. */
  get listing(): DirectoryEntry[] | undefined {
    return this.#listings.get(this.#word(W.serial));
  }
  set listing(listing: DirectoryEntry[] | undefined) {
    if (listing !== undefined) this.#listings.set(this.#word(W.serial), listing);
  }
}
