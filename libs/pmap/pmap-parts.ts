// What vmspaces need of their pmap.
import type { Userfault } from '@odonata/userfault/userfault.ts';
import type { FaultThreadOrder } from './fault-thread.ts';
import type { Images } from './images.ts';
import type { MemoryFiles } from './memory-files.ts';
import type { PmapSession } from './pmap-session.ts';
import type { SharedLease } from './shared-lease.ts';

export interface PmapParts {
  readonly session: PmapSession;
  readonly userfault: Userfault;
  /** Of the dataspaces that its processes have open. */
  readonly files: MemoryFiles;
  /** Of the programs of its processes. */
  readonly images: Images;
  readonly lease: SharedLease;
  /** Threads that have the memory of a vmspace go on when that is over. */
  readonly outlived: boolean;
  order(order: FaultThreadOrder): void;
  /** A vmspace is over. */
  remove(vmspace: bigint): void;
}
