// A cluster that lodges on this machine, as it stands among the virtual kernels of the node.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { VkernelSchema } from '@odonata/proto/vkernel/v1/vkernel';
import type { ShownLodger } from '@odonata/rpc/lodging/shown.ts';

export function lodgerShown(
  host: string,
  { name, user, cluster, called, node, state, hostPid, bytes, throttledMs, quota }: ShownLodger,
): MessageInitShape<typeof VkernelSchema> {
  return {
    ...{ name, user, node: host, hostPid, memoryBytes: BigInt(bytes), throttledMs: BigInt(throttledMs) },
    quota: { ...quota, memoryBytes: BigInt(quota.memoryBytes) },
    lodger: { cluster, called, node, state },
  };
}
