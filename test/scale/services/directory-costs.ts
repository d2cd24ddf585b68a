// What the directory costs beside acquires: sharers of a page that is written, receivers of a broadcast, and holders that
// only renew their leases. Each is the slope between a few and many.
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuUsOf, replicaCpuUs, sum } from '../../bench/directory/cpu.ts';
import { Holders, type Place, within } from '../../bench/directory/holders.ts';
import { measure } from '../../bench/directory/upgrade.ts';
import type { Costs } from '../projection/costs.ts';
import type { Setting } from '../scaled-service.ts';

const SHARERS = [2, 34] as const;
const QUICK_SHARERS = [2, 10] as const;
const HOLDERS = 64;
const QUICK_HOLDERS = 16;
const WATCH_MS = 5000;
const QUICK_WATCH_MS = 600;
const SETTLE_MS = 1000;

export async function directoryCosts(setting: Setting, place: Place): Promise<Partial<Costs>> {
  const { progress, quick } = setting;
  const [few, many] = quick ? QUICK_SHARERS : SHARERS;
  // First: holders that leave are buried a lease later, and that is work.
  const cohdHolderCores = await holderCores(setting, place);
  progress(`upgrades with ${few} sharers, not compiled yet`);
  await measure(setting, place, few);
  progress(`upgrades with ${few} sharers`);
  const less = await measure(setting, place, few);
  progress(`upgrades with ${many} sharers`);
  const more = await measure(setting, place, many);
  return {
    cohdSharerUs: slope(less.cohdUs, more.cohdUs, many - few),
    natsDeliveryUs: slope(less.natsUs, more.natsUs, many - few),
    cohdHolderCores,
  };
}

/** Of a replica, for the lease of one holder. */
async function holderCores({ progress, quick, signal }: Setting, place: Place): Promise<number> {
  const count = quick ? QUICK_HOLDERS : HOLDERS;
  const watchMs = quick ? QUICK_WATCH_MS : WATCH_MS;
  const replicas = place.directories.length;
  const watch = async (): Promise<number> => {
    const cpuUs = await cpuUsOf(place.pids, () => sleep(watchMs, undefined, { signal }));
    return sum(replicaCpuUs(cpuUs)) / replicas / (watchMs * 1e3);
  };
  progress(`leases of ${count} holders more`);
  const without = await watch();
  const holders = await within({ signal, what: 'joining the directory' }, Holders.join(place, count));
  try {
    await sleep(quick ? 0 : SETTLE_MS, undefined, { signal });
    return slope(without, await watch(), count);
  } finally {
    await holders.close();
  }
}

/** Noise may turn a small one below zero. */
const slope = (less: number, more: number, by: number): number => Math.max(0, (more - less) / by);
