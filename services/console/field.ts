// A dataspace as the page draws it: columns of numbers, a place a cell.
import type { Cluster } from '@odonata/client/cluster.ts';

export interface FieldAsked {
  name: string;
  first: number;
  pages: number;
  cells: number;
}

export interface FieldJson {
  first: number;
  pages: number;
  /** Pages of a cell. */
  per: number;
  nodes: string[];
  /** Of each cell: the node that owns most of it, from 1, and pages by state. */
  owner: number[];
  exclusive: number[];
  shared: number[];
  lost: number[];
  changing: number[];
  sampled: boolean;
  incomplete: boolean;
}

const ASK_MS = 5_000;

/** @throws RpcError PERMISSION_DENIED where they may not read it */
export async function fieldJson(to: Cluster, asked: FieldAsked, signal: AbortSignal): Promise<FieldJson> {
  const directory = await to.connection.directory(signal);
  const { name, first, pages, cells: most } = asked;
  const range = { name, firstPage: BigInt(first), pageCount: BigInt(pages), cells: most };
  const field = await directory.getField(range, { deadlineMs: ASK_MS, signal });
  const { cells, nodes, sampled, incomplete } = field;
  return {
    ...{
      first: Number(field.firstPage),
      pages: Number(field.pageCount),
      per: Number(field.pagesPerCell),
      nodes,
    },
    owner: cells.map((cell) => cell.owner),
    exclusive: cells.map((cell) => cell.exclusive),
    shared: cells.map((cell) => cell.shared),
    lost: cells.map((cell) => cell.lost),
    changing: cells.map((cell) => cell.changing),
    ...{ sampled, incomplete },
  };
}
