// Dataspaces as a whole: list, load, save. One memory, so any node serves; the directory knows where pages are.
import { create } from '@bufbuild/protobuf';
import type { Dataspace, DataspaceUsage } from '@odonata/proto/coherency/v1/coherency';
import { type DataspaceLoss, DataspaceLossSchema } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { allPages, type Connection } from './connection.ts';
import { hasCode } from './failure.ts';

/** What a directory knows it says at once, when it runs. */
const ASK_MS = 10_000;
const PIECE_BYTES = 2 ** 20;

export interface DataspaceDetail {
  dataspace: Dataspace;
  usage: DataspaceUsage;
  /** Pages that no node has. */
  loss?: DataspaceLoss;
}

async function usageOf(to: Connection, name: string): Promise<DataspaceDetail> {
  const { dataspace, usage } = await (await to.directory()).getDataspace({ name }, { deadlineMs: ASK_MS });
  if (!dataspace || !usage) throw new RpcError(Code.Internal, `cohd answered without dataspace "${name}"`);
  return { dataspace, usage };
}

export async function statDataspace(to: Connection, name: string): Promise<DataspaceDetail> {
  const detail = await usageOf(to, name);
  if (detail.usage.lostPages > 0n) detail.loss = (await listLosses(to, name))[0];
  return detail;
}

/** Pages that no node has, by dataspace: of all, or of one. */
export async function listLosses(to: Connection, name = ''): Promise<DataspaceLoss[]> {
  const node = await to.answeringNode().catch(() => undefined);
  if (node !== undefined) return (await to.dataspaces(node).listLosses({ name })).losses;
  // No node asks the backing store: of what is durable nobody knows whether it is stored.
  const { losses } = await (await to.directory()).listLosses({}, { deadlineMs: ASK_MS });
  return losses.map(({ dataspace, pages }) => {
    const { name, durable } = dataspace!;
    const [lostPages, unknownPages] = durable ? [0n, pages] : [pages, 0n];
    return create(DataspaceLossSchema, { name, durable, lostPages, unknownPages });
  });
}

export async function listDataspaces(to: Connection): Promise<DataspaceDetail[]> {
  const all = await allPages(
    async (pageToken) =>
      (await to.directory()).listDataspaces({ pageSize: 1000, pageToken }, { deadlineMs: ASK_MS }),
    ({ dataspaces }) => dataspaces,
  );
  const details: DataspaceDetail[] = [];
  const losses = new Map(all.length === 0 ? [] : (await listLosses(to)).map((loss) => [loss.name, loss]));
  for (const { name } of all) {
    try {
      const detail = await usageOf(to, name);
      details.push(losses.has(name) ? { ...detail, loss: losses.get(name) } : detail);
    } catch (error) {
      if (!hasCode(error, Code.NotFound)) throw error; // Removed meanwhile.
    }
  }
  return details;
}

export interface LoadOptions {
  name: string;
  /** To make it with; 0: it must exist. */
  sizeBytes: number;
  /** So many bytes must come; 0, or missing: as many as there are. */
  loadBytes?: number;
  bytes: AsyncIterable<Uint8Array>;
  onProgress?: (loadedBytes: number) => void;
}

/** Writes bytes into a dataspace from its start: all, or what broke off does not look whole. Returns how many. */
export async function loadDataspace(to: Connection, node: string, options: LoadOptions): Promise<number> {
  const { name, loadBytes = 0 } = options;
  let loadedBytes = 0;
  async function* requests() {
    let sentBytes = 0;
    yield { name, sizeBytes: BigInt(options.sizeBytes), loadBytes: BigInt(loadBytes) };
    for await (const chunk of options.bytes) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES)
        yield { data: chunk.subarray(at, at + PIECE_BYTES) };
      sentBytes += chunk.length;
    }
    if (loadBytes > 0 && sentBytes !== loadBytes)
      throw new RpcError(Code.DataLoss, `the input ended after ${sentBytes} of ${loadBytes} bytes`);
    yield { complete: true };
  }
  for await (const response of to.dataspaces(node).load(requests())) {
    loadedBytes = Number(response.loadedBytes);
    options.onProgress?.(loadedBytes);
  }
  return loadedBytes;
}

/** The bytes of a dataspace, in order. */
export async function* saveDataspace(
  to: Connection,
  node: string,
  name: string,
  incomplete = false,
): AsyncIterable<Uint8Array> {
  let saved = 0n;
  let whole: bigint | undefined;
  for await (const { data, sizeBytes } of to.dataspaces(node).save({ name, incomplete })) {
    whole ??= sizeBytes;
    saved += BigInt(data.length);
    if (data.length > 0) yield data;
  }
  if (whole !== undefined && saved !== whole) {
    throw new RpcError(Code.DataLoss, `dataspace "${name}": ${saved} of ${whole} bytes came`);
  }
}
