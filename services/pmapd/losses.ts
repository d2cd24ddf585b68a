// Pages that no node has: what is stored of them, and what begins anew once somebody accepts that it is LOST.

import type { MessageInitShape } from '@bufbuild/protobuf';
import { piecesOf } from '@odonata/backing-store/chunk.ts';
import { isBorrowed } from '@odonata/coherency/gateway.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import { BLOCK_PAGES } from '@odonata/coherency/shard.ts';
import type { Dataspace, GetDataspaceRequestSchema } from '@odonata/proto/coherency/v1/coherency';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ofLimit } from './limit-of.ts';
import type { SharedDataspace } from './memory/shared-dataspace.ts';
import type { Node } from './node.ts';
import type { Asked } from './sessions/asked.ts';

/** So many chunks of the store one answer reads; what it found is known to the next. */
const CHUNKS_MAX = 512;
/** Pages that begin anew in one step. */
const STEP_PAGES = 8 * BLOCK_PAGES;
/** More than this (16 GiB) begins anew by removing the dataspace. */
export const ACCEPT_PAGES_MAX = 4 * 2 ** 20;

interface DataspaceLoss {
  name: string;
  durable: boolean;
  lostPages: bigint;
  storedPages: bigint;
  unknownPages: bigint;
}

export async function listLosses(
  node: Node,
  name: string,
  { requester, requestId }: Asked,
): Promise<{ losses: DataspaceLoss[]; leftOut: number }> {
  const named = { name, withoutUsage: true, requester };
  const dataspace = name === '' ? 0n : (await find(node, named, requestId)).id;
  const { losses, leftOut } = await node.line.directory.listLosses({ dataspace, requester }, { requestId });
  const found: DataspaceLoss[] = [];
  let chunks = CHUNKS_MAX;
  for (const { dataspace: about, pages } of losses) {
    const loss = { name: about!.name, durable: about!.durable };
    if (!about!.durable) found.push({ ...loss, lostPages: pages, storedPages: 0n, unknownPages: 0n });
    else {
      const { lost, stored, read } = await lookedUp(node, about!, chunks, requestId);
      chunks -= read;
      const unknownPages = pages - BigInt(lost + stored);
      found.push({
        ...loss,
        lostPages: BigInt(lost),
        storedPages: BigInt(stored),
        unknownPages: unknownPages > 0n ? unknownPages : 0n,
      });
    }
  }
  return { losses: found, leftOut };
}

/** LOST pages begin anew, as zeros, at this node. @returns how many */
export async function acceptLoss(
  node: Node,
  name: string,
  by: string,
  { requester, requestId }: Asked,
): Promise<number> {
  const forWriting = !isBorrowed(name);
  const about = await find(node, { name, withoutUsage: true, requester, forWriting }, requestId);
  if (isBorrowed(name)) throw ofAnother(name);
  const { losses } = await node.line.directory.listLosses({ dataspace: about.id }, { requestId });
  const pages = Number(losses[0]?.pages ?? 0n);
  if (pages === 0) return 0;
  if (pages > ACCEPT_PAGES_MAX) {
    throw ofLimit(
      'accepted-pages',
      new RpcError(
        Code.ResourceExhausted,
        `${pages} pages of dataspace ${name} are lost, more than ${ACCEPT_PAGES_MAX}; remove it and make it anew`,
      ),
    );
  }
  const { dataspace } = await node.openings.open(name, 0n, { incomplete: true, requester, requestId });
  await node.line.directory.acceptLoss({ name, pages: BigInt(pages), by, requester }, { requestId });
  let accepted = 0;
  for (let firstPage = 0; ; ) {
    const asked = { dataspace: about.id, withRuns: true, firstPage };
    const [loss] = (await node.line.directory.listLosses(asked, { requestId })).losses;
    if (loss === undefined) return accepted;
    for (const run of loss.runs) {
      const lost = about.durable ? await unstored(node, run) : [run];
      for (const each of lost) {
        await beginAnew(node, dataspace, each);
        accepted += each.pageCount;
      }
    }
    if (!loss.more) return accepted;
    firstPage = loss.runsEnd;
  }
}

function ofAnother(dataspace: string): RpcError {
  const [name, cluster] = dataspace.split('@');
  return new RpcError(
    Code.FailedPrecondition,
    `dataspace ${dataspace} is of cluster "${cluster}": whoever owns it there says vkctl ds accept-loss ${name}`,
  );
}

async function beginAnew(
  node: Node,
  dataspace: SharedDataspace,
  { firstPage, pageCount }: PageRun,
): Promise<void> {
  for (let at = firstPage; at < firstPage + pageCount; at += STEP_PAGES) {
    const step = { firstPage: at, pageCount: Math.min(STEP_PAGES, firstPage + pageCount - at) };
    await node.memory.withPages(dataspace, step.firstPage, step.pageCount, 'READ', () => {}, step);
  }
}

async function find(
  node: Node,
  asked: MessageInitShape<typeof GetDataspaceRequestSchema>,
  requestId: string,
): Promise<Dataspace> {
  const { dataspace } = await node.line.directory.getDataspace(asked, { requestId });
  return dataspace!;
}

/** What the store has of the pages that no node has, as far as so many chunks tell. */
async function lookedUp(
  node: Node,
  { id }: Dataspace,
  chunksMax: number,
  requestId: string,
): Promise<{ lost: number; stored: number; read: number }> {
  let [lost, stored, read] = [0, 0, 0];
  for (let firstPage = 0; ; ) {
    const asked = { dataspace: id, withRuns: true, firstPage };
    const [loss] = (await node.line.directory.listLosses(asked, { requestId })).losses;
    for (const run of loss?.runs ?? []) {
      for (const piece of piecesOf(run.firstPage, run.pageCount)) {
        if (read >= chunksMax) return { lost, stored, read };
        try {
          const found = await node.backing.storedOf(id, piece);
          read += found.read ? 1 : 0;
          stored += found.stored;
          lost += piece.pageCount - found.stored;
        } catch (error) {
          if (!(error instanceof RpcError)) throw error;
          return { lost, stored, read }; // The store is away: the rest is not known.
        }
      }
    }
    if (loss?.more !== true) return { lost, stored, read };
    firstPage = loss.runsEnd;
  }
}

/** The pages of a run that the store does not have. */
async function unstored(node: Node, run: PageRun): Promise<PageRun[]> {
  const runs: PageRun[] = [];
  for (const piece of piecesOf(run.firstPage, run.pageCount)) {
    const { pages } = await node.backing.storedOf(run.dataspace, piece);
    for (let page = piece.firstPage; page < piece.firstPage + piece.pageCount; page++) {
      if (pages.has(page)) continue;
      const last = runs.at(-1);
      if (last !== undefined && last.firstPage + last.pageCount === page) last.pageCount++;
      else runs.push({ dataspace: run.dataspace, firstPage: page, pageCount: 1 });
    }
  }
  return runs;
}
