// The methods of odonata.pmap.v1.DataspaceService: shared dataspaces as people use them.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { DataspaceService } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { Handlers } from '@odonata/rpc/service.ts';
import { hotPagesWire } from './contention/hot-pages-wire.ts';
import { loadDataspace } from './load.ts';
import { acceptLoss, listLosses } from './losses.ts';
import type { SharedDataspace } from './memory/shared-dataspace.ts';
import type { Node } from './node.ts';
import { asked } from './sessions/asked.ts';

const CHUNK_BYTES = 1 << 20;
/** Chunks of one that is read out that come at a time. */
const CHUNKS_AHEAD = 3;
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
    async write({ name, offset, data }, ctx) {
      const { dataspace } = await node.openings.open(name, 0n, { forWriting: true, ...asked(ctx) });
      expectWithin(dataspace, offset, BigInt(data.length));
      if (data.length === 0) return {};
      const at = Number(offset);
      const { firstPage, pageCount } = pagesOf(at, data.length);
      const write = (): void => dataspace.file.writeAt(at, data);
      await node.memory.withPages(dataspace, firstPage, pageCount, 'WRITE', write);
      return {};
    },
    async *save({ name, incomplete, offset: from, length: wanted }, ctx) {
      const { dataspace } = await node.openings.open(name, 0n, { incomplete, ...asked(ctx) });
      const { sizeBytes } = dataspace;
      expectWithin(dataspace, from, wanted);
      const end = wanted === 0n ? sizeBytes : from + wanted;
      let isFirst = true;
      for await (const data of chunksAhead(node, dataspace, from, end)) {
        yield isFirst ? { data, sizeBytes } : { data };
        isFirst = false;
      }
    },
  };
}

/** The bytes from an offset to another one. While one chunk is on its way to the caller, the next ones come here. */
async function* chunksAhead(
  node: Node,
  dataspace: SharedDataspace,
  from: bigint,
  end: bigint,
): AsyncGenerator<Uint8Array, void, undefined> {
  const coming: Promise<Uint8Array>[] = [];
  let offset = from;
  for (;;) {
    while (offset < end && coming.length < CHUNKS_AHEAD) {
      // All but the first begin with a page.
      const next = offset - (offset % BigInt(CHUNK_BYTES)) + BigInt(CHUNK_BYTES);
      const length = Number((next < end ? next : end) - offset);
      const chunk = fetch(node, dataspace, Number(offset), length);
      // Whoever comes to it hears of it.
      chunk.catch(() => {});
      coming.push(chunk);
      offset += BigInt(length);
    }
    const chunk = coming.shift();
    if (chunk === undefined) return;
    yield await chunk;
  }
}

async function fetch(
  node: Node,
  dataspace: SharedDataspace,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const { firstPage, pageCount } = pagesOf(offset, length);
  const bytes = await node.memory.withPages(dataspace, firstPage, pageCount, 'READ', () =>
    dataspace.file.read(firstPage, pageCount),
  );
  const begin = offset - firstPage * PAGE_BYTES;
  return bytes.subarray(begin, begin + length);
}

function pagesOf(offset: number, length: number): { firstPage: number; pageCount: number } {
  const firstPage = Math.floor(offset / PAGE_BYTES);
  return { firstPage, pageCount: Math.ceil((offset + length) / PAGE_BYTES) - firstPage };
}

/** @throws RpcError OUT_OF_RANGE */
function expectWithin({ name, sizeBytes }: SharedDataspace, offset: bigint, length: bigint): void {
  if (offset + length <= sizeBytes) return;
  throw new RpcError(
    Code.OutOfRange,
    `dataspace ${name} has ${sizeBytes} bytes; ${offset} + ${length} go past its end`,
  );
}
