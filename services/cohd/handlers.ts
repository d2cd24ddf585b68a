// The methods of odonata.coherency.v1.DirectoryService.
import type { DirectoryService, HoldRequest } from '@odonata/proto/coherency/v1/coherency';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { pageOf } from '@odonata/rpc/list-page.ts';
import { failStream, type Handlers, raw } from '@odonata/rpc/server.ts';
import type { CoherencyService } from './coherency-service.ts';
import type { HolderEntry, HolderStream } from './holder-table.ts';
import { checkName, type DataspaceRecord, type Registry } from './registry.ts';

const wire = (record: DataspaceRecord) => ({
  id: record.id,
  name: record.name,
  sizeBytes: record.sizeBytes,
  creator: record.creator,
  creatorIncarnation: record.creatorIncarnation,
});

export function directoryHandlers(
  service: CoherencyService,
  registry: Registry,
): Handlers<typeof DirectoryService> {
  const creating = new Map<string, Promise<unknown>>();

  function known(name: string): DataspaceRecord {
    const record = registry.get(name);
    if (record === undefined)
      throw new RpcError(
        Code.NotFound,
        `no dataspace ${JSON.stringify(name.slice(0, 200))}; vkctl ds ls lists them`,
      );
    return record;
  }

  return {
    hold: raw((call) => {
      let entry: HolderEntry | undefined;
      const stream = call as unknown as HolderStream;
      const fail = (error: unknown) => {
        const rpcError =
          error instanceof RpcError ? error : new RpcError(Code.InvalidArgument, String(error));
        failStream(call, rpcError);
      };
      call.on('data', (request: HoldRequest) => {
        try {
          for (const event of request.events) {
            if (event.event.case === 'hello') entry = service.attach(event.event.value, stream);
            else if (entry === undefined)
              throw new RpcError(Code.FailedPrecondition, 'the first event must be hello');
            else if (entry.stream === stream) service.receive(entry, event);
            // Somebody waits for these pages: they do not wait for the work on those after them.
            if (event.event.case === 'acquire' && event.event.value.neededPages === 1)
              service.holders.flush();
          }
        } catch (error) {
          if (error instanceof RpcError || error instanceof RangeError) fail(error);
          else throw error;
        }
      });
      const gone = () => {
        if (entry !== undefined) service.detach(entry, stream);
      };
      call.on('end', () => {
        gone();
        call.end();
      });
      call.on('cancelled', gone);
      call.on('error', gone);
    }),

    async createDataspace({ name, sizeBytes, creator, creatorIncarnation, exclusive }) {
      checkName(name);
      // One at a time a name: the second sees what the first made.
      while (creating.has(name)) await creating.get(name);
      const existing = registry.get(name);
      if (existing !== undefined) {
        if (exclusive) throw new RpcError(Code.AlreadyExists, `dataspace ${name} exists`);
        if (existing.sizeBytes !== sizeBytes) {
          throw new RpcError(
            Code.AlreadyExists,
            `dataspace ${name} exists with ${existing.sizeBytes} bytes, not ${sizeBytes}`,
          );
        }
        return { dataspace: wire(existing), created: false };
      }
      const work = registry.create({ name, sizeBytes, creator, creatorIncarnation });
      creating.set(
        name,
        work.catch(() => {}),
      );
      try {
        const record = await work;
        service.register(record);
        return { dataspace: wire(record), created: true };
      } finally {
        creating.delete(name);
      }
    },

    getDataspace({ name }) {
      const record = known(name);
      const { owned, lost } = service.directory.usage(record.id);
      const ownedPages: Record<string, bigint> = {};
      for (const [holder, pages] of owned) {
        const node = service.holders.get(holder)?.node;
        if (node !== undefined) ownedPages[node] = BigInt(pages);
      }
      const mappedBy = service.holders
        .all()
        .filter((h) => h.mapped.has(record.id))
        .map((h) => h.node);
      const usage = {
        lostPages: BigInt(lost),
        ownedPages,
        locks: BigInt(service.sync.lockCount(record.id)),
        mappedBy,
      };
      return { dataspace: wire(record), usage };
    },

    listDataspaces({ pageSize, pageToken }) {
      const { items, nextPageToken } = pageOf(registry.list(), (r) => r.name, pageSize, pageToken);
      return { dataspaces: items.map(wire), nextPageToken };
    },

    async deleteDataspace({ name }) {
      const record = known(name);
      service.unregister(record);
      await registry.remove(name);
      return {};
    },

    getDirectoryStats() {
      const { acquires, grants, recalls, invalidations, resends } = service.directory.counters;
      return {
        epoch: service.epoch,
        acquires: BigInt(acquires),
        grants: BigInt(grants),
        recalls: BigInt(recalls),
        invalidations: BigInt(invalidations),
        resends: BigInt(resends),
        holders: service.holders.all().map((h) => h.node),
        dataspaces: registry.list().length,
        rebuilding: service.isRebuilding,
      };
    },
  };
}
