// Letters between nodes and the desk of a dataspace of another cluster, which stands at its home: whoever leads the shard that would have
// the locks passes them on to the gateway that made the dataspace, and from that to nodes, and remembers nothing. What cannot be passed on
// is lost, and said again (../../desk/far-desk.ts). And what gateways may ask of the desk that is here, for those of other clusters.
import type { DeskLetter } from '@odonata/proto/coherency/v1/coherency';
import { isGatewayOwner } from '../../desk/owners.ts';
import { isBorrowed, isGateway } from '../../gateway.ts';
import type { SyncAnswer } from '../../locks/sync-desk.ts';
import type { Dataspaces } from '../dataspaces.ts';
import type { HolderEntry, HolderTable } from '../holders.ts';
import { gatewayMayHave } from './gateway-rights.ts';
import type { ShardEvent, SyncEvent } from './shard-events.ts';

export function passOn(
  from: HolderEntry,
  { dataspace, node, words }: DeskLetter,
  { holders, dataspaces }: { holders: HolderTable; dataspaces: Dataspaces },
): void {
  const record = dataspaces.byId(dataspace);
  if (record === undefined || !isBorrowed(record.name ?? '')) return;
  const isMaker = from.node === record.creator && from.incarnation === record.creatorIncarnation;
  const to = holders.ofNode(isMaker ? node : record.creator);
  if (to === undefined || !to.welcomed || isGateway(to.node) === isMaker) return;
  if (!isMaker && (isGateway(from.node) || to.incarnation !== record.creatorIncarnation)) return;
  holders.send(to.id, {
    case: 'desk',
    value: { dataspace, words, ...(!isMaker && { node: from.node }) },
  });
}

/** @throws RangeError where it speaks for processes that it does not have */
export function expectOwn({ node }: HolderEntry, event: ShardEvent): void {
  const owner = ownerOf(event);
  if (owner !== undefined && isGatewayOwner(owner) !== isGateway(node))
    throw new RangeError(`${event.type} for process ${owner}, which it does not have`);
}

function ownerOf(event: ShardEvent): bigint | undefined {
  switch (event.type) {
    case 'lock':
    case 'unlock':
    case 'wait':
      return event.ask.owner;
    case 'barrier':
      return event.arrival.owner;
    case 'barrierWord':
      return event.word.owner;
    case 'ownerGone':
      return event.owner;
    default:
      return undefined;
  }
}

/** The answer to a gateway that may not ask so; undefined: it may. */
export function refusalOf(
  entry: HolderEntry,
  event: SyncEvent,
  dataspaces: Dataspaces,
): SyncAnswer | undefined {
  const { id: holder } = entry;
  const may = (dataspace: bigint, mode: 'READ' | 'WRITE'): boolean =>
    !isGateway(entry.node) || gatewayMayHave(entry, dataspaces.byId(dataspace), mode);
  switch (event.type) {
    case 'lock': {
      const { dataspace, request } = event.ask;
      if (may(dataspace, 'WRITE')) return undefined;
      return { type: 'lock', holder, request, outcome: 'NOT_FOUND', waited: false };
    }
    case 'wait': {
      const { dataspace, request } = event.ask;
      return may(dataspace, 'READ') ? undefined : { type: 'wait', holder, request, outcome: 'EXHAUSTED' };
    }
    case 'wake': {
      const { dataspace, request } = event.ask;
      return may(dataspace, 'WRITE') ? undefined : { type: 'wake', holder, request, woken: 0 };
    }
    case 'barrier': {
      const { dataspace, request } = event.arrival;
      if (may(dataspace, 'WRITE')) return undefined;
      return { type: 'barrier', holder, request, outcome: 'INVALID', members: [] };
    }
    default:
      return undefined;
  }
}
