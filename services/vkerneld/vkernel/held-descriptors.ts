// Descriptors of a parent on their way to a child, in the main thread: what is the child's from now on, or is let go again.

import { PmapError } from '@odonata/pmap/pmap-interface.ts';
import { close, duplicate } from '@odonata/userfault/libc.ts';
import type { GivenDescriptor, GivenFile } from './kernel-call.ts';
import { type LentFile, type ProcessFiles, returned } from './mounts/process-files.ts';
import type { ConnectionTable } from './wasi/connection-table.ts';
import { Errno } from './wasi/errno.ts';

/** As GivenDescriptor, with what it takes of the host and of the mounts. */
export type HeldDescriptor =
  | Exclude<GivenDescriptor, { mounted: number }>
  | { readonly to: number; readonly implied?: boolean; readonly lent: LentFile; readonly file: GivenFile };

/** @throws PmapError where there is no descriptor left, or one was closed meanwhile */
export function hold(given: readonly GivenDescriptor[], files: ProcessFiles): HeldDescriptor[] {
  const held: HeldDescriptor[] = [];
  try {
    for (const each of given) held.push(holdOne(each, files));
  } catch (error) {
    letGo(held);
    if (error instanceof PmapError) throw error;
    throw new PmapError(Errno.mfile, 'no descriptor is left');
  }
  return held;
}

function holdOne(each: GivenDescriptor, files: ProcessFiles): HeldDescriptor {
  if ('host' in each) return { ...each, host: duplicate(each.host) };
  if (!('mounted' in each)) return each;
  const { to, implied = false, mounted, file } = each;
  const lent = files.lend(mounted);
  if (lent === undefined) throw new PmapError(Errno.badf, 'a file was closed meanwhile');
  return { to, implied, lent, file };
}

/** Nobody has them. */
export function letGo(held: readonly HeldDescriptor[]): void {
  for (const each of held) {
    if ('host' in each) close(each.host);
    if ('lent' in each) void returned(each.lent).catch(() => {});
  }
}

/** They are the child's, which closes them when it is over. A stream is its own that leads to the same place. */
export function handOver(
  held: readonly HeldDescriptor[],
  connections: ConnectionTable,
  files: ProcessFiles,
): GivenDescriptor[] {
  return held.flatMap((each): GivenDescriptor[] => {
    if ('host' in each) connections.keep(each.host);
    if ('lent' in each) return [{ to: each.to, mounted: files.take(each.lent), file: each.file }];
    if (!('stream' in each)) return [each];
    if (each.to <= 2) return [];
    const own = held.find((other) => 'stream' in other && other.stream === each.stream && other.to <= 2);
    return own === undefined ? [] : [{ to: each.to, stream: own.to as 0 | 1 | 2 }];
  });
}
