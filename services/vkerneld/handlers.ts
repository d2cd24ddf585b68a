import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ProcessState, type VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { pageOf } from '@odonata/rpc/list-page.ts';
import type { Handlers } from '@odonata/rpc/service.ts';
import type { RunPlace } from './run.ts';
import { run } from './run.ts';
import { checkSignal } from './signals.ts';

/** The handlers of VkernelService, over gRPC and syslink alike. */
export function vkernelHandlers(place: RunPlace): Handlers<typeof VkernelService> {
  const { node, table, vkernels } = place;
  return {
    run: (requests, ctx) => run(place, requests, ctx),

    listProcesses({ pageSize, pageToken }) {
      const { items, nextPageToken } = pageOf(table.list(), ({ pid }) => pid.toString(), pageSize, pageToken);
      const processes = items.map(
        ({ pid, vkernel, command, state, exit, startedAtMs, residentPages, cpuMs }) => {
          const startedAt = timestampFromMs(startedAtMs);
          return { pid, node, vkernel, command: [...command], state, exit, startedAt, residentPages, cpuMs };
        },
      );
      return { processes, nextPageToken };
    },

    kill({ pid, signal }) {
      const process = table.get(pid, node);
      const name = checkSignal(signal);
      if (process.state === ProcessState.EXITED) {
        throw new RpcError(Code.FailedPrecondition, `process ${pid} on ${node} ended already`);
      }
      vkernels.send(process, { case: 'signal', value: { pid, signal: name } });
      return {};
    },

    async *getLogs({ pid, follow }, ctx) {
      const { log } = table.get(pid, node);
      for await (const { chunk, droppedBytes } of log.read(follow, ctx.signal)) {
        yield { output: chunk && { stream: chunk.stream, data: chunk.data }, droppedBytes };
      }
    },

    listVkernels() {
      return {
        vkernels: vkernels.list().map(({ record: { name, hostPid, startedAtMs } }) => {
          const startedAt = timestampFromMs(startedAtMs);
          return { name, node, hostPid, processes: table.running(name).length, startedAt };
        }),
      };
    },
  };
}
