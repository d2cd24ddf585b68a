// What the pmap manager of this node is told that virtual kernels may have, and says that they have.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { PmapService } from '@odonata/proto/pmap/v1/pmap';
import type { Client } from '@odonata/rpc/client.ts';
import type { PmapUses } from './vkernel-uses.ts';
import type { Vkernels } from './vkernels.ts';

/** It is on this machine. */
const DEADLINE_MS = 3_000;

export function pmapdUses(
  pmapd: Pick<Client<typeof PmapService>, 'boundVkernels'>,
  vkernels: Vkernels,
): () => Promise<PmapUses> {
  return async () => {
    const keys = new Set([...vkernels.list().map(({ key }) => key), ...vkernels.quotas.keys()]);
    if (keys.size === 0) return new Map();
    const bounds = [...keys].map((name) => {
      const { memoryBytes, dataspaces } = vkernels.quotas.of(name);
      return { name, frames: BigInt(Math.ceil(memoryBytes / PAGE_BYTES)), dataspaces };
    });
    const { uses } = await pmapd.boundVkernels({ bounds }, { deadlineMs: DEADLINE_MS });
    return new Map(
      uses.map(({ name, frames, dataspaces }) => [
        name,
        { memoryBytes: Number(frames) * PAGE_BYTES, dataspaces },
      ]),
    );
  };
}
