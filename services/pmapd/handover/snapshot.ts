// All that a pmap manager knows as one message, and back. Frames are not in it: they are in the memory files.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { holderWire, ledWire } from '@odonata/coherency/node/lines/shard-snapshot.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import {
  type DataspaceSnapshotSchema,
  FarDeskSnapshotSchema,
  type NodeSnapshot,
  NodeSnapshotSchema,
  type SessionSnapshotSchema,
  type SyncSnapshot,
  SyncSnapshotSchema,
  type VmspaceSnapshotSchema,
} from '@odonata/proto/pmap/v1/handover';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { FrozenNode } from '../node.ts';
import type { Session } from '../sessions/session.ts';
import type { Vmspace } from '../sessions/vmspace.ts';
import { lastPart } from '../vmspaces/handmade/carry.ts';

/** The form of the snapshot; grows when an earlier pmap manager could not go on with it. */
export const FORM = 2;

/**
 * @param token under which the userfaultfd of a session is handed over; undefined: it was before
 * @param arenaToken under which the private pages of vmspaces made by hand are; undefined: there are none
 */
export function snapshotOf(
  node: FrozenNode,
  pausedAtMs: number,
  token: (session: Session) => Uint8Array | undefined,
  arenaToken?: Uint8Array,
): NodeSnapshot {
  const { incarnation, lastVmspace, memory, sync, farDesks, sessions, handmade } = node;
  return create(NodeSnapshotSchema, {
    ...{
      incarnation,
      lastVmspace,
      sync: syncSnapshot(sync, farDesks, sessions),
      pausedAtMs: BigInt(Math.round(pausedAtMs)),
    },
    dataspaces: [...memory.all()].map(dataspaceSnapshot),
    shards: node.shards.map((led, shard) => ({ ...ledWire(led), ...holderWire(node.held[shard]!) })),
    sessions: sessions.map((session) => sessionSnapshot(session, token(session))),
    handmade: lastPart(handmade, arenaToken),
  });
}

function syncSnapshot(
  sync: FrozenNode['sync'],
  farDesks: FrozenNode['farDesks'],
  sessions: readonly Session[],
): SyncSnapshot {
  const snapshot = create(SyncSnapshotSchema, sync.snapshot(sessions));
  snapshot.farDesks = farDesks.snapshot().map((desk) => create(FarDeskSnapshotSchema, desk));
  return snapshot;
}

function dataspaceSnapshot(dataspace: SharedDataspace): MessageInitShape<typeof DataspaceSnapshotSchema> {
  const { id, name, sizeBytes, durable, file } = dataspace;
  const retained = [...dataspace.retained].map(([page, { version, bytes }]) => {
    return { page, version: BigInt(version), data: bytes?.data };
  });
  const stored = [...dataspace.stored].map(([page, bytes]) => ({ page, data: bytes?.data }));
  return { ...{ dataspace: id, name, sizeBytes, durable, retained, stored }, ...file.changed() };
}

function sessionSnapshot(
  session: Session,
  userfaultToken: Uint8Array | undefined,
): MessageInitShape<typeof SessionSnapshotSchema> {
  const { name, token, frameLimit, frames, requester } = session;
  const { vmspaces, gone } = session.spaces.changed();
  const unsent = session.takeUnsent();
  const has = { vmspaces: vmspaces.map(vmspaceWire), gone, unsent };
  return { name, token, frameLimit, frames: BigInt(frames), userfaultToken, requester, ...has };
}

export function vmspaceWire({
  id,
  pid,
  file,
  sizeBytes,
  entries,
  quotaFrames,
  open,
  image,
}: Vmspace): MessageInitShape<typeof VmspaceSnapshotSchema> {
  return {
    ...{ vmspace: id, pid, file, sizeBytes: BigInt(sizeBytes), quotaFrames: BigInt(quotaFrames) },
    entries: [...entries].map(({ address, firstPage, pageCount, dataspace, writable, linearOffset }) => ({
      ...{ vmspace: id, address, dataspace: dataspace.id, writable },
      lengthBytes: BigInt(pageCount * PAGE_BYTES),
      offsetBytes: BigInt(firstPage * PAGE_BYTES),
      ...(linearOffset !== undefined && { linearOffset: BigInt(linearOffset) }),
    })),
    opened: [...open].map(([dataspace, readOnly]) => ({ dataspace, readOnly })),
    ...(image !== undefined && {
      image: { sha256: image.image.sha256, pageCount: image.image.pageCount, spans: [...image.spans] },
    }),
  };
}
