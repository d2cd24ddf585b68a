// Carries out what the relay of range locks, waits and wakes decides: it answers virtual kernels; what is for the directory,
// and who lost locks, is the node's.
import { BARRIERS_OF_PROCESS_MAX } from '@odonata/coherency/node/relay/passed-barriers.ts';
import { Relay } from '@odonata/coherency/node/relay/relay.ts';
import type { RelayAction, RelayEvent, SyncEvent } from '@odonata/coherency/node/relay/relay-messages.ts';
import type { SyncSnapshotInit } from '@odonata/coherency/node/relay/relay-snapshot.ts';
import type { SyncSnapshot } from '@odonata/proto/pmap/v1/handover';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';

type SessionEvent = Extract<RelayAction, { type: 'answer' }>['event'];

/** A session of a virtual kernel. */
interface AskingSession {
  /** No other one of the node gets it. */
  readonly holder: number;
  send(event: SessionEvent): void;
  /** It was refused for a limit. */
  limited(limit: string, reason: string): void;
}

const reasonOf = ({ event }: SessionEvent): string =>
  event?.case === 'failed'
    ? (event.value.reason ?? '')
    : `a process comes to more than ${BARRIERS_OF_PROCESS_MAX} barriers; let it come to fewer, or use some again`;

export class SyncRelay {
  readonly core: Relay;
  private readonly perform: (action: Exclude<RelayAction, { type: 'answer' }>) => void;
  private readonly sessions = new Map<number, AskingSession>();

  /** @param farDesk as of `Relay` */
  constructor(
    shards: number,
    perform: (action: Exclude<RelayAction, { type: 'answer' }>) => void,
    farDesk?: (dataspace: bigint) => number | undefined,
  ) {
    this.core = new Relay(shards, farDesk);
    this.perform = perform;
  }

  step(event: RelayEvent): void {
    for (const action of this.core.step(event, monotonicMs())) {
      if (action.type !== 'answer') {
        this.perform(action);
        continue;
      }
      const session = this.sessions.get(action.session);
      if (action.limit !== undefined) session?.limited(action.limit, reasonOf(action.event));
      session?.send(action.event);
    }
  }

  relay(session: AskingSession, request: bigint, event: SyncEvent): void {
    this.sessions.set(session.holder, session);
    this.step({ type: 'asked', session: session.holder, request, event });
  }

  ownerGone(owner: bigint): void {
    this.step({ type: 'owner-gone', owner });
  }

  sessionGone({ holder: session }: AskingSession): void {
    this.step({ type: 'session-gone', session });
    this.sessions.delete(session);
  }

  /** @param sessions by their place in the snapshot */
  snapshot(sessions: readonly AskingSession[]): SyncSnapshotInit {
    return this.core.snapshot(sessions.map(({ holder }) => holder));
  }

  /** Goes on where another pmap manager's relay was. */
  resume(snapshot: SyncSnapshot, sessions: readonly AskingSession[]): void {
    for (const session of sessions) this.sessions.set(session.holder, session);
    this.core.resume(
      snapshot,
      sessions.map(({ holder }) => holder),
    );
  }
}
