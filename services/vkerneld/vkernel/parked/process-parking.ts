// The main thread's end of parking: when the thread of a program that waits is to leave it, and when another one goes on.
//
//   runs --(it waits for long)--> leaves --(it left)--> parked --(what it waited for is there)--> wakes --> runs
//
// A thread takes some 12 MiB, and a parked program what it touched of its memory. An answer that comes while its thread leaves is kept.
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { KernelAnswer, KernelRequest } from '../kernel-call.ts';
import type { ParkedGuest, ResumeGuest } from './parked-guest.ts';

/** To end a thread and start another one costs some 15 ms of a processor. */
export const PARK_AFTER_MS = 1_000;
/** Where many threads wait. */
const PARK_SOON_MS = 20;

/** What may be waited for without a thread. */
const PARKABLE: ReadonlySet<KernelRequest['call']> = new Set([
  'sleep',
  'stdin_read',
  'stdin_poll',
  'lock',
  'barrier',
  'wait_child',
]);

export interface ParkingOptions {
  /** Many threads are there. */
  readonly isCrowded: () => boolean;
  /** Tells the thread, which waits for an answer. */
  readonly leave: () => void;
  /** Ends the thread. */
  readonly parked: () => void;
  /** Starts another one. */
  readonly wake: (resume: ResumeGuest) => void;
}

export class ProcessParking {
  readonly #o: ParkingOptions;
  #state: 'runs' | 'leaves' | 'parked' | 'over' = 'runs';
  /** What it waits for, where it may leave. */
  #waitsFor: KernelRequest['call'] | undefined;
  #timer: NodeJS.Timeout | undefined;
  #kept: ParkedGuest | undefined;
  #answer: KernelAnswer | undefined;

  constructor(options: ParkingOptions) {
    this.#o = options;
  }

  get isParked(): boolean {
    return this.#state === 'parked';
  }

  /** Its thread asked for something. */
  asked(request: KernelRequest, mayLeave: boolean): void {
    if (this.#state !== 'runs' || !mayLeave || !PARKABLE.has(request.call)) return;
    this.#waitsFor = request.call;
    const afterMs = this.#o.isCrowded() ? PARK_SOON_MS : PARK_AFTER_MS;
    this.#timer = setTimeout(
      ownTurn({ timer: 'parking' }, () => this.leaveNow()),
      afterMs,
    );
  }

  /** Where it waits, and may. */
  leaveNow(): void {
    if (this.#state !== 'runs' || this.#waitsFor === undefined) return;
    clearTimeout(this.#timer);
    this.#state = 'leaves';
    this.#o.leave();
  }

  /** Its thread left. */
  left(parked: ParkedGuest): void {
    if (this.#state !== 'leaves') return;
    this.#state = 'parked';
    this.#kept = parked;
    this.#o.parked();
    if (this.#answer !== undefined) this.#wake(this.#answer);
  }

  /** What it waits for is there. @returns whether that is for a thread that is to come; else it is for the one that is there */
  answer(answer: KernelAnswer): boolean {
    clearTimeout(this.#timer);
    if (this.#state === 'runs') {
      this.#waitsFor = undefined;
      return false;
    }
    if (this.#state === 'leaves') this.#answer = answer;
    else if (this.#state === 'parked') this.#wake(answer);
    return true;
  }

  /** The process ends. */
  end(): void {
    clearTimeout(this.#timer);
    this.#state = 'over';
  }

  #wake(answer: KernelAnswer): void {
    const [parked, call] = [this.#kept!, this.#waitsFor!];
    this.#state = 'runs';
    this.#kept = undefined;
    this.#answer = undefined;
    this.#waitsFor = undefined;
    this.#o.wake({ parked, call, answer });
  }
}
