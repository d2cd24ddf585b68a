// Threads that were started ahead of the programs that they will run: a start takes tens of milliseconds, which
// a program must not wait for.

import { Worker } from 'node:worker_threads';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { emptyPool, trimHeap } from '@odonata/rpc/heap.ts';
import { guestSource } from './guest-source.ts';
import { terminate } from './interrupts.ts';
import type { GuestMessage } from './kernel-call.ts';

/** Calls of WebAssembly use the thread's stack; a C program expects some megabytes. */
const stackMb = 16;
/**
 * For our own objects, and a guest's exceptions; neither its memory is in there nor, but for a part, its tables. Within a quarter
 * of its quota; V8 and our own code take some 10 MiB.
 */
const heapMaxMb = 256;
/** Of each further thread of a process; it counts against the quota. */
export const THREAD_HEAP_MB = 32;
const heapMinMb = 32;
const youngMaxMb = 48;
/** A new thread waits this long, so as not to take the processor from the program that just got the last one. */
const refillDelayMs = 30;
/** Where programs start one after another, as in a shell's loop, the next one waits for a thread more than the last one for the processor. */
const burstMs = 400;
const burstTarget = 4;
/** So long after the last program of such a burst the threads that wait beyond the usual ones end: each has megabytes. */
const burstOverMs = 2_000;
/** So long after the last program none waits at all: memory is better than speed then. The next program takes some 100 ms longer. */
const UNUSED_MS = 60_000;
/** Less in empty pages of V8 is not worth it then. */
const POOL_BYTES = 4 << 20;

/** Programs that a thread leaves one after the other: what they had in its heap is garbage only. */
const LEFT_MAX = 32;
/** Of those that left one, beside those that were started ahead. */
const BACK_MAX = 2;

/** What Node shows for a thread that ended. */
const endedThreadId = -1;

/** What a process of such a quota has of JavaScript heap: a power of two, so that threads that wait fit many programs. */
export function heapMbOf(quotaBytes: number): number {
  const quarterMb = Math.max(1, quotaBytes / 4 / 2 ** 20);
  return Math.min(heapMaxMb, Math.max(heapMinMb, 2 ** Math.floor(Math.log2(quarterMb))));
}

/** A thread that is loaded. */
export interface WarmThread {
  readonly worker: Worker;
  /** Of JavaScript heap. */
  readonly heapMb: number;
  /** How many programs it left so far. */
  left: number;
  /** Linux's number of it; 0 where that is not known. */
  readonly hostThread: number;
}

export class WarmWorkers {
  readonly #target: number;
  readonly #create: (make: () => Worker) => Worker;
  #ready: Promise<WarmThread>[] = [];
  /** Those that wait have the heap of the last program: the next one is mostly of its kind. */
  #heapMb = heapMaxMb;
  #refill: NodeJS.Timeout | undefined;
  #burstOver: NodeJS.Timeout | undefined;
  readonly #unused: NodeJS.Timeout;
  #takenMs = Number.NEGATIVE_INFINITY;
  #isBurst = false;
  /** Until the first program came, which waits for its thread: that one rehearses nothing, and shares the processor with no second one. */
  #isFirst = true;
  #closed = false;

  /**
   * @param create creates a thread by calling `make`; tests count them
   * @param unusedMs less in tests
   */
  constructor(
    target: number,
    create: (make: () => Worker) => Worker = (make) => make(),
    unusedMs = UNUSED_MS,
  ) {
    this.#target = target;
    this.#create = create;
    const rest = ownTurn({ timer: 'unused threads' }, () => {
      void this.#drop().then(() => {
        emptyPool(POOL_BYTES);
        trimHeap();
      });
    });
    this.#unused = setTimeout(rest, unusedMs).unref();
    this.#fill();
  }

  /**
   * A thread that is loaded and waits for its program, with the heap of such a quota. The taker owns it. Rejects when none can be
   * started.
   */
  async take(quotaBytes: number): Promise<WarmThread> {
    const heapMb = heapMbOf(quotaBytes);
    if (heapMb !== this.#heapMb) this.#change(heapMb);
    const nowMs = performance.now();
    this.#isBurst = nowMs - this.#takenMs < burstMs;
    this.#takenMs = nowMs;
    this.#isFirst = false;
    if (this.#isBurst) this.#expectEnd();
    this.#unused.refresh();
    if (!this.#closed) this.#refill ??= setTimeout(() => this.#fill(), this.#isBurst ? 0 : refillDelayMs);
    for (;;) {
      const next = this.#ready.shift();
      if (next === undefined) return this.#start();
      const thread = await next;
      if (thread.worker.threadId !== endedThreadId) return thread;
    }
  }

  /** A thread for a process that has one already. */
  another(): Promise<WarmThread> {
    return this.#start(THREAD_HEAP_MB);
  }

  /** One that left its program, which is parked: it runs another one. Resolves when it waits for that, or is gone. */
  async giveBack(thread: WarmThread): Promise<void> {
    thread.left++;
    const isKept =
      !this.#closed &&
      thread.heapMb === this.#heapMb &&
      thread.left < LEFT_MAX &&
      this.#ready.length < Math.max(this.#target, burstTarget) + BACK_MAX;
    if (!isKept) await terminate(thread.worker);
    else {
      this.#ready.unshift(Promise.resolve(thread));
      this.#expectEnd();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#refill);
    clearTimeout(this.#burstOver);
    clearTimeout(this.#unused);
    await this.#drop();
  }

  #expectEnd(): void {
    clearTimeout(this.#burstOver);
    if (this.#closed) return;
    this.#burstOver = setTimeout(() => {
      this.#isBurst = false;
      void end(this.#ready.splice(this.#target));
    }, burstOverMs);
  }

  #change(heapMb: number): void {
    this.#heapMb = heapMb;
    void this.#drop();
  }

  async #drop(): Promise<void> {
    const ready = this.#ready;
    this.#ready = [];
    await end(ready);
  }

  #fill(): void {
    this.#refill = undefined;
    const target = this.#isBurst && this.#target > 0 ? Math.max(this.#target, burstTarget) : this.#target;
    while (this.#ready.length < (this.#isFirst ? Math.min(1, target) : target)) {
      const thread = this.#start();
      // A failure is the taker's to see; it must not end the virtual kernel before.
      thread.catch(() => {});
      this.#ready.push(thread);
    }
  }

  #start(heapMb = this.#heapMb): Promise<WarmThread> {
    const { boot, data } = guestSource();
    return new Promise((resolve, reject) => {
      const worker = this.#create(
        () =>
          new Worker(boot, {
            name: 'guest',
            eval: true,
            // Where programs start one after another, or the first one waits, that needs the processor.
            workerData: this.#isBurst || this.#isFirst ? { ...data, rehearsal: undefined } : data,
            env: {},
            execArgv: [],
            stdin: false,
            resourceLimits: {
              stackSizeMb: stackMb,
              maxOldGenerationSizeMb: heapMb,
              maxYoungGenerationSizeMb: Math.min(youngMaxMb, heapMb / 4),
            },
          }),
      );
      // Stays: an error of a thread that nobody took yet must not end the virtual kernel.
      worker.on('error', reject);
      worker.once('exit', () => reject(new Error('the thread ended before it was ready')));
      worker.once('message', (message: GuestMessage) => {
        if (message.kind !== 'ready') throw new Error(`not ready but ${message.kind}`);
        resolve({ worker, heapMb, left: 0, hostThread: message.hostThread });
      });
    });
  }
}

async function end(threads: readonly Promise<WarmThread>[]): Promise<void> {
  await Promise.allSettled(threads.map(async (thread) => (await thread).worker.terminate()));
}
