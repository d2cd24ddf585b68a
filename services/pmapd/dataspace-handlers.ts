// The methods of odonata.pmap.v1.DataspaceService: shared dataspaces as people use them.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { DataspaceService } from '@odonata/proto/pmap/v1/pmap';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { Handlers } from '@odonata/rpc/service.ts';
import { hotPagesWire } from './contention/hot-pages-wire.ts';
import { loadDataspace } from './load.ts';
import { acceptLoss, listLosses } from './losses.ts';
import type { SharedDataspace } from './memory/shared-dataspace.ts';
import type { Node } from './node.ts';
import { asked } from './sessions/asked.ts';

const CHUNK_BYTES = 1 << 20;
const HOT_PAGES = 32;

export function dataspaceHandlers(node: Node): Handlers<typeof DataspaceService> {
  return {
    async create({ name, sizeBytes, durable, mode, group }, ctx) {
      if (sizeBytes === 0n) throw invalidField('size_bytes', 'size_bytes: at least 1');
      const made = { exclusive: true, durable, mode, group };
      const { about } = await node.openings.open(name, sizeBytes, { ...made, ...asked(ctx) });
      return { dataspace: about };
    },
    async list({ pageSize, pageToken }, ctx) {
      const { requester, requestId } = asked(ctx);
      const page = { pageSize, pageToken, requester };
      const { dataspaces, nextPageToken } = await node.line.directory.listDataspaces(page, { requestId });
      return { dataspaces, nextPageToken };
    },
    async stat({ name }, ctx) {
      const { requester, requestId } = asked(ctx);
      const { dataspace, usage } = await node.line.directory.getDataspace({ name, requester }, { requestId });
      if (!dataspace?.durable) return { dataspace, usage };
      const { storedPages, corruptPages } = await node.backing.check(dataspace.id);
      return { dataspace, usage, storedPages: BigInt(storedPages), corruptPages: BigInt(corruptPages) };
    },
    async remove({ name }, ctx) {
      await node.removeDataspace(name, asked(ctx));
      return {};
    },
    async sync({ name, offset, length }, ctx) {
      const { dataspace } = await node.openings.open(name, 0n, { forWriting: true, ...asked(ctx) });
      const pageCount = await node.backing.sync(dataspace, offset, length);
      return { pages: BigInt(pageCount) };
    },
    load: (requests, ctx) => loadDataspace(node, requests, { ...asked(ctx), log: ctx.log }),
    async listLosses({ name }, ctx) {
      return await listLosses(node, name, asked(ctx));
    },
    async listHotPages({ name, maxPages }, ctx) {
      const { requester, requestId } = asked(ctx);
      const known = { name, withoutUsage: true, requester };
      const { dataspace } = await node.line.directory.getDataspace(known, { requestId });
      const { id, owner } = dataspace!;
      const namesOf = (page: number) => node.rangeNames.ofPage(id, page);
      return hotPagesWire({ ...node.hotPages.of(id, maxPages || HOT_PAGES), owner, namesOf }, ctx);
    },
    async acceptLoss({ name, by }, ctx) {
      return { pages: BigInt(await acceptLoss(node, name, by, asked(ctx))) };
    },
    async *save({ name, incomplete }, ctx) {
      const { dataspace } = await node.openings.open(name, 0n, { incomplete, ...asked(ctx) });
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
