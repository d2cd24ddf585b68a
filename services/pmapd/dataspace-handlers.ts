// The methods of odonata.pmap.v1.DataspaceService: shared dataspaces as people use them.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { DataspaceService, LoadRequest } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { Handlers } from '@odonata/rpc/server.ts';
import type { Node } from './node.ts';
import type { SharedDataspace } from './shared-dataspace.ts';

const CHUNK_BYTES = 1 << 20;
const PROGRESS_BYTES = 4 << 20;

export function dataspaceHandlers(node: Node): Handlers<typeof DataspaceService> {
  return {
    async create({ name, sizeBytes, durable }, { requestId }) {
      if (sizeBytes === 0n) throw invalidField('size_bytes', 'size_bytes: at least 1');
      const { dataspace, created } = await node.openDataspace(name, sizeBytes, {
        exclusive: true,
        durable,
        requestId,
      });
      const { id } = dataspace;
      return { dataspace: { id, name, sizeBytes, durable, creator: created ? node.name : '' } };
    },
    async list({ pageSize, pageToken }, { requestId }) {
      const page = { pageSize, pageToken };
      const { dataspaces, nextPageToken } = await node.directory.listDataspaces(page, { requestId });
      return { dataspaces, nextPageToken };
    },
    async stat({ name }, { requestId }) {
      const { dataspace, usage } = await node.directory.getDataspace({ name }, { requestId });
      if (!dataspace?.durable) return { dataspace, usage };
      const { storedPages, corruptPages } = await node.backing.check(dataspace.id);
      return { dataspace, usage, storedPages: BigInt(storedPages), corruptPages: BigInt(corruptPages) };
    },
    async remove({ name }, { requestId }) {
      const asked = { name, withoutUsage: true };
      const { dataspace } = await node.directory.getDataspace(asked, { requestId });
      await node.directory.deleteDataspace({ name }, { requestId });
      // Its identity is never used again: what cannot be removed now takes room, and no more.
      if (dataspace?.durable) await node.backing.remove(dataspace.id);
      return {};
    },
    async sync({ name, offset, length }, { requestId }) {
      const { dataspace } = await node.openDataspace(name, 0n, { requestId });
      const pageCount = await node.backing.sync(node.memory, dataspace, offset, length);
      return { pages: BigInt(pageCount) };
    },
    async *load(requests, { requestId }) {
      let dataspace: SharedDataspace | undefined;
      let offset = 0n;
      let reported = 0n;
      for await (const request of requests) {
        dataspace ??= await begin(node, request, requestId);
        offset += await store(node, dataspace, offset, request.data);
        if (offset - reported < PROGRESS_BYTES) continue;
        reported = offset;
        yield { loadedBytes: offset };
      }
      if (dataspace === undefined)
        throw new RpcError(Code.InvalidArgument, 'the first message must carry the name');
      yield { loadedBytes: offset };
    },
    async *save({ name }, { requestId }) {
      const { dataspace } = await node.openDataspace(name, 0n, { requestId });
      const { sizeBytes } = dataspace;
      for (let offset = 0n; offset < sizeBytes; offset += BigInt(CHUNK_BYTES)) {
        const left = sizeBytes - offset;
        const length = left < CHUNK_BYTES ? Number(left) : CHUNK_BYTES;
        const data = await fetch(node, dataspace, Number(offset), length);
        yield offset === 0n ? { data, sizeBytes } : { data };
      }
    },
  };
}

async function begin(node: Node, request: LoadRequest, requestId: string): Promise<SharedDataspace> {
  const { dataspace } = await node.openDataspace(request.name, request.sizeBytes, { requestId });
  return dataspace;
}

/** Writes bytes at an offset, page run by page run. Returns how many. */
async function store(
  node: Node,
  dataspace: SharedDataspace,
  offset: bigint,
  data: Uint8Array,
): Promise<bigint> {
  if (data.length === 0) return 0n;
  if (offset + BigInt(data.length) > dataspace.sizeBytes) {
    throw new RpcError(
      Code.OutOfRange,
      `dataspace ${dataspace.name} has ${dataspace.sizeBytes} bytes; the input is longer`,
    );
  }
  const from = Number(offset);
  const firstPage = Math.floor(from / PAGE_BYTES);
  const pageCount = Math.floor((from + data.length - 1) / PAGE_BYTES) - firstPage + 1;
  await pages(node, dataspace, firstPage, pageCount, 'WRITE', () => dataspace.file.writeAt(from, data));
  return BigInt(data.length);
}

async function fetch(
  node: Node,
  dataspace: SharedDataspace,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const firstPage = offset / PAGE_BYTES;
  const pageCount = Math.ceil(length / PAGE_BYTES);
  const bytes = await pages(node, dataspace, firstPage, pageCount, 'READ', () =>
    dataspace.file.read(firstPage, pageCount),
  );
  return bytes.subarray(0, length);
}

async function pages<T>(
  node: Node,
  dataspace: SharedDataspace,
  firstPage: number,
  pageCount: number,
  mode: 'READ' | 'WRITE',
  use: () => T,
): Promise<T> {
  try {
    return await node.memory.withPages(dataspace, firstPage, pageCount, mode, use);
  } catch (error) {
    if (error instanceof RpcError) throw error;
    throw new RpcError(Code.DataLoss, error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
}
