// What path_open asks for.

import { Fdflags, Oflags, Rights, readingRights, writesAsked } from './abi.ts';
import { Errno, WasiError } from './errno.ts';

export interface OpenRequest {
  readonly follow: boolean;
  readonly oflags: number;
  readonly rights: bigint;
  readonly inheriting: bigint;
  readonly fdflags: number;
}

/** How it is to be opened. @throws WasiError EINVAL for what contradicts itself */
export function accessAsked({ oflags, rights, fdflags }: OpenRequest): { reads: boolean; writes: boolean } {
  if (oflags & ~Oflags.all || fdflags & ~Fdflags.all) throw new WasiError(Errno.inval);
  const wantsDirectory = (oflags & Oflags.directory) !== 0;
  if (wantsDirectory && oflags & (Oflags.creat | Oflags.excl | Oflags.trunc)) {
    throw new WasiError(Errno.inval);
  }
  // The other rights to write are what its files inherit.
  const writes = (rights & (wantsDirectory ? Rights.fdWrite : writesAsked)) !== 0n;
  const reads = wantsDirectory || !writes || (rights & readingRights) !== 0n;
  return { reads, writes };
}
