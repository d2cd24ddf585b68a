// What is done to files of the home, counted (limits.ts): by a program's thread, and by the main thread for programs on other nodes.

import { fstatSync, ftruncateSync } from 'node:fs';
import type { Limits } from './limits.ts';

/** How many of the bytes at that place there is room for, as on a disk that is almost full, and by how much the file grows by these. */
export function fitting(
  limits: Limits,
  sizeBytes: bigint,
  at: bigint,
  lengthBytes: number,
): { fits: number; grows: bigint } {
  const grows = at + BigInt(lengthBytes) - sizeBytes;
  if (grows <= 0n) return { fits: lengthBytes, grows: 0n };
  const over = grows - limits.homeRoom;
  const fits = over > 0n && over < BigInt(lengthBytes) ? lengthBytes - Number(over) : lengthBytes;
  return { fits, grows: grows - BigInt(lengthBytes - fits) };
}

/** @param limits undefined: it is not counted; @param at undefined: at its end; @throws WasiError EDQUOT */
export async function writeCounted<Bytes extends Uint8Array>(
  limits: Limits | undefined,
  host: number,
  at: bigint | undefined,
  bytes: Bytes,
  write: (bytes: Bytes) => Promise<number>,
): Promise<number> {
  if (limits === undefined || !limits.countsHome) return write(bytes);
  const { size } = fstatSync(host, { bigint: true });
  const { fits, grows } = fitting(limits, size, at ?? size, bytes.length);
  limits.grow(grows);
  try {
    return await write(bytes.subarray(0, fits) as Bytes);
  } catch (error) {
    limits.grow(-grows);
    throw error;
  }
}

/** What a file becomes longer, or shorter. @throws WasiError EDQUOT */
export function setSizeCounted(limits: Limits | undefined, host: number, sizeBytes: number): void {
  const set = () => ftruncateSync(host, sizeBytes);
  const grows = limits?.countsHome ? BigInt(sizeBytes) - fstatSync(host, { bigint: true }).size : 0n;
  if (grows > 0n) limits?.growing(grows, set);
  else {
    set();
    limits?.grow(grows);
  }
}
