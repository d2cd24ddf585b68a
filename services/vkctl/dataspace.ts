// Dataspaces as a whole: list, load, save. One memory, so any node serves; the directory knows where pages are.
import type { Dataspace, DataspaceUsage } from '@odonata/proto/coherency/v1/coherency';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { allPages, type Connection } from './connection.ts';
import { hasCode } from './failure.ts';

const PIECE_BYTES = 2 ** 20;

export interface DataspaceDetail {
  dataspace: Dataspace;
  usage: DataspaceUsage;
}

export async function statDataspace(to: Connection, name: string): Promise<DataspaceDetail> {
  const { dataspace, usage } = await (await to.directory()).getDataspace({ name });
  if (!dataspace || !usage) throw new RpcError(Code.Internal, `cohd answered without dataspace "${name}"`);
  return { dataspace, usage };
}

export async function listDataspaces(to: Connection): Promise<DataspaceDetail[]> {
  const all = await allPages(
    async (pageToken) => (await to.directory()).listDataspaces({ pageSize: 1000, pageToken }),
    ({ dataspaces }) => dataspaces,
  );
  const details: DataspaceDetail[] = [];
  for (const { name } of all) {
    try {
      details.push(await statDataspace(to, name));
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
  bytes: AsyncIterable<Uint8Array>;
  onProgress?: (loadedBytes: number) => void;
}

/** Writes bytes into a dataspace from its start. Returns how many. */
export async function loadDataspace(to: Connection, node: string, options: LoadOptions): Promise<number> {
  let loadedBytes = 0;
  async function* requests() {
    yield { name: options.name, sizeBytes: BigInt(options.sizeBytes) };
    for await (const chunk of options.bytes) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES)
        yield { data: chunk.subarray(at, at + PIECE_BYTES) };
    }
  }
  for await (const response of to.dataspaces(node).load(requests())) {
    loadedBytes = Number(response.loadedBytes);
    options.onProgress?.(loadedBytes);
  }
  return loadedBytes;
}

/** The bytes of a dataspace, in order. */
export async function* saveDataspace(to: Connection, node: string, name: string): AsyncIterable<Uint8Array> {
  let saved = 0n;
  let whole: bigint | undefined;
  for await (const { data, sizeBytes } of to.dataspaces(node).save({ name })) {
    whole ??= sizeBytes;
    saved += BigInt(data.length);
    if (data.length > 0) yield data;
  }
  if (whole !== undefined && saved !== whole) {
    throw new RpcError(Code.DataLoss, `dataspace "${name}": ${saved} of ${whole} bytes came`);
  }
}
