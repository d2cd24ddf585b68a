// What a virtual kernel may ask about range locks, waits, wakes and barriers: for its own processes, where these have opened the
// dataspace. What a process holds only it gives back; who waits is woken by whoever may write there.
import type { SyncEvent } from '@odonata/coherency/node/relay/relay-messages.ts';
import { unreachable } from '@odonata/coherency/page.ts';
import { LockMode } from '@odonata/proto/coherency/v1/coherency';
import { Foreign, Lie } from './hearsay.ts';
import type { OpenDataspaces, OpeningProcess } from './open-dataspaces.ts';

/**
 * @param isForeign of a dataspace of another cluster: who may only read it keeps nobody there waiting
 * @throws RpcError PERMISSION_DENIED; Lie
 */
export function expectTheirs(
  event: SyncEvent,
  processes: ReadonlyMap<bigint, OpeningProcess>,
  open: OpenDataspaces,
  isForeign: (dataspace: bigint) => boolean,
): void {
  switch (event.case) {
    case 'lock': {
      const { owner, dataspace, mode, reclaim } = event.value;
      if (reclaim) throw new Lie('reclaim is for pmap managers');
      // Who may only read keeps nobody from reading.
      const reads = mode === LockMode.SHARED && !isForeign(dataspace);
      open.expect(processOf(owner, processes), dataspace, reads ? 'read' : 'write');
      return;
    }
    case 'unlock':
      processOf(event.value.owner, processes);
      return;
    case 'wait':
      open.expect(processOf(event.value.owner, processes), event.value.dataspace, 'read');
      return;
    case 'barrier': {
      // Who may only read keeps nobody waiting.
      const { owner, dataspace, again } = event.value;
      if (again) throw new Lie('again is for pmap managers');
      open.expect(processOf(owner, processes), dataspace, 'write');
      return;
    }
    case 'wake':
      open.expectWriter(event.value.dataspace);
      return;
    case 'cancelWait':
      return; // Of this session's own requests: they have numbers of their own.
    default:
      unreachable(event);
  }
}

function processOf(pid: bigint, processes: ReadonlyMap<bigint, OpeningProcess>): OpeningProcess {
  const process = processes.get(pid);
  if (process === undefined) throw new Foreign(`process ${pid} is not of this virtual kernel`);
  return process;
}
