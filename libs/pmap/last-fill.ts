// Pages for a process that is ending: its thread waits in a fault and must go on to its end, whatever is full.
//
// V8 looks for the word to end only every so often: a loop of its baseline tier runs on over hundreds of thousands of pages
// first, at a fault each. So what such a process touches is not memory of its own: a few pages, the same ones over and over.
import type { AddressRange } from '@odonata/userfault/address-map.ts';
import { Errno, fillBytes, MapFlag, mapAgain, mmap, Prot } from '@odonata/userfault/libc.ts';
import type { Userfault } from '@odonata/userfault/userfault.ts';

const ANONYMOUS_FIXED = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;
const READ_WRITE = Prot.READ | Prot.WRITE;
/** The largest memory takes some two thousand mappings of it. */
export const SINK_BYTES = 2 << 20;

/** What a program reads there whose threads go on: no address, no text, and no small number. */
export const POISON = 0xdb;

let sink: bigint | undefined;
let poisoned = false;

/** From now on what is over holds POISON instead of zeros: whoever goes on must not take it for memory that was never written. */
export function usePoison(): void {
  poisoned = true;
}

function makeSink(): bigint {
  const made = mmap(0n, SINK_BYTES, READ_WRITE, MapFlag.SHARED | MapFlag.ANONYMOUS, -1, 0);
  if (poisoned) fillBytes(made, POISON, SINK_BYTES);
  return made;
}

/** True where a page cannot be filled because its tmpfs has no room. */
export const isFull = (errno: number): boolean => errno === Errno.ENOMEM || errno === Errno.ENOSPC;

/** Goes on with what is around the page, as far as the memory reaches. */
export function fillForTheEnd(userfault: Userfault, address: bigint, memory: AddressRange): void {
  const offset = (address - memory.address) % BigInt(SINK_BYTES);
  const from = address - offset;
  const left = Number(memory.end - from);
  sinkOver(from, Math.min(SINK_BYTES, left));
  userfault.wake(from, Math.min(SINK_BYTES, left));
}

/** What a process that is ending had mapped there is none of its business any more. */
export function sinkOver(address: bigint, lengthBytes: number): void {
  try {
    sink ??= makeSink();
    for (let at = 0; at < lengthBytes; at += SINK_BYTES)
      mapAgain(sink, Math.min(SINK_BYTES, lengthBytes - at), address + BigInt(at));
  } catch {
    // Pages of the virtual kernel's own instead: they go with the rest when the process is over.
    mmap(address, lengthBytes, READ_WRITE, ANONYMOUS_FIXED, -1, 0);
    if (poisoned) fillBytes(address, POISON, lengthBytes);
  }
}
