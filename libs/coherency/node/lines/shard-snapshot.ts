// A shard as a node knows it, its leader and its pages, as messages and back: another pmap manager of the node goes on with
// that.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HeldPages, HeldPagesSchema, ShardSnapshot } from '@odonata/proto/pmap/v1/handover';
import type { HeldPage } from '../../holder/held-page.ts';
import type { HeldPagesRun, HolderSnapshot } from '../../holder/holder-snapshot.ts';
import { stateWire } from '../../wire.ts';
import type { LedShard } from './led-shard.ts';

export const ledWire = ({ untilMs, lastEndMs, lives, ...about }: LedShard) => {
  return { ...about, lives: [...lives], untilMs: BigInt(untilMs), lastEndMs: BigInt(lastEndMs) };
};

export function holderWire(holder: HolderSnapshot) {
  const { reborn, breaks, lineageOfAll, dataspaces, removed } = holder;
  const held = dataspaces.map(({ runs, ...of }) => ({ ...of, pages: runs.map(heldPages) }));
  return { reborn, breaks: BigInt(breaks), lineageOfAll: BigInt(lineageOfAll), held, removed };
}

function heldPages({ firstPage, pageCount, page }: HeldPagesRun): MessageInitShape<typeof HeldPagesSchema> {
  const { state, readPending, writePending, retainedFor, storedVersion } = page;
  return {
    ...{ span: { firstPage, pageCount }, state: stateWire.to(state), readPending, writePending, retainedFor },
    version: BigInt(page.version),
    dataVersion: BigInt(page.dataVersion),
    grantVersion: BigInt(page.grantVersion),
    retainedVersion: BigInt(page.retainedVersion),
    storedVersion: storedVersion === undefined ? undefined : BigInt(storedVersion),
    lostVersion: BigInt(page.lostVersion),
    lineage: BigInt(page.lineage),
  };
}

export function ledShard({ untilMs, lastEndMs, ...about }: ShardSnapshot): LedShard {
  const { epoch, identity, lives, address, suspended } = about;
  const times = { untilMs: Number(untilMs), lastEndMs: Number(lastEndMs) };
  return { epoch, identity, lives, address, suspended, ...times };
}

export function holderSnapshot(wire: ShardSnapshot): HolderSnapshot {
  const { reborn, breaks, lineageOfAll, held, removed } = wire;
  const dataspaces = held.map(({ dataspace, pageCount, whole, voided, forsaken, partial, pages }) => {
    return { dataspace, pageCount, whole, voided, forsaken, partial, runs: pages.map(heldRun) };
  });
  return { reborn, breaks: Number(breaks), lineageOfAll: Number(lineageOfAll), dataspaces, removed };
}

function heldRun(wire: HeldPages): HeldPagesRun {
  const { state, readPending, writePending, retainedFor, storedVersion } = wire;
  const page: HeldPage = {
    ...{ state: stateWire.from(state), readPending, writePending, retainedFor },
    version: Number(wire.version),
    dataVersion: Number(wire.dataVersion),
    grantVersion: Number(wire.grantVersion),
    retainedVersion: Number(wire.retainedVersion),
    storedVersion: storedVersion === undefined ? undefined : Number(storedVersion),
    lostVersion: Number(wire.lostVersion),
    lineage: Number(wire.lineage),
  };
  return { ...wire.span!, page };
}
