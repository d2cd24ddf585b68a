// The disk under a NATS server's store, where that server is on this machine: who can look at it says "full", and does not
// have to guess from a server that answers no more.
import { statfsSync } from 'node:fs';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';

/** Left to the small records of the cluster (elections, names, burials): what is large is refused before the disk is full. */
export const DISK_RESERVE_BYTES = 32 << 20;
/** With less than this a server may have met the end of its disk. */
const FULL_BYTES = 4 << 20;

export class StoreDisk {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Undefined where it cannot be seen. */
  get freeBytes(): number | undefined {
    try {
      const { bavail, bsize } = statfsSync(this.folder);
      return bavail * bsize;
    } catch {
      return undefined;
    }
  }

  get isFull(): boolean {
    const free = this.freeBytes;
    return free !== undefined && free < FULL_BYTES;
  }

  /** @throws RpcError RESOURCE_EXHAUSTED unless so much may be stored and the reserve is left */
  expectRoom(bytes: number, what: string): void {
    const free = this.freeBytes;
    if (free !== undefined && free < DISK_RESERVE_BYTES + bytes) throw this.fullError(what);
  }

  fullError(what: string, cause?: unknown): RpcError {
    const free = `${this.folder} has ${mebibytes(this.freeBytes ?? 0)} free of the ${mebibytes(DISK_RESERVE_BYTES)} that must stay`;
    return tryAgain(
      Code.ResourceExhausted,
      `${what} cannot store: the disk is full (${free}); free some, and try again`,
      { cause },
    );
  }
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
