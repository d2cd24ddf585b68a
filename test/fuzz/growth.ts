// Whether a service that was told much keeps more than before.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Footprint, footprintOf } from './footprint.ts';
import { type LiveMemory, liveMemoryOf } from './live-memory.ts';

/** Of what a full collection leaves. */
const GROWTH_MIB = 24;
/** Of what is resident once a process rests: after many messages, what is neither V8's nor told to it would show. */
const GROWTH_RESIDENT_MIB = 96;
const GROWTH_DESCRIPTORS = 24;
/** How long what ended may take to be let go of. */
export const REST_MS = 60_000;

export type Look = LiveMemory & Footprint & { readonly pid: number };

export async function look(pid: number): Promise<Look> {
  // Before the inspector is there, which takes some MiB.
  const footprint = footprintOf(pid);
  return { pid, ...footprint, ...(await liveMemoryOf(pid)) };
}

/** What is more than before, by more than chance makes it. @param atRest after `rested`: only then what is resident tells anything */
export const grew = (was: Look, now: Look, atRest: boolean): string[] => [
  ...(now.heapMib - was.heapMib > GROWTH_MIB ? ['heap'] : []),
  ...(now.externalMib - was.externalMib > GROWTH_MIB ? ['external'] : []),
  ...(atRest && now.residentMib - was.residentMib > GROWTH_RESIDENT_MIB ? ['resident'] : []),
  ...(now.descriptors - was.descriptors > GROWTH_DESCRIPTORS ? ['descriptors'] : []),
];

/** Until its memory stays as it is, for some looks in a row. */
export async function rested(pid: number): Promise<void> {
  let [lastMib, looks] = [0, 0];
  const untilMs = performance.now() + REST_MS;
  while (looks < 4 && performance.now() < untilMs) {
    await sleep(2_500);
    const { residentMib } = footprintOf(pid);
    looks = Math.abs(residentMib - lastMib) < 8 ? looks + 1 : 0;
    lastMib = residentMib;
  }
}
