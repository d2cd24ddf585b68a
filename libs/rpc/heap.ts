// The two heaps of a Node process, told to give back what they do not use.

import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import koffi from 'koffi';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const malloc_trim = koffi.load('libc.so.6').func('int malloc_trim(size_t pad)');

/** What V8 has to look after, garbage too. It needs no descriptor, as process.memoryUsage() does. */
export function heapBytes(): number {
  const { used_heap_size: used, external_memory: external } = getHeapStatistics();
  return used + external;
}

/** Undefined where the process has no descriptor left to ask Linux with. */
export function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}

/** Collects V8's garbage; some tens of milliseconds. */
export function collectGarbage(): void {
  gc();
}

/** Gives whole free pages of the C library's heap, from which buffers come, back to the system: malloc_trim(3). */
export function trimHeap(): void {
  malloc_trim(0);
}
