// The two heaps of a Node process, told to give back what they do not use.

import { readFileSync } from 'node:fs';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import koffi from 'koffi';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as (how?: object) => void;
const malloc_trim = koffi.load('libc.so.6').func('int malloc_trim(size_t pad)');

/** What V8 has to look after, garbage too. It needs no descriptor, as process.memoryUsage() does. */
export function heapBytes(): number {
  const { used_heap_size: used, external_memory: external } = getHeapStatistics();
  return used + external;
}

/** With what it has mapped of files. Undefined where the process has no descriptor left to ask Linux with. */
export function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}

const PAGE_BYTES = 4096;

/**
 * Resident memory without what is mapped of files: the memory of guests is a memory file, and no garbage of V8.
 * Undefined as above. proc_pid_statm(5)
 */
export function ownBytes(): number | undefined {
  try {
    const [, resident = 0, ofFiles = 0] = readFileSync('/proc/self/statm', 'latin1').split(' ').map(Number);
    return (resident - ofFiles) * PAGE_BYTES;
  } catch {
    return undefined;
  }
}

/** Collects V8's garbage; some tens of milliseconds. */
export function collectGarbage(): void {
  gc();
}

/** Of what is in use: with more of it, giving back takes more than some 200 ms, and V8 does it itself in time. */
const POOL_HEAP_BYTES = 128 * 1024 * 1024;

/**
 * V8 keeps the pages that a collection emptied for the next burst: 800 MiB, for minutes, where a process never rests quite. Only a
 * collection as its last resort gives them back; that takes as long as two, and throws compiled code away.
 * @param leastBytes of empty pages: less is not worth it
 */
export function emptyPool(leastBytes: number): void {
  const { total_heap_size: heap, external_memory: external, used_heap_size: used } = getHeapStatistics();
  const pooled = (ownBytes() ?? 0) - heap - external;
  if (pooled < leastBytes || used > POOL_HEAP_BYTES) return;
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/** Gives back to the system whole free pages of the C library's heap, from which buffers come: malloc_trim(3). */
export function trimHeap(): void {
  malloc_trim(0);
}
