// The signals of one process, in memory that its threads share with the main thread.
//
//   words   0 pending   1 with a handler   2 ignored   a bit a signal, as WASI numbers them
//           3 stopped (1)   4 grows with each change: what a thread sleeps on

import { Bell } from '@odonata/userfault/bell.ts';
import { TERMINAL_STOPS, wasiSignalOf, wasiSignals } from './wasi/signals.ts';

const WORDS = 5;
export const [PENDING, HANDLED, IGNORED, STOPPED, CHANGES] = [0, 1, 2, 3, 4] as const;

export const ACTION_DEFAULT = 0;
export const ACTION_IGNORE = 1;
export const ACTION_HANDLER = 2;

/** Nothing comes of these where there is no handler. */
const HARMLESS: ReadonlySet<string> = new Set(['SIGCHLD', 'SIGURG', 'SIGWINCH', 'SIGCONT']);

/** What a signal comes to. */
export type Outcome = 'handler' | 'nothing' | 'stop' | 'continue' | 'end';

export const createSignals = (): SharedArrayBuffer => new SharedArrayBuffer(WORDS * 4);

/** The main thread's end. */
export class SignalState {
  readonly #words: Int32Array;
  /** Rung for what the first thread is to look at, where it waits for descriptors. */
  readonly #bell = new Bell();

  constructor(signals: SharedArrayBuffer) {
    this.#words = new Int32Array(signals);
  }

  outcomeOf(name: string): Outcome {
    if (name === 'SIGKILL') return 'end';
    if (name === 'SIGSTOP') return 'stop';
    const bit = 1 << wasiSignalOf(name);
    if ((Atomics.load(this.#words, HANDLED) & bit) !== 0) return 'handler';
    if (name === 'SIGCONT') return 'continue';
    if ((Atomics.load(this.#words, IGNORED) & bit) !== 0 || HARMLESS.has(name)) return 'nothing';
    return TERMINAL_STOPS.has(name) ? 'stop' : 'end';
  }

  get isStopped(): boolean {
    return Atomics.load(this.#words, STOPPED) === 1;
  }

  /** A handler has not run yet. */
  get isDue(): boolean {
    return (Atomics.load(this.#words, PENDING) & Atomics.load(this.#words, HANDLED)) !== 0;
  }

  /** For its handler. */
  pend(name: string): void {
    Atomics.or(this.#words, PENDING, 1 << wasiSignalOf(name));
    this.#changed();
  }

  stop(): void {
    Atomics.store(this.#words, STOPPED, 1);
    this.#changed();
  }

  go(): void {
    Atomics.store(this.#words, STOPPED, 0);
    Atomics.notify(this.#words, STOPPED);
    this.#changed();
  }

  get bell(): number {
    return this.#bell.fd;
  }

  /** Nobody waits for descriptors any more, or soon nobody does. */
  end(): void {
    this.#bell.ring();
  }

  close(): void {
    this.#bell.close();
  }

  #changed(): void {
    Atomics.add(this.#words, CHANGES, 1);
    Atomics.notify(this.#words, CHANGES);
    this.#bell.ring();
  }
}

/**
 * A thread's end. A handler runs where the thread is in the program: at its return from a call, or, where it computes, in the middle
 * of that. Not within a call of ours, which would not bear another one; nor while the thread waits: an interrupt finds it in
 * `Atomics.wait` too, and V8 has one entry a thread in its lists of who waits. A second wait within the first one breaks them, and
 * whoever notifies next, the main thread, turns in them for ever.
 */
export class SignalGate {
  readonly #words: Int32Array;
  /** Only the thread that the program began in runs handlers; all stop. */
  handler: ((signal: number) => void) | undefined;
  /** Functions of the program's table, in that thread. */
  functionOf: ((number: number) => ((argument: number) => void) | undefined) | undefined;
  /** Of the table; undefined: it is what the program exports. */
  handlerNumber: number | undefined;
  /** A thread is ours until it enters the program. */
  #depth = 1;

  constructor(signals: SharedArrayBuffer) {
    this.#words = new Int32Array(signals);
  }

  /** Signals whose handlers run, a bit each. */
  #handling = 0;
  /** Of these changes nothing is to come, as far as the actions are what they were: most calls of a program look no further. */
  #seen: number | undefined;

  /** Runs what is the program's own. */
  inProgram<T>(run: () => T): T {
    this.#depth--;
    try {
      this.deliver();
      return run();
    } finally {
      this.#depth++;
    }
  }

  /** @returns whether the table has a function of that number */
  handleBy(number: number): boolean {
    const handler = this.functionOf?.(number);
    if (handler === undefined) return false;
    this.handler = handler;
    this.handlerNumber = number;
    return true;
  }

  setAction(signal: number, action: number): void {
    this.#seen = undefined;
    const bit = 1 << signal;
    const set = (word: number, on: boolean) =>
      on ? Atomics.or(this.#words, word, bit) : Atomics.and(this.#words, word, ~bit);
    set(IGNORED, action === ACTION_IGNORE);
    set(HANDLED, action === ACTION_HANDLER);
    if (action !== ACTION_HANDLER) Atomics.and(this.#words, PENDING, ~bit);
  }

  /** A handler is to run as soon as the call is over. */
  get isDue(): boolean {
    return this.handler !== undefined && this.#due() !== 0;
  }

  /** Nothing of the program may run beside what is under way: no handler, until `release`. */
  hold(): void {
    this.#depth++;
  }

  release(): void {
    this.#depth--;
  }

  /** A handler runs. */
  get isHandling(): boolean {
    return this.#handling !== 0;
  }

  /** Runs a call of the program. */
  within<T>(call: () => T): T {
    this.#depth++;
    let result: T;
    try {
      result = call();
    } finally {
      this.#depth--;
    }
    if (this.#depth === 0) this.deliver();
    return result;
  }

  /** The thread is in the program, or (then it is not the time) in a call. */
  deliver(): void {
    // Of a change that comes while it is looked at the next call tells: a read that is not atomic is enough for most.
    if (this.#depth > 0 || this.#words[CHANGES] === this.#seen) return;
    for (;;) {
      // Before what it counts is looked at: a change meanwhile is looked at next time.
      const changes = Atomics.load(this.#words, CHANGES);
      if (changes === this.#seen) return;
      this.#waitWhileStopped();
      const due = this.#due();
      if (due === 0 && this.#handling === 0) this.#seen = changes;
      if (due === 0 || this.handler === undefined) return;
      const bit = due & -due;
      // An interrupt may have come since, and run it.
      if ((Atomics.and(this.#words, PENDING, ~bit) & bit) !== 0) this.#handle(this.handler, bit);
    }
  }

  /** It waits for the end of its own handler. */
  #handle(handler: (signal: number) => void, bit: number): void {
    this.#handling |= bit;
    try {
      handler(31 - Math.clz32(bit));
    } finally {
      this.#handling &= ~bit;
    }
  }

  #waitWhileStopped(): void {
    this.#depth++;
    while (Atomics.load(this.#words, STOPPED) === 1) Atomics.wait(this.#words, STOPPED, 1);
    this.#depth--;
  }

  /** Ends early where a handler is to run. */
  sleep(ms: number): void {
    const changes = Atomics.load(this.#words, CHANGES);
    if (!this.isDue) Atomics.wait(this.#words, CHANGES, changes, ms);
  }

  #due(): number {
    return Atomics.load(this.#words, PENDING) & Atomics.load(this.#words, HANDLED) & ~this.#handling;
  }
}

export const isSignal = (number: number): boolean => number > 0 && number < wasiSignals.length;
