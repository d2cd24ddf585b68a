// What is known of dataspaces: the directory knows where pages are, and a node what the backing store has.
import { create } from '@bufbuild/protobuf';
import type { Dataspace, DataspaceUsage } from '@odonata/proto/coherency/v1/coherency';
import { type DataspaceLoss, DataspaceLossSchema } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Connection } from './connection.ts';
import { allPages } from './list-pages.ts';

/** What a directory knows it says at once, when it runs. */
const ASK_MS = 10_000;
const PAGE_ITEMS = 1_000;

export interface DataspaceDetail {
  dataspace: Dataspace;
  usage: DataspaceUsage;
  /** Pages that no node has. */
  loss?: DataspaceLoss;
}

export async function usageOf(to: Connection, name: string, signal?: AbortSignal): Promise<DataspaceDetail> {
  const directory = await to.directory(signal);
  const { dataspace, usage } = await directory.getDataspace({ name }, { deadlineMs: ASK_MS, signal });
  if (!dataspace || !usage) throw new RpcError(Code.Internal, `cohd answered without dataspace "${name}"`);
  return { dataspace, usage };
}

/** Pages that no node has, by dataspace: of all, or of one. */
export async function lossesOf(to: Connection, name = '', signal?: AbortSignal): Promise<DataspaceLoss[]> {
  const node = await to.answeringNode(undefined, signal).catch(() => undefined);
  if (node !== undefined) return (await to.dataspaces(node).listLosses({ name }, { signal })).losses;
  // No node asks the backing store: of what is durable nobody knows whether it is stored.
  const directory = await to.directory(signal);
  const { losses } = await directory.listLosses({}, { deadlineMs: ASK_MS, signal });
  return losses.map(({ dataspace, pages }) => {
    const { name, durable } = dataspace!;
    const [lostPages, unknownPages] = durable ? [0n, pages] : [pages, 0n];
    return create(DataspaceLossSchema, { name, durable, lostPages, unknownPages });
  });
}

/** All pages of the list at once: a page of a list that changed meanwhile is refused. */
export async function recordsOf(
  to: Connection,
  signal?: AbortSignal,
  deadlineMs = ASK_MS,
): Promise<Dataspace[]> {
  return await allPages(
    async (pageToken) => {
      const directory = await to.directory(signal);
      return directory.listDataspaces({ pageSize: PAGE_ITEMS, pageToken }, { deadlineMs, signal });
    },
    ({ dataspaces }) => dataspaces,
  );
}
