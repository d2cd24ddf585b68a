// Takes copies of pages that another node is about to leave behind.
import { piecesOf } from '@odonata/backing-store/chunk.ts';
import { ADOPT_PAGES_MAX } from '@odonata/coherency/node/drain.ts';
import { lodgerOf } from '@odonata/coherency/node/pool/lodged.ts';
import type { AccessMode, PageSpan } from '@odonata/coherency/page.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import type { AdoptRequest, TransferService } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { shownCaller } from '@odonata/rpc/identity/identity.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { Handlers } from '@odonata/rpc/server.ts';
import type { Node } from '../node.ts';
import { LODGED_PART } from '../pageout/lodged-pages.ts';

export function adoptHandler(node: Node): Pick<Handlers<typeof TransferService>, 'adopt'> {
  return {
    async adopt({ dataspace: name, runs, whole, forRoom, back }: AdoptRequest, { caller }) {
      if (node.isLeaving) throw new RpcError(Code.FailedPrecondition, `${node.name} is about to leave, too`);
      if (back) {
        if (caller.role === Role.GATEWAY)
          throw new RpcError(Code.PermissionDenied, 'gateways lend no memory');
        const taken = await node.pageout.takeBack(name, runs, shownCaller(caller));
        return { pages: taken ? runs.reduce((sum, { pageCount }) => sum + pageCount, 0) : 0 };
      }
      // Also of one that is being loaded: it may be larger than the node that loads it.
      const { dataspace } = await node.openings.open(name, 0n, { incomplete: true });
      if (caller.role === Role.GATEWAY && !node.gatewayPages.mayBring(dataspace.id))
        throw new RpcError(Code.PermissionDenied, `${shownCaller(caller)} may not bring pages of ${name}`);
      const mode = whole ? 'WRITE' : 'READ';
      const asked = runs.reduce((sum, { pageCount }) => sum + pageCount, 0);
      if (asked > ADOPT_PAGES_MAX)
        throw invalidField('runs', `runs: ${ADOPT_PAGES_MAX} pages at most, not ${asked}`);
      for (const { firstPage, pageCount } of runs)
        if (firstPage + pageCount > dataspace.pageCount)
          throw invalidField('runs', `runs: dataspace ${name} has ${dataspace.pageCount} pages`);
      if (forRoom) expectRoom(node, asked, name);
      let pages = 0;
      for (const run of runs)
        for (const { firstPage, pageCount } of piecesOf(run.firstPage, run.pageCount)) {
          const fetched = node.memory.withPages(dataspace, firstPage, pageCount, mode, () => pageCount);
          // Pages of a piece that are lost are lost already, and hide the others: those come one by one.
          pages += await fetched.catch((error) => {
            expectLost(error);
            return fetchEach(node, dataspace, { firstPage, pageCount }, mode);
          });
        }
      const roomPages = forRoom ? BigInt(node.roomForOthers) : 0n;
      return { pages, absentPages: asked - pages, ...(forRoom && { roomPages }) };
    },
  };
}

// Who is short itself takes nothing, and says so before anything moves.
function expectRoom(node: Node, pages: number, dataspace: string): void {
  const { roomForOthers, lodged, limits, frames } = node;
  if (lodged.has(dataspace) && lodged.pages + pages > frames.total * LODGED_PART) {
    const reason = `${node.name} has ${lodged.pages} private pages of other nodes, and takes no more than ${Math.floor(frames.total * LODGED_PART)} (vkctl up --node-memory gives a node more)`;
    limits.count('lodged-pages', `node:${lodgerOf(dataspace)?.node ?? ''}`, reason);
    throw new RpcError(Code.ResourceExhausted, reason);
  }
  const room = roomForOthers;
  if (room >= pages) return;
  const reason = `${node.name} has room for ${room} pages of nodes that are short of frames, not for ${pages}`;
  throw new RpcError(Code.ResourceExhausted, reason);
}

async function fetchEach(
  { memory }: Node,
  dataspace: Parameters<typeof memory.withPages>[0],
  { firstPage, pageCount }: PageSpan,
  mode: AccessMode,
): Promise<number> {
  let pages = 0;
  for (let page = firstPage; page < firstPage + pageCount; page++)
    pages += await memory
      .withPages(dataspace, page, 1, mode, () => 1)
      .catch((error) => {
        expectLost(error);
        return 0;
      });
  return pages;
}

// Any other refusal says nothing of the page: without frames, or about to go, this node does not take it, and another one may.
function expectLost(error: unknown): void {
  if (!RpcError.is(error, Code.DataLoss) && !RpcError.is(error, Code.NotFound)) throw error;
}
