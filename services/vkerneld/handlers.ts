import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { isTheirs } from '@odonata/rpc/identity/access.ts';
import { pageOf } from '@odonata/rpc/list-page.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { Handlers } from '@odonata/rpc/service.ts';
import { sleeps } from './process-table.ts';
import type { RunPlace } from './run.ts';
import { run } from './run.ts';
import { checkSignal } from './signals.ts';
import type { Snapshots } from './snapshots.ts';
import { nameOfKey } from './vkernel-child.ts';
import { type VkernelsPlace, vkernelsHandlers } from './vkernel-handlers.ts';

/** The handlers of VkernelService, over gRPC and syslink alike. */
export function vkernelHandlers(
  place: RunPlace & VkernelsPlace & { readonly snapshots: Snapshots },
): Handlers<typeof VkernelService> {
  const { node, table, vkernels } = place;
  return {
    run: (requests, ctx) => run(place, requests, ctx),

    listProcesses({ pageSize, pageToken }, ctx) {
      const theirs = table.list().filter(({ user }) => isTheirs(ctx, user));
      const { items, nextPageToken } = pageOf(theirs, ({ pid }) => pid.toString(), pageSize, pageToken);
      const processes = items.map(
        ({
          pid,
          vkernel: key,
          user,
          command,
          state,
          exit,
          startedAtMs,
          residentPages,
          cpuMs,
          busyAtMs,
          threads,
          isParked,
          descriptors,
          ...process
        }) => {
          const relatives = place.relatives.home.find(pid) ?? process.relatives;
          const startedAt = timestampFromMs(startedAtMs);
          const vkernel = nameOfKey(key);
          return {
            pid,
            node,
            vkernel,
            user,
            command: [...command],
            state,
            exit,
            startedAt,
            residentPages,
            cpuMs,
            sleeps: sleeps({ state, busyAtMs }),
            parked: isParked,
            threads,
            descriptors,
            parent: relatives?.parent ?? 0n,
            group: relatives?.group ?? pid,
            session: relatives?.session ?? pid,
          };
        },
      );
      return { processes, nextPageToken };
    },

    kill({ pid, signal }, ctx) {
      const name = checkSignal(signal);
      const process = table.runningOfTheirs(pid, node, ctx);
      vkernels.send(process, { case: 'signal', value: { pid, signal: name } });
      return {};
    },

    snapshot: (requests, ctx) => place.snapshots.take(requests, ctx),

    async *getLogs({ pid, follow }, ctx) {
      const { log } = table.ofTheirs(pid, node, ctx);
      for await (const { chunk, droppedBytes } of log.read(follow, ctx.signal)) {
        yield { output: chunk && { stream: chunk.stream, data: chunk.data }, droppedBytes };
      }
    },

    listAllowedDirectories() {
      return { directories: place.directories.list() };
    },

    async allowDirectory({ directory }, ctx) {
      if (directory === undefined) throw invalidField('directory', 'directory: one is needed');
      if (place.lodges)
        throw new RpcError(
          Code.PermissionDenied,
          `${node} lodges on the machine of another cluster: no program of this one gets folders of it`,
        );
      const { path, readOnly } = directory;
      await place.directories.allow(path, readOnly);
      ctx.log.info({ path, readOnly }, 'a directory is allowed from now on');
      return {};
    },

    disallowDirectory({ path }, ctx) {
      place.directories.disallow(path);
      ctx.log.info({ path }, 'a directory is allowed no more');
      return {};
    },

    ...vkernelsHandlers(place),
  };
}
