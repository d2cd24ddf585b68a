// What is large of a node is copied while it goes on, in small parts, so that a freeze takes no longer for it: the page
// tables of the holder, which pages have frames, and the vmspaces. From then on the node remembers what changes.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { HolderSnapshot } from '@odonata/coherency/holder/holder-snapshot.ts';
import { holderWire } from '@odonata/coherency/node/lines/shard-snapshot.ts';
import { type NodeSnapshot, NodeSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import type { Node } from '../node.ts';
import type { Session } from '../sessions/session.ts';
import { chunksAhead } from '../vmspaces/handmade/carry.ts';
import { vmspaceWire } from './snapshot.ts';

/** Runs of pages, or vmspaces, of a part: what is made without a pause. */
const PART_MAX = 1_000;

/** @param token under which the userfaultfd of a session was handed over */
export function* partsAhead(
  node: Node,
  shards: number,
  token: (session: Session) => Uint8Array,
): Generator<NodeSnapshot> {
  const part = (about: MessageInitShape<typeof NodeSnapshotSchema>) =>
    create(NodeSnapshotSchema, { incarnation: node.incarnation, ...about });
  // First of all: what is mapped from now on is among what changed.
  const sessions = [...node.sessions];
  for (const session of sessions) session.spaces.follow();
  for (const { id, name, sizeBytes, durable, file } of [...node.memory.all()]) {
    const about = { dataspace: id, name, sizeBytes, durable };
    for (const resident of portions(file.follow())) yield part({ dataspaces: [{ ...about, resident }] });
  }
  for (let shard = 0; shard < shards; shard++)
    for (const held of portionsOf(node.memory.followHolder(shard)))
      yield part({ shards: [{ shard, ...holderWire(held) }] });
  for (const handmade of chunksAhead(node.handmade)) yield part({ handmade });
  for (const session of sessions) {
    const { name, frameLimit, requester } = session;
    const about = { name, frameLimit, token: session.token, requester };
    const userfaultToken = token(session);
    for (const some of portions([...session.vmspaces.values()]))
      yield part({ sessions: [{ ...about, userfaultToken, vmspaces: some.map(vmspaceWire) }] });
  }
}

/** At least one. */
function portions<T>(all: readonly T[]): T[][] {
  const count = Math.max(1, Math.ceil(all.length / PART_MAX));
  return Array.from({ length: count }, (_, i) => all.slice(i * PART_MAX, (i + 1) * PART_MAX));
}

function* portionsOf({ dataspaces, ...about }: HolderSnapshot): Generator<HolderSnapshot> {
  let part: HolderSnapshot['dataspaces'] = [];
  let weight = 0;
  for (const { runs, ...of } of dataspaces) {
    for (const [i, some] of portions(runs).entries()) {
      part.push({ ...of, partial: i > 0, runs: some });
      weight += 1 + some.length;
      if (weight < PART_MAX) continue;
      yield { ...about, dataspaces: part };
      part = [];
      weight = 0;
    }
  }
  yield { ...about, dataspaces: part };
}
