// Where a process is held for a snapshot: in a call of its first thread that is not answered meanwhile. Its thread sleeps, so nothing
// of its memory or its globals changes, whoever reads them.
//
//   idle --ask--> asked --its thread comes to a point, or stands in one--> held --release, or 60 s--> idle
//
// A point is `odonata_snapshot()`, or a call that may wait here: input, polls of it, words, children, locks, barriers.
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { KernelRequest } from '../kernel-call.ts';
import { descriptorKinds } from '../wasi/descriptor-kind.ts';
import type { KeptGlobal } from '../wasm/kept-globals.ts';
import type { SnapshotCell } from './snapshot-cell.ts';

/** Then it goes on, and the snapshot comes to nothing. */
export const HELD_MS = 60_000;

const POINTS: ReadonlySet<KernelRequest['call']> = new Set([
  ...(['snapshot', 'stdin_read', 'stdin_poll', 'wait_sleep', 'wait_child', 'lock', 'barrier'] as const),
]);

/** Those that what is started from it begins with. */
const GIVEN: ReadonlySet<number> = new Set(
  (['directory', 'nowhere', 'socket', 'mounted-folder'] as const).map(
    (kind) => descriptorKinds.indexOf(kind) + 1,
  ),
);
const STREAMS = 3;
const STREAM = descriptorKinds.indexOf('stream') + 1;
const SHOWN: Readonly<Record<string, string>> = {
  ...{ stream: 'a standard stream', file: 'a file', directory: 'a folder', nowhere: 'a folder' },
  ...{ socket: 'a pipe, listener or connection', device: 'a device' },
  ...{ 'mounted-file': 'a file of /tmp, /shared or /proc', 'mounted-folder': 'a folder there' },
};

export interface Held {
  readonly memoryPages: number;
  readonly globals: readonly { readonly index: number; readonly bits: bigint }[];
}

export interface SnapshotListener {
  held(held: Held): void;
  /** It is idle again. */
  refused(why: string): void;
}

export interface SnapshotProcess {
  readonly cell: SnapshotCell;
  readonly globals: readonly KeptGlobal[];
  /** A byte for each of its descriptors, as Limits has them. */
  readonly numbers: Uint8Array;
  memoryBytes(): number;
  mappedRanges(): number;
}

export class SnapshotPoint {
  readonly #of: SnapshotProcess;
  #listener: SnapshotListener | undefined;
  /** Its thread stands in a call that is a point. */
  #stands = false;
  #isHeld = false;
  #answer: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Locks that it has, by what they are of. */
  readonly #locks = new Map<string, { dataspace: bigint; begin: bigint; endInclusive: bigint }>();

  constructor(of: SnapshotProcess) {
    this.#of = of;
  }

  /** @returns why not */
  ask(listener: SnapshotListener): string | undefined {
    if (this.#listener !== undefined) return 'a snapshot of it is being taken already';
    this.#listener = listener;
    this.#of.cell.asked = true;
    if (this.#stands) this.#hold();
    return undefined;
  }

  /** It goes on. False: it did already. */
  release(): boolean {
    const wasHeld = this.#isHeld;
    this.#idle();
    return wasHeld;
  }

  /** Its thread asks for something. */
  arrives(request: KernelRequest): void {
    this.#stands = POINTS.has(request.call) && this.#of.cell.isReady;
    if (this.#stands && this.#listener !== undefined) this.#hold();
  }

  /** It is to be answered: now, or when it is held no more. */
  answer(answer: () => void): void {
    if (this.#isHeld) {
      this.#answer = answer;
      return;
    }
    this.#stands = false;
    answer();
  }

  locked(lock: { dataspace: bigint; begin: bigint; endInclusive: bigint }): void {
    this.#locks.set(`${lock.dataspace} ${lock.begin} ${lock.endInclusive}`, lock);
  }

  unlocked({
    dataspace,
    begin,
    endInclusive,
  }: {
    dataspace: bigint;
    begin: bigint;
    endInclusive: bigint;
  }): void {
    for (const [key, lock] of this.#locks)
      if (lock.dataspace === dataspace && lock.begin >= begin && lock.endInclusive <= endInclusive)
        this.#locks.delete(key);
  }

  #hold(): void {
    const { cell, globals } = this.#of;
    const listener = this.#listener!;
    const inTheWay = this.#inTheWay();
    if (inTheWay !== undefined) {
      this.#idle();
      listener.refused(`${inTheWay}, which what is started from a snapshot would not have`);
      return;
    }
    this.#isHeld = true;
    const late = ownTurn({ timer: 'snapshot' }, () => {
      this.#idle();
      listener.refused(`it went on after ${HELD_MS / 1_000} s, before all of its memory was read`);
    });
    this.#timer = setTimeout(late, HELD_MS).unref();
    const bits = cell.bits();
    listener.held({
      memoryPages: this.#of.memoryBytes() / 65_536,
      globals: globals.map(({ index }, i) => ({ index, bits: bits[i]! })),
    });
  }

  #inTheWay(): string | undefined {
    const { numbers, cell } = this.#of;
    const given = (kind: number, fd: number): boolean =>
      fd < STREAMS ? kind === STREAM : fd < cell.began && GIVEN.has(kind);
    const open = numbers.findIndex((kind, fd) => kind !== 0 && !given(kind, fd));
    if (open >= 0) return `it has descriptor ${open} open, ${SHOWN[descriptorKinds[numbers[open]! - 1]!]}`;
    const mapped = this.#of.mappedRanges();
    if (mapped > 0) return `it has ${mapped} ${mapped === 1 ? 'range' : 'ranges'} of dataspaces mapped`;
    if (this.#locks.size > 0)
      return `it has ${this.#locks.size} ${this.#locks.size === 1 ? 'lock' : 'locks'}`;
    return undefined;
  }

  #idle(): void {
    clearTimeout(this.#timer);
    this.#of.cell.asked = false;
    this.#listener = undefined;
    this.#isHeld = false;
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer === undefined) return;
    this.#stands = false;
    answer();
  }
}
