// Range locks, waits and wakes of the processes of a node: what pmapd runs (libs/coherency/node/relay/relay.ts), asked by simulated
// processes.
import { create } from '@bufbuild/protobuf';
import type { LockMode } from '@odonata/coherency/locks/range-lock.ts';
import type { Relay } from '@odonata/coherency/node/relay/relay.ts';
import type { RelayAction, RelayEvent, SyncEvent } from '@odonata/coherency/node/relay/relay-messages.ts';
import { unreachable } from '@odonata/coherency/page.ts';
import { lockWire } from '@odonata/coherency/wire.ts';
import {
  type BarrierArrival,
  CancelWaitSchema,
  LockRequestSchema,
  SyncStatus,
  UnlockRequestSchema,
  WaitRequestSchema,
  WakeRequestSchema,
} from '@odonata/proto/coherency/v1/coherency';

export interface Range {
  dataspace: bigint;
  owner: bigint;
  begin: bigint;
  end: bigint;
}

/** What a process hears. */
export type Answer = keyof typeof SyncStatus | 'DONE' | 'FAILED';

/** A session of a virtual kernel. */
export interface AskingVkernel {
  readonly session: number;
  readonly alive: boolean;
  /** What it asked, by its own numbers. */
  readonly asked: Map<bigint, (answer: Answer) => void>;
  /** Whoever waits at a barrier, as its node knows: also when the virtual kernel has ended, until that is seen. */
  atBarrier: bigint | undefined;
  nextRequest(): bigint;
  locksLost(owners: ReadonlySet<bigint>): void;
}

interface Outside {
  readonly clockMs: number;
  readonly vkernels: readonly AskingVkernel[];
  performRelay(action: Extract<RelayAction, { type: 'say' | 'say-all' }>): void;
}

export class SyncPart {
  readonly core: Relay;
  private readonly node: Outside;

  constructor(node: Outside, core: Relay) {
    this.node = node;
    this.core = core;
  }

  step(event: RelayEvent): void {
    for (const action of this.core.step(event, this.node.clockMs)) this.perform(action);
  }

  private perform(action: RelayAction): void {
    switch (action.type) {
      case 'say':
      case 'say-all':
        this.node.performRelay(action);
        return;
      case 'answer':
        this.answer(action);
        return;
      case 'bring':
        // What locks are of is no address here; and that pages are asked for ahead is nothing new.
        return;
      case 'lost':
        for (const vkernel of this.node.vkernels) vkernel.locksLost(action.owners);
        return;
      default:
        unreachable(action);
    }
  }

  private answer({ session, event }: Extract<RelayAction, { type: 'answer' }>): void {
    const vkernel = this.node.vkernels.find((each) => each.session === session);
    const { request = 0n, event: said } = event;
    if (vkernel !== undefined && said?.case === 'barrier') vkernel.atBarrier = undefined;
    const hear = vkernel?.asked.get(request);
    if (!vkernel?.alive || hear === undefined) return;
    const answer = answerOf(said);
    // A wait that sleeps is answered once more.
    if (answer !== 'REGISTERED') vkernel.asked.delete(request);
    hear(answer);
  }

  private ask(vkernel: AskingVkernel, event: SyncEvent, hear: (answer: Answer) => void): bigint {
    const request = vkernel.nextRequest();
    vkernel.asked.set(request, hear);
    this.step({ type: 'asked', session: vkernel.session, request, event });
    return request;
  }

  lock(
    vkernel: AskingVkernel,
    { mode, timeoutMs, ...range }: Range & { mode: LockMode; timeoutMs: number },
    hear: (answer: Answer) => void,
  ): void {
    const about = { ...range, mode: lockWire.to(mode), timeoutMs: BigInt(timeoutMs) };
    this.ask(vkernel, { case: 'lock', value: create(LockRequestSchema, about) }, hear);
  }

  unlock(vkernel: AskingVkernel, { dataspace, owner, begin, end }: Range, hear: () => void): void {
    const value = create(UnlockRequestSchema, { dataspace, owner, begin, end });
    this.ask(vkernel, { case: 'unlock', value }, hear);
  }

  /** @returns withdraws it */
  wait(
    vkernel: AskingVkernel,
    about: { dataspace: bigint; offset: bigint; owner: bigint },
    hear: (answer: Answer) => void,
  ): () => void {
    const value = create(WaitRequestSchema, { ...about, timeoutMs: -1n });
    const request = this.ask(vkernel, { case: 'wait', value }, hear);
    return () => {
      if (!vkernel.asked.delete(request)) return;
      const withdrawn = { case: 'cancelWait', value: create(CancelWaitSchema, { request }) } as const;
      this.step({
        type: 'asked',
        session: vkernel.session,
        request: vkernel.nextRequest(),
        event: withdrawn,
      });
    };
  }

  barrier(vkernel: AskingVkernel, value: BarrierArrival, hear: (answer: Answer) => void): void {
    vkernel.atBarrier = value.owner;
    this.ask(vkernel, { case: 'barrier', value }, hear);
  }

  wake(
    vkernel: AskingVkernel,
    about: { dataspace: bigint; offset: bigint; count: number },
    hear: () => void,
  ): void {
    this.ask(vkernel, { case: 'wake', value: create(WakeRequestSchema, about) }, hear);
  }
}

function answerOf(event: Extract<RelayAction, { type: 'answer' }>['event']['event']): Answer {
  switch (event?.case) {
    case 'lock':
    case 'wait':
    case 'barrier':
      return SyncStatus[event.value.status ?? SyncStatus.UNSPECIFIED] as Answer;
    case 'wake':
    case 'done':
      return 'DONE';
    default:
      return 'FAILED';
  }
}
