// Groups that become orphans while a member is stopped: nobody would ever let them go on. As POSIX has it they hear so, wherever they are.
import { INIT } from '@odonata/processes/home.ts';
import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import type { Process, ProcessTable } from '../process-table.ts';
import { nameOfKey } from '../vkernel-child.ts';
import type { Asking } from './asking.ts';
import type { Relatives } from './relatives.ts';

interface Place {
  readonly table: ProcessTable;
  readonly relatives: Relatives;
  /** On all nodes. */
  readonly signalGroup: (asking: Asking, group: bigint, signal: string) => void;
}

export class OrphanedGroups {
  readonly #place: Place;
  #withParent = new Set<bigint>();

  constructor(place: Place) {
    this.#place = place;
    this.look();
  }

  /** After each change of who is whose parent. */
  look(): void {
    const { table, relatives, signalGroup } = this.#place;
    const withParent = new Set<bigint>();
    const left = new Map<bigint, Process>();
    for (const process of table.running()) {
      const own = relatives.home.find(process.pid);
      if (own === undefined) continue;
      if (own.parent > INIT) withParent.add(process.pid);
      else if (this.#withParent.has(process.pid)) left.set(own.group, process);
    }
    this.#withParent = withParent;
    for (const [group, { user, vkernel }] of left) {
      if (!relatives.home.isOrphaned(group) || !this.#isStopped(group)) continue;
      for (const signal of ['SIGHUP', 'SIGCONT'])
        signalGroup({ user, vkernel: nameOfKey(vkernel) }, group, signal);
    }
  }

  /** One of it, as far as it is here. */
  #isStopped(group: bigint): boolean {
    const { table, relatives } = this.#place;
    return relatives.home.members(group).some(({ pid }) => table.find(pid)?.state === ProcessState.STOPPED);
  }
}
