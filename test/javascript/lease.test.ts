// A pmap manager that stands still takes nothing away from programs; so what they have mapped breaks when its lease ends.
import { once } from 'node:events';
import { clientReason, connect, type RpcError } from '@odonata/client';
import { expect, test } from 'vitest';
import { TestCluster } from '../cluster/cluster.ts';

test('what is mapped breaks, and what was read after the end of the lease does not count', async () => {
  const there = await TestCluster.up({ nodes: 1, leaseMs: 3_000 });
  try {
    await using cluster = await connect({ cluster: there.cluster });
    await using leased = await cluster.open('leased', { sizeBytes: 4096 });
    const words = new Int32Array(await leased.map());
    words[0] = 1;
    const broke = once(leased, 'error');
    const { pid } = there.service('node1/pmapd').process!;
    process.kill(pid, 'SIGSTOP');
    // Nobody answers it.
    const lock = leased.lock();
    lock.catch(() => {});
    try {
      const [error] = (await broke) as [RpcError];
      await expect(lock).rejects.toBe(error);
      expect(clientReason(error)).toMatchObject({
        ...{ reason: 'BROKEN_MAPPING', dataspace: 'leased', signal: 'SIGKILL' },
        why: 'the pmap manager of its node does not answer, and its lease of shared memory ended',
      });
      expect(words[0]).toBe(0xdbdbdbdb | 0);
      await expect(leased.use(() => words[0])).rejects.toThrow('lease');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  } finally {
    await there.down();
  }
}, 120_000);
