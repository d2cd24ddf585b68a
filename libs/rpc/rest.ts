// Memory that is given back at rest.
//
// V8 collects when much was allocated, so what a burst of work left stays until the next one; what a collection frees
// goes to free lists, V8's own and the C library's, and those keep it. So a service that has nothing to do for a moment, and has
// grown since it last did this, collects; and at its next moment of rest, when V8 has freed what it found, it trims.
//
//     grown --at rest--> collected --at rest--> trimmed --grows by so much--> grown
//
// A collection while nothing goes on costs more than its own time: V8 forgets the shapes of all objects that live for a moment only, as
// messages do, and throws away the compiled code that relies on them. The next 2,000 faults then cost a directory's replica 40 % more
// processor time. So a short pause gives back the memory of a large burst only, and a long rest the rest, V8's own empty pages too.

import { ownTurn } from './bug.ts';
import { collectGarbage, emptyPool, heapBytes, ownBytes, trimHeap } from './heap.ts';

const LOOK_EVERY_MS = 2_000;
/** Of one processor, since the last look: less is rest. A collection takes some tens of milliseconds. */
const REST_SHARE = 0.05;
const LONG_REST_MS = 30_000;
/** Growth that is worth a collection, and empty pages of V8 that are worth giving back: in a pause, and after a long rest. */
const BURST_BYTES = 256 * 1024 * 1024;
const GROWTH_BYTES = 16 * 1024 * 1024;
const POOL_BYTES = 64 * 1024 * 1024;

/** What of this process decides, and what can be done about it. */
export interface RestingProcess {
  /** Processor time of its main thread so far. */
  cpuMs(): number;
  ownBytes(): number;
  /** What V8 has to look after, garbage too. */
  heapBytes(): number;
  collect(): void;
  trim(): void;
  /** Gives V8's empty pages back where they are so many. */
  emptyPool(leastBytes: number): void;
}

export class RestWatch {
  readonly #process: RestingProcess;
  #cpuMs: number;
  #atMs: number;
  #collected = false;
  /** It has trimmed, and what V8 keeps may be given back after a long rest. */
  #pooled = false;
  #restedMs = 0;
  /** The least since it was collected, and since it was trimmed; at first anything is growth: a start leaves much. */
  #heapBytes = 0;
  #ownBytes = 0;

  constructor(process: RestingProcess, nowMs: number) {
    this.#process = process;
    this.#cpuMs = process.cpuMs();
    this.#atMs = nowMs;
  }

  /** Every two seconds. */
  look(nowMs: number): void {
    const process = this.#process;
    const lookMs = Math.max(1, nowMs - this.#atMs);
    const resting = (process.cpuMs() - this.#cpuMs) / lookMs <= REST_SHARE;
    this.#restedMs = resting ? this.#restedMs + lookMs : 0;
    const heapBytes = process.heapBytes();
    const ownBytes = process.ownBytes();
    const growth = Math.max(heapBytes - this.#heapBytes, ownBytes - this.#ownBytes);
    const grown = growth >= (this.#restedMs >= LONG_REST_MS ? GROWTH_BYTES : BURST_BYTES);
    this.#heapBytes = Math.min(this.#heapBytes, heapBytes);
    this.#ownBytes = Math.min(this.#ownBytes, ownBytes);
    if (resting && this.#collected && heapBytes - this.#heapBytes < BURST_BYTES) {
      this.#trim();
    } else if (resting && (this.#collected || grown)) {
      // What came since the collection, also by little work, is not to count as kept.
      process.collect();
      this.#collected = true;
      this.#heapBytes = process.heapBytes();
    } else if (this.#pooled && this.#restedMs >= LONG_REST_MS) {
      this.#pooled = false;
      this.#empty(POOL_BYTES);
    }
    // From here on: what this took is no work.
    this.#cpuMs = process.cpuMs();
    this.#atMs = nowMs;
  }

  #trim(): void {
    this.#process.trim();
    this.#collected = false;
    this.#pooled = true;
    this.#empty(BURST_BYTES);
  }

  #empty(leastBytes: number): void {
    this.#process.emptyPool(leastBytes);
    this.#ownBytes = this.#process.ownBytes();
  }
}

/** Watches this process, as long as it runs. */
export function giveBackAtRest(): void {
  const cpuMs = (): number => {
    // Of this thread: the guests of a virtual kernel may compute on, nobody waits for them.
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let lastBytes = 0;
  const own = (): number => {
    lastBytes = ownBytes() ?? lastBytes;
    return lastBytes;
  };
  const resting: RestingProcess = {
    ...{ cpuMs, ownBytes: own, heapBytes },
    ...{ collect: collectGarbage, trim: trimHeap, emptyPool },
  };
  const watch = new RestWatch(resting, performance.now());
  const look = ownTurn({ timer: 'rest' }, () => watch.look(performance.now()));
  setInterval(look, LOOK_EVERY_MS).unref();
}
