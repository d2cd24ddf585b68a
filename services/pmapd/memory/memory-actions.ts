// Carries out what the memory of the node decides and cannot do alone: words to the directory, pages to other nodes, errors
// of processes, frames that somebody must give, lost pages that the backing store may have.

import type { Directories } from '@odonata/pmap/wire/directories.ts';
import type { Transfers } from '@odonata/pmap/wire/transfer.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { EventLog } from '@odonata/rpc/events.ts';
import type { Limits } from '@odonata/rpc/limits.ts';
import type { Backing } from '../backing.ts';
import type { HotPages } from '../contention/hot-pages.ts';
import type { Short } from '../frames/shortage.ts';
import type { DataspacePageout } from '../pageout/dataspace-pageout.ts';
import type { Statistics } from '../statistics.ts';
import type { PageTraces } from '../traces/page-traces.ts';
import { tellTrap } from '../vmspaces/process-events.ts';
import type { Watches } from '../vmspaces/watches.ts';
import type { CoherentMemory, NodeEvent, OutsideAction } from './coherent-memory.ts';

type Of<T extends OutsideAction['type']> = Extract<OutsideAction, { type: T }>;

/** The node around its memory. */
export interface AroundMemory {
  readonly memory: CoherentMemory;
  readonly backing: Backing;
  readonly events: EventLog;
  readonly limits: Limits;
  readonly hotPages: HotPages;
  readonly traces: PageTraces | undefined;
  readonly watches: Watches;
  readonly statistics: Statistics;
  readonly transfers: Transfers;
  readonly dataspacePageout: DataspacePageout;
  readonly line: { readonly directories: Directories | undefined };
  short(short: Short, sharedOnly: boolean): void;
}

/** Carries one action out. */
export function performMemory(node: AroundMemory, action: OutsideAction): void {
  switch (action.type) {
    case 'acquire':
    case 'ack':
      node.line.directories?.say(action);
      return;
    case 'report':
      node.line.directories?.say(action, action.shard);
      return;
    case 'deliver':
      deliver(node, action);
      return;
    case 'resolved': {
      const { fault, place } = action;
      const waitedNs = Number(process.hrtime.bigint() - fault.atNs);
      node.statistics.fault(place, waitedNs);
      node.dataspacePageout.used(fault.entry.dataspace.id, fault.page);
      if (place !== 'node') contended(node, fault, waitedNs);
      node.traces?.ended(fault, place);
      if (action.neighbours) later(node, { type: 'neighbours', fault });
      return;
    }
    case 'ahead':
      later(node, action);
      return;
    case 'short':
      short(node, action);
      return;
    case 'fault-error': {
      const { signal, reason, limit } = action;
      const { entry, page } = action.fault;
      const { vmspace } = entry;
      const value = { vmspace: vmspace.id, address: entry.addressOf(page), signal, reason };
      tellTrap(node.watches, entry, page, { signal, reason });
      node.traces?.ended(action.fault, 'none', reason);
      if (limit !== undefined)
        node.limits.count(limit, `vkernel:${vmspace.session.name}`, `process ${vmspace.pid}: ${reason}`);
      vmspace.session.send({ event: { case: 'faultError', value } });
      return;
    }
    case 'fetch': {
      const dataspace = node.memory.get(action.run.dataspace);
      if (dataspace !== undefined) node.backing.fetch(dataspace, action.run, action.lostVersion);
      return;
    }
    case 'page-lost': {
      const { dataspace, page, reason } = action;
      node.events.add('page-lost', reason, { dataspace, page });
      node.statistics.lostAccesses += action.accesses;
      return;
    }
    case 'page-withdrawn': {
      const { dataspace, page, reason } = action;
      node.events.add('page-withdrawn', reason, { dataspace, page });
    }
  }
}

function contended(
  { hotPages }: AroundMemory,
  { entry, page, write, offset }: Of<'resolved'>['fault'],
  waitedNs: number,
): void {
  const { dataspace, vmspace } = entry;
  const { name, requester } = vmspace.session;
  const about = { pid: vmspace.pid, owner: requester.user, vkernel: name };
  hotPages.record(dataspace.id, page, { ...about, write, offset, waitedNs });
}

// When what this turn has for others is on its way.
function later({ memory }: AroundMemory, event: NodeEvent): void {
  // Speculative: nobody waits for it.
  setImmediate(ownTurn({ later: event.type }, () => memory.step(event)));
}

function deliver({ line, transfers, traces }: AroundMemory, action: Of<'deliver'>): void {
  const { run, receiver, version, state, bytes, keep } = action;
  const way = line.directories?.lines.wayTo(run.dataspace, run.firstPage, receiver);
  // Who is not known any more asks anew.
  if (way === undefined) return;
  const { address, epoch, sender } = way;
  const trace = traces?.delivers(run);
  const about = { version, state, epoch, receiver, sender, trace };
  transfers.send(address, run, about, bytes, keep);
}

function short(node: AroundMemory, { fault, place, sharedOnly }: Of<'short'>): void {
  const { entry, page } = fault;
  const { vmspace, address, dataspace } = entry;
  node.short(
    {
      key: `${vmspace.id} ${address} ${page}`,
      charge: vmspace.charge,
      what: `page ${page} of dataspace ${dataspace.name}`,
      fault,
      retry: () => node.memory.step({ type: 'again', fault, place }),
      refuse: (reason) => node.memory.step({ type: 'denied', fault, reason }),
    },
    sharedOnly,
  );
}
