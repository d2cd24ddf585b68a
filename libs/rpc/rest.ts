// Memory that is given back at rest.
//
// V8 collects when much was allocated, so what a burst of work left stays until the next one; what a collection frees
// goes to free lists, V8's own and the C library's, and those keep it. So a service that has nothing to do for a moment, and has
// grown since it last did this, collects; and at its next moment of rest, when V8 has freed what it found, it trims.
//
//     grown --at rest--> collected --at rest--> trimmed --grows by so much--> grown

import { collectGarbage, heapBytes, residentBytes, trimHeap } from './heap.ts';

const LOOK_EVERY_MS = 2_000;
/** Of one processor, since the last look: less is rest. A collection takes some tens of milliseconds. */
const REST_SHARE = 0.05;
/** Growth that is worth a collection. */
const GROWTH_BYTES = 16 * 1024 * 1024;

/** What of this process decides, and what can be done about it. */
export interface RestingProcess {
  /** Processor time of its main thread so far. */
  cpuMs(): number;
  residentBytes(): number;
  /** What V8 has to look after, garbage too. */
  heapBytes(): number;
  collect(): void;
  trim(): void;
}

export class RestWatch {
  readonly #process: RestingProcess;
  #cpuMs: number;
  #atMs: number;
  #collected = false;
  /** The least since it was collected, and since it was trimmed; at first anything is growth: a start leaves much. */
  #heapBytes = 0;
  #residentBytes = 0;

  constructor(process: RestingProcess, nowMs: number) {
    this.#process = process;
    this.#cpuMs = process.cpuMs();
    this.#atMs = nowMs;
  }

  /** Every two seconds. */
  look(nowMs: number): void {
    const process = this.#process;
    const share = (process.cpuMs() - this.#cpuMs) / Math.max(1, nowMs - this.#atMs);
    const heapBytes = process.heapBytes();
    const residentBytes = process.residentBytes();
    const grown =
      heapBytes - this.#heapBytes >= GROWTH_BYTES || residentBytes - this.#residentBytes >= GROWTH_BYTES;
    this.#heapBytes = Math.min(this.#heapBytes, heapBytes);
    this.#residentBytes = Math.min(this.#residentBytes, residentBytes);
    if (share <= REST_SHARE && (this.#collected || grown)) {
      // What came since the collection, also by little work, is not to count as kept.
      if (this.#collected && heapBytes - this.#heapBytes < GROWTH_BYTES) {
        process.trim();
        this.#collected = false;
        this.#residentBytes = process.residentBytes();
      } else {
        process.collect();
        this.#collected = true;
        this.#heapBytes = process.heapBytes();
      }
    }
    // From here on: what this took is no work.
    this.#cpuMs = process.cpuMs();
    this.#atMs = nowMs;
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
  const resident = (): number => {
    lastBytes = residentBytes() ?? lastBytes;
    return lastBytes;
  };
  const resting = { cpuMs, residentBytes: resident, heapBytes, collect: collectGarbage, trim: trimHeap };
  const watch = new RestWatch(resting, performance.now());
  setInterval(() => watch.look(performance.now()), LOOK_EVERY_MS).unref();
}
