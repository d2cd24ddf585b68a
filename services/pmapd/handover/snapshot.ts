// All that a pmap manager knows as one message, and back. Frames are not in it: they are in the memory files.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { HeldPage } from '@odonata/coherency/held-page.ts';
import type { HeldPagesRun, HolderSnapshot } from '@odonata/coherency/holder-snapshot.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { stateWire } from '@odonata/coherency/wire.ts';
import {
  type DataspaceSnapshotSchema,
  type HeldPages,
  type HeldPagesSchema,
  type NodeSnapshot,
  NodeSnapshotSchema,
  type SessionSnapshotSchema,
  type ShardSnapshot,
  type ShardSnapshotSchema,
} from '@odonata/proto/pmap/v1/handover';
import { Userfault } from '@odonata/userfault/userfault.ts';
import type { LedShard } from '../directories.ts';
import type { FrozenNode, Node } from '../node.ts';
import { Session } from '../session.ts';
import type { SharedDataspace } from '../shared-dataspace.ts';

/** The form of the snapshot; grows when an earlier pmap manager could not go on with it. */
export const FORM = 1;

/** @param tokens under which the userfaultfd of each session is handed over */
export function snapshotOf(node: FrozenNode, tokens: readonly Uint8Array[]): NodeSnapshot {
  const { incarnation, lastVmspace, memory, sync, sessions } = node;
  const placeOf = (session: Session) => sessions.indexOf(session);
  return create(NodeSnapshotSchema, {
    ...{ incarnation, lastVmspace, sync: sync.snapshot(placeOf) },
    dataspaces: [...memory.all()].map(dataspaceSnapshot),
    shards: node.shards.map((led, shard) => shardSnapshot(led, node.held[shard]!)),
    sessions: sessions.map((session, place) => sessionSnapshot(session, tokens[place]!)),
  });
}

/** Makes a new node what the other one was. `claim`: the userfaultfd that was handed over under a token. */
export function inherit(node: Node, snapshot: NodeSnapshot, claim: (token: Uint8Array) => number): void {
  const { memory, sync } = node;
  for (const { dataspace: id, name, sizeBytes, durable, ...bytes } of snapshot.dataspaces) {
    const dataspace = memory.adopt({ id, name, sizeBytes, durable }, bytes.resident);
    for (const { page, version, data } of bytes.retained)
      dataspace.retained.set(page, { version: Number(version), bytes: data });
    for (const { page, data } of bytes.stored) dataspace.stored.set(page, data!);
  }
  node.inherit(snapshot.lastVmspace, snapshot.shards.map(ledShard), snapshot.shards.map(holderSnapshot));
  const sessions = snapshot.sessions.map(({ name, frameLimit, token, userfaultToken, ...has }) => {
    const userfault = new Userfault(claim(userfaultToken));
    const session = new Session(node, { name, frameLimit, token, userfault });
    session.resumeFrames(Number(has.frames));
    for (const { vmspace: id, pid, file, sizeBytes, entries, quotaFrames: quota } of has.vmspaces) {
      const about = { id, pid, file, sizeBytes: Number(sizeBytes), quotaFrames: Number(quota) };
      const vmspace = session.addVmspace({ ...about, exists: true });
      for (const { address, lengthBytes, dataspace: of, offsetBytes, writable } of entries) {
        const dataspace = memory.get(of);
        if (dataspace === undefined) {
          session.endProcess(id, 'SIGBUS', `dataspace ${of} was removed`);
          continue;
        }
        const [firstPage, pageCount] = [pagesIn(offsetBytes), pagesIn(lengthBytes)];
        memory.pmap.claim(session.addEntry({ vmspace, address, firstPage, pageCount, dataspace, writable }));
        // Who brought a page is not handed over: the first one that maps it pays for it from now on.
        dataspace.file.charge(firstPage, pageCount, vmspace.charge.number);
      }
    }
    for (const event of has.unsent) session.send(event);
    node.sessions.add(session);
    return session;
  });
  sync.resume(snapshot.sync!, sessions);
}

const pagesIn = (bytes: bigint): number => Number(bytes / BigInt(PAGE_BYTES));

function dataspaceSnapshot(dataspace: SharedDataspace): MessageInitShape<typeof DataspaceSnapshotSchema> {
  const { id, name, sizeBytes, durable, file } = dataspace;
  const retained = [...dataspace.retained].map(([page, { version, bytes }]) => {
    return { page, version: BigInt(version), data: bytes };
  });
  const stored = [...dataspace.stored].map(([page, data]) => ({ page, data }));
  return {
    ...{ dataspace: id, name, sizeBytes, durable, resident: file.residentSpans(), retained, stored },
  };
}

function sessionSnapshot(
  session: Session,
  userfaultToken: Uint8Array,
): MessageInitShape<typeof SessionSnapshotSchema> {
  const { name, token, frameLimit, frames } = session;
  const vmspaces = [...session.vmspaces.values()].map(({ id, pid, file, sizeBytes, entries, ...of }) => ({
    ...{ vmspace: id, pid, file, sizeBytes: BigInt(sizeBytes), quotaFrames: BigInt(of.quotaFrames) },
    entries: entries.map(({ address, firstPage, pageCount, dataspace, writable }) => ({
      ...{ vmspace: id, address, dataspace: dataspace.id, writable },
      lengthBytes: BigInt(pageCount * PAGE_BYTES),
      offsetBytes: BigInt(firstPage * PAGE_BYTES),
    })),
  }));
  const unsent = session.takeUnsent();
  return { name, token, frameLimit, frames: BigInt(frames), userfaultToken, vmspaces, unsent };
}

function shardSnapshot(led: LedShard, holder: HolderSnapshot): MessageInitShape<typeof ShardSnapshotSchema> {
  const { untilMs, lastEndMs, lives, ...about } = led;
  return {
    ...{ ...about, lives: [...lives], untilMs: BigInt(untilMs), lastEndMs: BigInt(lastEndMs) },
    ...{ reborn: holder.reborn, breaks: BigInt(holder.breaks), lineageOfAll: BigInt(holder.lineageOfAll) },
    held: holder.dataspaces.map(({ runs, ...of }) => ({ ...of, pages: runs.map(heldPages) })),
  };
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

function ledShard({ untilMs, lastEndMs, ...about }: ShardSnapshot): LedShard {
  const { epoch, identity, lives, address, suspended } = about;
  const times = { untilMs: Number(untilMs), lastEndMs: Number(lastEndMs) };
  return { epoch, identity, lives, address, suspended, ...times };
}

function holderSnapshot({ reborn, breaks, lineageOfAll, held }: ShardSnapshot): HolderSnapshot {
  const dataspaces = held.map(({ dataspace, pageCount, whole, voided, pages }) => {
    return { dataspace, pageCount, whole, voided, runs: pages.map(heldRun) };
  });
  return { reborn, breaks: Number(breaks), lineageOfAll: Number(lineageOfAll), dataspaces };
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
