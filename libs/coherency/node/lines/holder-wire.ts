// What a node and a directory say to each other of pages, as messages and back.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { DirectoryEvent, HolderEventSchema, Invalidate } from '@odonata/proto/coherency/v1/coherency';
import type { HolderAction, HolderEvent } from '../../holder/holder-messages.ts';
import { ackWire, modeWire, reasonWire, runFromWire, stateWire } from '../../wire.ts';

export type HolderEventInit = MessageInitShape<typeof HolderEventSchema>['event'];
/** What a leader of the directory says of pages. */
export type RunEvent = Extract<
  HolderEvent,
  { type: 'grant' | 'recall' | 'invalidate' | 'refuse' | 'settled' }
>;
/** What the holder's machine of a shard has to say to its leader. */
export type HolderWord = Extract<HolderAction, { type: 'acquire' | 'ack' | 'report' }>;

const HELD_RUNS_PER_REPORT = 5_000;

/** @param lostEpoch of the leader that said that the pages are lost */
export function acquireWire(
  action: Extract<HolderAction, { type: 'acquire' }>,
  lostEpoch: bigint,
): HolderEventInit {
  const neededPages = action.needed ? action.run.pageCount : 0;
  const { storedVersion: version } = action;
  const storedVersion = version === undefined ? undefined : BigInt(version);
  const lost = version === undefined ? {} : { lostVersion: BigInt(action.lostVersion ?? 0), lostEpoch };
  const value = { run: action.run, mode: modeWire.to(action.mode), neededPages, storedVersion, ...lost };
  return { case: 'acquire', value };
}

export function ackMessage(action: Extract<HolderAction, { type: 'ack' }>, epoch: bigint): HolderEventInit {
  const { run, kind } = action;
  if (kind === 'SPARED') return { case: 'spare', value: { run, epoch } };
  const value = { run, version: BigInt(action.version), ...ackWire.to(kind), epoch };
  return { case: 'ack', value };
}

/** A report in parts that a message can carry; the last one says so. */
export function reportParts(
  { held: runs, voided, reborn }: Extract<HolderAction, { type: 'report' }>,
  shard: number,
  epoch: bigint,
): HolderEventInit[] {
  const held = runs.map((h) => ({
    run: h.run,
    state: stateWire.to(h.state),
    version: BigInt(h.version),
    kept: h.kept ?? false,
    keptFor: h.keptFor ?? 0n,
  }));
  const parts: HolderEventInit[] = [];
  for (let at = 0; at <= held.length; at += HELD_RUNS_PER_REPORT) {
    const last = at + HELD_RUNS_PER_REPORT > held.length;
    const part = held.slice(at, at + HELD_RUNS_PER_REPORT);
    const value = { held: part, last, shard, epoch, reborn, voided: at === 0 ? voided : [] };
    parts.push({ case: 'report', value });
  }
  return parts;
}

/** What a leader says of pages, and at which epoch, where that matters; undefined: it speaks of something else. */
export function pageEvent(
  event: DirectoryEvent['event'],
): { event: RunEvent; epoch: bigint | undefined } | undefined {
  switch (event.case) {
    case 'grant': {
      const { run, state, version, zero, restore, stored, epoch } = event.value;
      const about = { state: stateWire.from(state), version: Number(version), zero, restore, stored };
      return { event: { type: 'grant', run: runFromWire(run), ...about }, epoch };
    }
    case 'recall': {
      const { run, version, receiver, epoch } = event.value;
      const about = {
        mode: modeWire.from(event.value.mode),
        receiverIdentity: event.value.receiverIncarnation,
        version: Number(version),
        receiver,
        receiverState: stateWire.from(event.value.receiverState),
      };
      return { event: { type: 'recall', run: runFromWire(run), ...about }, epoch };
    }
    case 'invalidate':
      return { event: invalidation(event.value), epoch: event.value.epoch };
    case 'refuse': {
      const { run, mode, version } = event.value;
      const reason = reasonWire.from(event.value);
      const about = { mode: modeWire.from(mode), reason, version: Number(version) };
      return { event: { type: 'refuse', run: runFromWire(run), ...about }, epoch: undefined };
    }
    case 'settled': {
      const { run, version } = event.value;
      return {
        event: { type: 'settled', run: runFromWire(run), version: Number(version) },
        epoch: undefined,
      };
    }
    default:
      return undefined;
  }
}

/** On the stream, or on the bus. */
export function invalidation({
  run,
  version,
  anew,
}: Invalidate): Extract<HolderEvent, { type: 'invalidate' }> {
  return { type: 'invalidate', run: runFromWire(run), version: Number(version), anew };
}
