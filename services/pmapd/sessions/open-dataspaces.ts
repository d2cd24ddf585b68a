// The dataspaces that the processes of a virtual kernel have open, and whether each may write there: the directory said so
// when it was opened. What a process has not opened it neither maps, nor locks, nor waits or wakes there.

import { Code, RpcError } from '@odonata/rpc/error.ts';
import { overQuota } from '@odonata/rpc/refusal.ts';
import { setHint } from '@odonata/rpc/set-hint.ts';
import { TooManyOpen } from '../frames/exhausted.ts';
import { ofLimit } from '../limit-of.ts';

/** Of one process. */
export const OPEN_MAX = 4_096;

/** A process, as far as it opens dataspaces. */
export interface OpeningProcess {
  readonly pid: bigint;
  /** By dataspace: true where it may only be read. */
  readonly open: Map<bigint, boolean>;
  /** Opens that are under way. */
  opening: number;
}

export class OpenDataspaces {
  /** By dataspace, how many processes may write there. */
  private readonly writers = new Map<bigint, number>();
  /** Those of each process, and those that are on their way. */
  count = 0;

  /** @throws RpcError RESOURCE_EXHAUSTED where a process may open no more */
  expectRoom({ pid, open, opening }: OpeningProcess, vkernel: string, most: number): void {
    if (open.size + opening >= OPEN_MAX) throw new TooManyOpen(pid, OPEN_MAX);
    if (this.count < most) return;
    throw ofLimit(
      'vkernel-dataspaces',
      overQuota(
        `vkernel:${vkernel}`,
        `virtual kernel ${vkernel} has ${most} ${most === 1 ? 'dataspace' : 'dataspaces'} open, which is all that it may (${setHint(vkernel, '--dataspaces')} gives it more)`,
      ),
    );
  }

  /** An open is on its way. @returns to be called when it is no more, before `add` */
  begin(process: OpeningProcess): () => void {
    process.opening++;
    this.count++;
    return () => {
      process.opening--;
      this.count--;
    };
  }

  /** What a process may do already it may still, as with two descriptors of a file. @returns true: it may only read it */
  add({ open }: OpeningProcess, dataspace: bigint, readOnly: boolean): boolean {
    if (open.get(dataspace) === false) return false;
    if (!open.has(dataspace)) this.count++;
    open.set(dataspace, readOnly);
    if (!readOnly) this.countWriter(dataspace, 1);
    return readOnly;
  }

  /** The process is gone. */
  forget({ open }: OpeningProcess): void {
    this.count -= open.size;
    for (const [dataspace, readOnly] of open) if (!readOnly) this.countWriter(dataspace, -1);
    open.clear();
  }

  private countWriter(dataspace: bigint, more: number): void {
    const count = (this.writers.get(dataspace) ?? 0) + more;
    if (count > 0) this.writers.set(dataspace, count);
    else this.writers.delete(dataspace);
  }

  /** @throws RpcError PERMISSION_DENIED */
  expect({ pid, open }: OpeningProcess, dataspace: bigint, what: 'read' | 'write'): void {
    const readOnly = open.get(dataspace);
    if (readOnly === undefined)
      throw new RpcError(Code.PermissionDenied, `process ${pid} has not opened dataspace ${dataspace}`);
    if (readOnly && what === 'write')
      throw new RpcError(Code.PermissionDenied, `process ${pid} may only read dataspace ${dataspace}`);
  }

  /** True where a process of the virtual kernel may write there. */
  mayWrite(dataspace: bigint): boolean {
    return this.writers.has(dataspace);
  }

  /** Of any process of the virtual kernel. @throws RpcError PERMISSION_DENIED */
  expectWriter(dataspace: bigint): void {
    if (this.writers.has(dataspace)) return;
    throw new RpcError(
      Code.PermissionDenied,
      `no process of this virtual kernel has opened dataspace ${dataspace} for writing`,
    );
  }
}
