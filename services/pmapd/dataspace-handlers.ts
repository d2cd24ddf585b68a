// The methods of odonata.pmap.v1.DataspaceService: shared dataspaces as people use them.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { DataspaceService } from '@odonata/proto/pmap/v1/pmap';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { Handlers } from '@odonata/rpc/server.ts';
import { loadDataspace } from './load.ts';
import { acceptLoss, listLosses } from './losses.ts';
import type { Node } from './node.ts';
import type { SharedDataspace } from './shared-dataspace.ts';

const CHUNK_BYTES = 1 << 20;

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
      const pageCount = await node.backing.sync(dataspace, offset, length);
      return { pages: BigInt(pageCount) };
    },
    load: (requests, { requestId, log }) => loadDataspace(node, requests, { requestId, log }),
    async listLosses({ name }, { requestId }) {
      return await listLosses(node, name, requestId);
    },
    async acceptLoss({ name, by }, { requestId }) {
      return { pages: BigInt(await acceptLoss(node, name, by, requestId)) };
    },
    async *save({ name, incomplete }, { requestId }) {
      const { dataspace } = await node.openDataspace(name, 0n, { incomplete, requestId });
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

async function fetch(
  node: Node,
  dataspace: SharedDataspace,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const firstPage = offset / PAGE_BYTES;
  const pageCount = Math.ceil(length / PAGE_BYTES);
  const bytes = await node.memory.withPages(dataspace, firstPage, pageCount, 'READ', () =>
    dataspace.file.read(firstPage, pageCount),
  );
  return bytes.subarray(0, length);
}
