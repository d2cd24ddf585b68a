// The two heaps of a Node process, told to give back what they do not use.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import koffi from 'koffi';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const malloc_trim = koffi.load('libc.so.6').func('int malloc_trim(size_t pad)');

/** Collects V8's garbage; some tens of milliseconds. */
export function collectGarbage(): void {
  gc();
}

/** Gives whole free pages of the C library's heap, from which buffers come, back to the system: malloc_trim(3). */
export function trimHeap(): void {
  malloc_trim(0);
}
