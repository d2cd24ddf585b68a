// What happens in the vmspaces of processes, for those who watch them: what is seen here, and what their virtual kernels tell.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { type ControlTransfers, TransferKind } from '@odonata/proto/pmap/v1/pmap';
import { EventKind } from '@odonata/proto/vmspace/v1/vmspace';
import type { MapEntry } from '../sessions/map-entry.ts';
import type { Watches } from './watches.ts';

const REASON_MAX = 1_000;

const addressIn = ({ linearOffset, firstPage }: MapEntry, page: number): bigint =>
  linearOffset === undefined ? 0n : BigInt(linearOffset + (page - firstPage) * PAGE_BYTES);

export function tellFault(watches: Watches, entry: MapEntry, page: number, write: boolean): void {
  const { vmspace, dataspace } = entry;
  const about = { address: addressIn(entry, page), pages: 1, write, name: dataspace.name };
  watches.tell(vmspace.id, { kind: EventKind.FAULT, ...about });
}

export function tellTrap(
  watches: Watches,
  entry: MapEntry,
  page: number,
  { signal, reason }: { signal: string; reason: string },
): void {
  const about = { name: signal, reason: reason.slice(0, REASON_MAX), address: addressIn(entry, page) };
  watches.tell(entry.vmspace.id, { kind: EventKind.TRAP, ...about });
}

export function tellSignal(watches: Watches, vmspace: bigint, signal: string, reason: string): void {
  watches.tell(vmspace, { kind: EventKind.SIGNAL, name: signal, reason: reason.slice(0, REASON_MAX) });
}

const KINDS: Readonly<Record<TransferKind, EventKind>> = {
  [TransferKind.UNSPECIFIED]: EventKind.UNSPECIFIED,
  [TransferKind.SYSCALL]: EventKind.SYSCALL,
  [TransferKind.SIGNAL]: EventKind.SIGNAL,
  [TransferKind.TRAP]: EventKind.TRAP,
  [TransferKind.TIMEOUT]: EventKind.TIMEOUT,
};

export function tellTransfers(watches: Watches, { vmspace, transfers, dropped }: ControlTransfers): void {
  for (const { kind, name, reason } of transfers) watches.tell(vmspace, { kind: KINDS[kind], name, reason });
  const lost = dropped < 1_000_000_000n ? Number(dropped) : 1_000_000_000;
  if (lost > 0) watches.lost(vmspace, lost);
}
