// Threads that were started ahead of the programs that they will run: a start takes tens of milliseconds, which
// a program must not wait for.

import { Worker } from 'node:worker_threads';
import type { GuestMessage } from './kernel-call.ts';

const entry = new URL('./guest-thread.ts', import.meta.url);

/** Calls of WebAssembly use the thread's stack; a C program expects some megabytes. */
const stackMb = 16;
/** For our own objects, and a guest's tables and exceptions; its memory is not in there. */
const heapMb = 1024;
/** A new thread waits this long, so as not to take the processor from the program that just got the last one. */
const refillDelayMs = 150;

/** What Node shows for a thread that ended. */
const endedThreadId = -1;

export class WarmWorkers {
  readonly #target: number;
  #ready: Promise<Worker>[] = [];
  #refill: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(target: number) {
    this.#target = target;
    this.#fill();
  }

  /** A thread that is loaded and waits for its program. The taker owns it. Rejects when none can be started. */
  async take(): Promise<Worker> {
    clearTimeout(this.#refill);
    if (!this.#closed) this.#refill = setTimeout(() => this.#fill(), refillDelayMs);
    for (;;) {
      const next = this.#ready.shift();
      if (next === undefined) return startWorker();
      const worker = await next;
      if (worker.threadId !== endedThreadId) return worker;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#refill);
    const ready = this.#ready;
    this.#ready = [];
    await Promise.allSettled(ready.map(async (worker) => (await worker).terminate()));
  }

  #fill(): void {
    while (this.#ready.length < this.#target) {
      const worker = startWorker();
      // A failure is the taker's to see; it must not end the virtual kernel before.
      worker.catch(() => {});
      this.#ready.push(worker);
    }
  }
}

function startWorker(): Promise<Worker> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(entry, {
      name: 'guest',
      env: {},
      execArgv: [],
      stdin: false,
      resourceLimits: { stackSizeMb: stackMb, maxOldGenerationSizeMb: heapMb },
    });
    // Stays: an error of a thread that nobody took yet must not end the virtual kernel.
    worker.on('error', reject);
    worker.once('exit', () => reject(new Error('the thread ended before it was ready')));
    worker.once('message', (message: GuestMessage) => {
      if (message.kind !== 'ready') throw new Error(`not ready but ${message.kind}`);
      resolve(worker);
    });
  });
}
