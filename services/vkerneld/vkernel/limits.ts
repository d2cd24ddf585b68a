// What all programs of a virtual kernel may have together: open descriptors, and bytes in their home. It lies in memory that their
// threads share, so that none of them has to ask; what is counted is put right by the main thread (home-size.ts).
//
//   words  0 descriptors that they may have; 0: any   1 of the home: NOT_COUNTED, COUNTED, BOUNDED
//          2, 3 how often more descriptors, more of the home, were refused   4 descriptors of all processes: each open asks for it
//          5 threads that call by koffi (file-syscalls.ts)   from 6 on descriptors of each process, by its place
//   bigs   0 bytes by which the home grew, as far as is known   1 up to where it may grow
import { PROCESSES_MAX } from './most-processes.ts';
import { type DescriptorKind, descriptorKinds } from './wasi/descriptor-kind.ts';
import { Errno, WasiError } from './wasi/errno.ts';

/** One that ended may have its own for a while. */
const PLACES = PROCESSES_MAX + 512;
const [MOST, HOME, REFUSED, REFUSED_HOME, OPEN, CALLERS, FIRST] = [0, 1, 2, 3, 4, 5, 6];
const WORDS = FIRST + PLACES;
const BYTES = WORDS * 4 + 16;
const [GREW, UP_TO] = [0, 1];
const [NOT_COUNTED, COUNTED, BOUNDED] = [0, 1, 2];
/** What a name takes, whatever it names. */
export const ENTRY_BYTES = 4096n;

export class Limits {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bigs: BigInt64Array<SharedArrayBuffer>;
  readonly #place: number;
  readonly #numbers: Uint8Array<SharedArrayBuffer>;

  /** @param place of the process that this is for; @param numbers a byte for each number that a descriptor may have */
  constructor(memory = new SharedArrayBuffer(BYTES), place = 0, numbers = new SharedArrayBuffer(0)) {
    this.#numbers = new Uint8Array(numbers);
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, WORDS);
    this.#bigs = new BigInt64Array(memory, WORDS * 4, 2);
    this.#place = FIRST + place;
  }

  // ---- for a program

  /** @throws WasiError ENFILE */
  expectDescriptor(): void {
    const most = Atomics.load(this.#words, MOST);
    if (most === 0 || this.descriptors < most) return;
    Atomics.add(this.#words, REFUSED, 1);
    throw new WasiError(Errno.nfile);
  }

  opened(fd: number, kind: DescriptorKind): void {
    Atomics.add(this.#words, this.#place, 1);
    Atomics.add(this.#words, OPEN, 1);
    this.#numbers[fd] = descriptorKinds.indexOf(kind) + 1;
  }

  closed(fd: number): void {
    Atomics.sub(this.#words, this.#place, 1);
    Atomics.sub(this.#words, OPEN, 1);
    this.#numbers[fd] = 0;
  }

  moved(from: number, to: number): void {
    this.#numbers[to] = this.#numbers[from]!;
    this.#numbers[from] = 0;
  }

  /** Another thread calls by koffi from now on. False: so many did that no more may. */
  mayCall(most: number): boolean {
    return Atomics.load(this.#words, CALLERS) < most && Atomics.add(this.#words, CALLERS, 1) < most;
  }

  get countsHome(): boolean {
    return Atomics.load(this.#words, HOME) !== NOT_COUNTED;
  }

  /** It has a bound, and it is known how large it is. */
  get isHomeBounded(): boolean {
    return Atomics.load(this.#words, HOME) === BOUNDED;
  }

  /** By how much it may grow. */
  get homeRoom(): bigint {
    if (!this.isHomeBounded) return 2n ** 62n;
    const room = Atomics.load(this.#bigs, UP_TO) - Atomics.load(this.#bigs, GREW);
    return room > 0n ? room : 0n;
  }

  /** The home grows by so much, or shrinks. @throws WasiError EDQUOT */
  grow(bytes: bigint): void {
    if (bytes === 0n || !this.countsHome) return;
    const grew = Atomics.add(this.#bigs, GREW, bytes) + bytes;
    if (bytes < 0n || !this.isHomeBounded || grew <= Atomics.load(this.#bigs, UP_TO)) return;
    Atomics.sub(this.#bigs, GREW, bytes);
    Atomics.add(this.#words, REFUSED_HOME, 1);
    throw new WasiError(Errno.dquot);
  }

  /** The same around what makes it so. */
  growing<T>(bytes: bigint, make: () => T): T {
    this.grow(bytes);
    try {
      return make();
    } catch (error) {
      this.grow(-bytes);
      throw error;
    }
  }

  // ---- for the main thread

  /** 0: any. */
  set descriptorsMost(most: number) {
    Atomics.store(this.#words, MOST, most);
  }

  /** That all of them have. */
  get descriptors(): number {
    return Atomics.load(this.#words, OPEN);
  }

  /** How often something was refused since this was asked last. */
  takeRefused(): { descriptors: number; home: number } {
    return {
      descriptors: Atomics.exchange(this.#words, REFUSED, 0),
      home: Atomics.exchange(this.#words, REFUSED_HOME, 0),
    };
  }

  /** From now on growth is counted; it is refused once it is known how large the home is. */
  countHome(): void {
    if (!this.countsHome) Atomics.store(this.#words, HOME, COUNTED);
  }

  get homeGrew(): bigint {
    return Atomics.load(this.#bigs, GREW);
  }

  boundHome(upTo: bigint): void {
    Atomics.store(this.#bigs, UP_TO, upTo);
    Atomics.store(this.#words, HOME, BOUNDED);
  }

  freeHome(): void {
    Atomics.store(this.#words, HOME, NOT_COUNTED);
  }

  /** Of a process; no two at one time have the same. */
  takePlace(): number {
    for (let place = 0; place < PLACES; place++)
      if (!this.#taken.has(place)) {
        this.#taken.add(place);
        return place;
      }
    throw new Error('more processes than a virtual kernel runs');
  }

  readonly #taken = new Set<number>();

  /** It is over, and has no descriptor any more. */
  givePlace(place: number): void {
    Atomics.sub(this.#words, OPEN, Atomics.exchange(this.#words, FIRST + place, 0));
    this.#taken.delete(place);
  }
}
