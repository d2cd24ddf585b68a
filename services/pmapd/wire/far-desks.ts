// The desks of dataspaces of other clusters, as libs/coherency/desk/far-desk.ts has each: letters go by the directory, time is here.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type DeskAskInit, fromHomeFrom, toHomeWire } from '@odonata/coherency/desk/desk-wire.ts';
import { FarDesk, type FarDeskAction } from '@odonata/coherency/desk/far-desk.ts';
import type { HolderEventInit } from '@odonata/coherency/node/lines/holder-wire.ts';
import type { RelayEvent } from '@odonata/coherency/node/relay/relay-messages.ts';
import type { DeskAnswer, DeskLetter } from '@odonata/proto/coherency/v1/coherency';
import type { FarDeskSnapshot, FarDeskSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';

type Answer = DeskAnswer['answer'];
type Machine = FarDesk<DeskAskInit, Answer>;
type Action = FarDeskAction<DeskAskInit, Answer>;

interface Desk {
  readonly dataspace: bigint;
  readonly number: number;
  readonly machine: Machine;
  /** Processes that asked for something. */
  readonly owners: Set<bigint>;
  timer: NodeJS.Timeout | undefined;
}

export interface FarDesksOptions {
  readonly shards: number;
  /** True of a dataspace of another cluster. */
  readonly isBorrowed: (dataspace: bigint) => boolean;
  /** To whoever leads the locks of a dataspace. */
  readonly send: (dataspace: bigint, event: HolderEventInit) => void;
  readonly relay: (event: RelayEvent) => void;
  /** Nobody may use a dataspace for a moment: who held locks of it ends meanwhile. */
  readonly suspend: (dataspace: bigint, until: () => void) => void;
}

/** Sessions that one desk may begin before the next millisecond of another start. */
const SESSIONS_A_MS = 1_024n;

export class FarDesks {
  private readonly o: FarDesksOptions;
  private readonly byDataspace = new Map<bigint, Desk>();
  private readonly byNumber = new Map<number, Desk>();
  private last: number;
  private isFrozen = false;

  constructor(options: FarDesksOptions) {
    this.o = options;
    this.last = options.shards;
  }

  /** As the relay knows it; undefined: the dataspace is of this cluster. */
  numberOf(dataspace: bigint): number | undefined {
    const known = this.byDataspace.get(dataspace);
    if (known !== undefined || !this.o.isBorrowed(dataspace)) return known?.number;
    return this.add(dataspace, new FarDesk(BigInt(Date.now()) * SESSIONS_A_MS), []).number;
  }

  /** Whether what is held there is held; undefined: the dataspace is of this cluster. */
  usable(dataspace: bigint, nowMs: number): boolean | undefined {
    return this.byDataspace.get(dataspace)?.machine.isHeld(nowMs);
  }

  /** The dataspace of another cluster that a number is the desk of. */
  dataspaceOf(number: number): bigint | undefined {
    return this.byNumber.get(number)?.dataspace;
  }

  /** @returns false: it is for a shard */
  say(number: number, event: HolderEventInit): boolean {
    if (number < this.o.shards) return false;
    const desk = this.byNumber.get(number);
    const ask = desk === undefined ? undefined : askOf(event);
    if (desk === undefined || ask === undefined) return true;
    if (ask.value !== undefined && 'owner' in ask.value) desk.owners.add(ask.value.owner ?? 0n);
    this.carryOut(desk, desk.machine.ask([ask], monotonicMs()));
    return true;
  }

  /** A process ended. */
  ownerGone(owner: bigint): void {
    for (const desk of this.byDataspace.values())
      if (desk.owners.delete(owner))
        this.carryOut(desk, desk.machine.ask([{ case: 'ownerGone', value: { owner } }], monotonicMs()));
  }

  heard({ dataspace, words }: DeskLetter): void {
    const desk = this.byDataspace.get(dataspace);
    if (desk !== undefined && words !== undefined)
      this.carryOut(desk, desk.machine.heard(fromHomeFrom(words), monotonicMs()));
  }

  /** A dataspace is gone. */
  removed(dataspace: bigint): void {
    const desk = this.byDataspace.get(dataspace);
    if (desk === undefined) return;
    clearTimeout(desk.timer);
    this.o.relay({ type: 'removed', dataspace });
    this.byDataspace.delete(dataspace);
    this.byNumber.delete(desk.number);
  }

  /** Nothing changes from now on: another pmap manager goes on with `snapshot`, or this one when it thaws. */
  freeze(): void {
    this.isFrozen = true;
    for (const { timer } of this.byDataspace.values()) clearTimeout(timer);
  }

  thaw(): void {
    this.isFrozen = false;
    for (const desk of this.byDataspace.values()) this.carryOut(desk, desk.machine.tick(monotonicMs()));
  }

  snapshot(): MessageInitShape<typeof FarDeskSnapshotSchema>[] {
    return [...this.byDataspace.values()].flatMap(({ dataspace, owners, machine: { state } }) => {
      if (state === undefined) return [];
      const { session, home, first, items, taken, untilMs } = state;
      return [
        {
          ...{ dataspace, session, home, first: BigInt(first), taken: BigInt(taken), owners: [...owners] },
          asks: items.map((ask) => ({ ask })),
          untilMs: Number.isFinite(untilMs) ? BigInt(Math.floor(untilMs)) : 0n,
        },
      ];
    });
  }

  /** Goes on where another pmap manager was; what it asked for is not answered before this turn ends. */
  resume(snapshots: readonly FarDeskSnapshot[]): void {
    for (const { dataspace, session, home, first, asks, taken, untilMs, owners } of snapshots) {
      const state = {
        ...{ session, home, first: Number(first), taken: Number(taken) },
        items: asks.flatMap(({ ask }) => (ask.case === undefined ? [] : [ask])),
        untilMs: untilMs === 0n ? Number.POSITIVE_INFINITY : Number(untilMs),
      };
      this.add(dataspace, FarDesk.resume(state, monotonicMs()), owners);
    }
    setImmediate(ownTurn({ resumed: 'desks of other clusters' }, () => this.thaw()));
  }

  close(): void {
    this.freeze();
  }

  private add(dataspace: bigint, machine: Machine, owners: readonly bigint[]): Desk {
    const number = ++this.last;
    const desk: Desk = { dataspace, number, owners: new Set(owners), timer: undefined, machine };
    this.byDataspace.set(dataspace, desk);
    this.byNumber.set(number, desk);
    return desk;
  }

  private carryOut(desk: Desk, actions: readonly Action[]): void {
    for (const action of actions) this.perform(desk, action);
    clearTimeout(desk.timer);
    if (this.isFrozen) return;
    const { nextMs } = desk.machine;
    if (!Number.isFinite(nextMs)) return;
    desk.timer = setTimeout(
      ownTurn({ timer: 'desk of another cluster' }, () =>
        this.carryOut(desk, desk.machine.tick(monotonicMs())),
      ),
      Math.max(1, nextMs - monotonicMs() + 1),
    );
  }

  private perform(desk: Desk, action: Action): void {
    const { dataspace, number } = desk;
    switch (action.type) {
      case 'send':
        this.o.send(dataspace, { case: 'desk', value: { dataspace, words: toHomeWire(action.message) } });
        return;
      case 'answered': {
        const event = { ...action.answer } as Extract<RelayEvent, { type: 'answered' }>['event'];
        this.o.relay({ type: 'answered', event, shards: [number] });
        return;
      }
      case 'over':
        this.beginAnew(desk);
    }
  }

  private beginAnew({ dataspace, number, owners }: Desk): void {
    owners.clear();
    this.o.suspend(dataspace, () => {
      this.o.relay({ type: 'voided', shard: number });
      this.o.relay({ type: 'rejoined', shard: number, newLeader: true });
    });
  }
}

/** What a relay says to a desk; what is for a new leader alone it need not hear. */
function askOf(event: HolderEventInit): DeskAskInit | undefined {
  switch (event?.case) {
    case 'lock':
    case 'unlock':
    case 'wait':
    case 'cancelWait':
    case 'wake':
    case 'barrier':
    case 'ownerGone':
      return event;
    default:
      return undefined;
  }
}
