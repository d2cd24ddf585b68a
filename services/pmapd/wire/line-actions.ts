// Carries out what the lines to the directory and the relay of locks and waits decide: each thing is for one part of the node.
import type { NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import type { NodeRoutes, RoutedEvent } from '@odonata/coherency/node/lines/routes.ts';
import type { LockedRange, RelayAction } from '@odonata/coherency/node/relay/relay-messages.ts';
import { unreachable } from '@odonata/coherency/page.ts';
import type { Directories } from '@odonata/pmap/wire/directories.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { RangeNames } from '../contention/range-names.ts';
import type { Drain } from '../drain.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import { pagesUnder } from '../memory/lock-pages.ts';
import type { Openings } from '../openings.ts';
import type { SessionTable } from '../sessions/session-table.ts';
import type { FarDesks } from './far-desks.ts';
import type { SyncRelay } from './sync-relay.ts';

/** The node around its lines. */
export interface AroundLine {
  readonly memory: CoherentMemory;
  readonly sync: SyncRelay;
  readonly farDesks: FarDesks;
  readonly sessions: SessionTable;
  readonly openings: Openings;
  readonly rangeNames: RangeNames;
  readonly routes: NodeRoutes;
  /** Where it leaves. */
  readonly leaving: Drain | undefined;
  readonly line: { readonly directories: Directories | undefined };
  /** Until when shared memory that is mapped may be used, in monotonic nanoseconds; 0: nothing may. */
  deadlineNs: bigint;
}

export function performLine(node: AroundLine, action: NodeAction): void {
  switch (action.type) {
    case 'page':
      node.openings.receive(action.event);
      return;
    case 'desk':
      node.farDesks.heard(action.letter);
      return;
    case 'removed':
      node.memory.remove(action.dataspace);
      node.farDesks.removed(action.dataspace);
      node.rangeNames.forget(action.dataspace);
      return;
    case 'deadline':
      node.deadlineNs = action.deadlineMs === undefined ? 0n : BigInt(action.deadlineMs) * 1_000_000n;
      for (const session of node.sessions) session.tellDeadline();
      return;
    default:
      if (action.type === 'led' && action.voided) node.openings.voided();
      for (const routed of node.routes.of(action)) give(node, routed);
      if (action.type === 'suspend' && monotonicMs() > action.lastEndMs) node.sessions.endSharers();
  }
}

function give(node: AroundLine, routed: RoutedEvent): void {
  switch (routed.part) {
    case 'memory':
      node.memory.step(routed.event);
      return;
    case 'relay':
      node.sync.step(routed.event);
      return;
    case 'drain':
      node.leaving?.step(routed.event);
      return;
    default:
      unreachable(routed);
  }
}

export function performSync(node: AroundLine, action: Exclude<RelayAction, { type: 'answer' }>): void {
  switch (action.type) {
    case 'say':
      if (!node.farDesks.say(action.shard, action.event))
        node.line.directories?.sendTo(action.shard, action.event);
      return;
    case 'say-all':
      if (action.event?.case === 'ownerGone') node.farDesks.ownerGone(action.event.value.owner ?? 0n);
      node.line.directories?.sendAll(action.event);
      return;
    case 'bring':
      bring(node, action.locked);
      return;
    default: {
      const far = action.desk === undefined ? undefined : node.farDesks.dataspaceOf(action.desk);
      const name = far === undefined ? undefined : node.memory.get(far)?.name;
      const why =
        name && `the cluster that lends dataspace ${name} took it back, or could not be asked in time,`;
      node.sessions.endOwners(action.owners, why);
    }
  }
}

function bring({ sessions, memory }: AroundLine, locked: LockedRange): void {
  for (const session of sessions) {
    const vmspace = session.byPid.get(locked.owner);
    if (vmspace !== undefined) for (const advice of pagesUnder(locked, vmspace.entries)) memory.step(advice);
  }
}
