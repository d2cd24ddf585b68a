// Faults that wait for longer than they should, and why: each becomes an event, `vkctl ps` shows them, and a gauge counts
// them. Whatever a fault waits for, it is in one of two lists: those that wait for a page, and those that wait for a frame.

import type { Fault } from '@odonata/coherency/node/memory/waiting.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { EventLog } from '@odonata/rpc/events.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { Shortage } from '../frames/shortage.ts';
import type { MapEntry } from '../sessions/map-entry.ts';
import type { CoherentMemory } from './coherent-memory.ts';

/** From then on a fault is overdue. */
export const OVERDUE_MS = 5_000;
const CHECK_MS = 1_000;
/** As many are told of at once; a directory that is away makes every process wait. */
const TOLD_MAX = 20;

export interface OverdueFault {
  readonly pid: bigint;
  /** As in "page 7 of dataspace x". */
  readonly what: string;
  readonly reason: string;
  readonly waitedMs: number;
}

export interface OverdueOptions {
  memory: CoherentMemory;
  shortage: Shortage;
  events: EventLog;
  /** Why a fault waits for its page. */
  why(fault: Fault<MapEntry>): string;
}

export class OverdueFaults {
  private readonly o: OverdueOptions;
  /** Those that were overdue at the last look. */
  private told = new Set<string>();
  private readonly timer: NodeJS.Timeout;

  constructor(options: OverdueOptions) {
    this.o = options;
    this.timer = setInterval(
      ownTurn({ timer: 'overdue faults' }, () => this.look()),
      CHECK_MS,
    ).unref();
  }

  all(): OverdueFault[] {
    return [...this.found().values()];
  }

  private found(): Map<string, OverdueFault> {
    const { memory, shortage, why } = this.o;
    const found = new Map<string, OverdueFault>();
    const nowNs = process.hrtime.bigint();
    for (const { name, waiting } of memory.all())
      for (const { fault } of waiting.all()) {
        if (fault === undefined) continue;
        const waitedMs = Number(nowNs - fault.atNs) / 1e6;
        if (waitedMs < OVERDUE_MS) continue;
        const { vmspace, address } = fault.entry;
        const { pid } = vmspace;
        const what = `page ${fault.page} of dataspace ${name}`;
        const key = `${vmspace.id} ${address} ${fault.page} ${fault.atNs}`;
        found.set(key, { pid, what, waitedMs, reason: why(fault) });
      }
    const nowMs = monotonicMs();
    for (const { key, charge, what, sinceMs, fault } of shortage.all()) {
      const waitedMs = fault === undefined ? nowMs - sinceMs : Number(nowNs - fault.atNs) / 1e6;
      if (waitedMs < OVERDUE_MS) continue;
      const reason = 'no frame has come back yet: a process that has too many is ending';
      found.set(key, { pid: charge.process.pid, what, waitedMs, reason });
    }
    return found;
  }

  private look(): void {
    const found = this.found();
    const fresh = [...found].filter(([key]) => !this.told.has(key));
    for (const [, { pid, what, reason, waitedMs }] of fresh.slice(0, TOLD_MAX)) {
      const waited = `${Math.round(waitedMs / 1000)} s`;
      this.o.events.add('fault-waits', `process ${pid} has waited ${waited} for ${what}: ${reason}`, { pid });
    }
    if (fresh.length > TOLD_MAX) {
      const [, { reason }] = fresh[TOLD_MAX]!;
      this.o.events.add('fault-waits', `${fresh.length - TOLD_MAX} more faults wait: ${reason}`);
    }
    this.told = new Set(found.keys());
  }

  close(): void {
    clearInterval(this.timer);
  }
}
