// A dataspace in a few cells: each replica knows the pages of the shards that it leads, and whom it asks adds them up.
import { emptyCell, type FieldCell, type FieldRange, fieldOf } from '@odonata/coherency/replica/field.ts';
import { DirectoryService, type GetFieldResponse } from '@odonata/proto/coherency/v1/coherency';
import { createClient } from '@odonata/rpc/client.ts';
import type { CoherencyService } from './coherency-service.ts';
import type { DataspaceRecord } from './registry.ts';

const ASK_MS = 2_000;
const UINT32_MAX = 2 ** 32 - 1;

/** @param addresses of all replicas; none: only what this one knows. @throws RpcError when one of them does not answer */
export async function wholeField(
  record: DataspaceRecord,
  service: CoherencyService,
  range: FieldRange,
  addresses: readonly string[],
) {
  const leadsAll = service.led.length === service.shards;
  const { name } = record;
  if (leadsAll || addresses.length === 0) {
    const field = fieldOf(record, service, range);
    return {
      ...wireRange(range),
      ...wireCells(field.cells),
      sampled: field.sampled,
      incomplete: field.incomplete,
    };
  }
  const answers = await Promise.all(addresses.map((address) => ask(address, name, range)));
  const cells = Array.from({ length: range.cells }, emptyCell);
  for (const answer of answers)
    answer.cells.slice(0, range.cells).forEach((part, at) => {
      const cell = cells[at]!;
      cell.exclusive += part.exclusive;
      cell.shared += part.shared;
      cell.lost += part.lost;
      cell.changing += part.changing;
      const node = part.owner === 0 ? undefined : answer.nodes[part.owner - 1];
      if (node !== undefined) cell.owned.set(node, (cell.owned.get(node) ?? 0) + part.owned);
    });
  const sampled = answers.some((answer) => answer.sampled);
  return {
    ...wireRange(range),
    ...wireCells(cells),
    sampled,
    incomplete: answers.some((answer) => answer.incomplete),
  };
}

const wireRange = ({ firstPage, pageCount, pagesPerCell }: FieldRange) => ({
  firstPage: BigInt(firstPage),
  pageCount: BigInt(pageCount),
  pagesPerCell: BigInt(pagesPerCell),
});

function wireCells(cells: readonly FieldCell[]) {
  const places = new Map<string, number>();
  const wire = cells.map((cell) => {
    let [most, owned] = ['', 0];
    for (const [node, pages] of cell.owned) if (pages > owned) [most, owned] = [node, pages];
    if (owned > 0 && !places.has(most)) places.set(most, places.size + 1);
    const counts = {
      exclusive: cell.exclusive,
      shared: cell.shared,
      lost: cell.lost,
      changing: cell.changing,
    };
    const bounded = Object.entries({ ...counts, owned }).map(([key, n]) => [key, Math.min(n, UINT32_MAX)]);
    return {
      ...(Object.fromEntries(bounded) as typeof counts & { owned: number }),
      owner: places.get(most) ?? 0,
    };
  });
  return { cells: wire, nodes: [...places.keys()] };
}

async function ask(address: string, name: string, range: FieldRange): Promise<GetFieldResponse> {
  const replica = createClient(DirectoryService, address, { deadlineMs: ASK_MS });
  const { firstPage, pageCount, cells } = range;
  try {
    return await replica.getField({
      ...{ name, cells, thisReplica: true },
      ...{ firstPage: BigInt(firstPage), pageCount: BigInt(pageCount) },
    });
  } finally {
    replica.close();
  }
}
