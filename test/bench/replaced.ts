// A service of the bench's cluster takes the place of another one.
import { setTimeout as sleep } from 'node:timers/promises';
import { clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { type ClusterRecord, readRecord } from '../../services/vkctl/cluster/record.ts';
import { askToReplace } from '../../services/vkctl/cluster/replace.ts';
import { Failure } from '../../services/vkctl/failure.ts';
import type { Setting } from './part.ts';

const HAND_OVER_MS = 60_000;

export function recordOf({ to }: Setting): ClusterRecord {
  const record = readRecord(clusterPaths(to.cluster).clusterFile);
  if (record === undefined) throw new Failure(`no record of cluster ${to.cluster}`);
  return record;
}

/** @param service `NODE/pmapd`. @returns for how long virtual kernels waited, in ms */
export async function replace(setting: Setting, service: string): Promise<number> {
  const [node] = service.split('/') as [string];
  const find = () => recordOf(setting).services.find(({ name }) => name === service)!;
  const { restarts, notReplaced = 0 } = find();
  if (!askToReplace(service, recordOf(setting))) throw new Failure('the supervisor does not run');
  const endMs = performance.now() + HAND_OVER_MS;
  for (;;) {
    const now = find();
    if ((now.notReplaced ?? 0) > notReplaced) throw new Failure(`${service}: a hand-over was given up`);
    if (now.restarts > restarts) {
      const { takeOverMs } = await setting.to.pmapd(node).getNodeStats({}, { deadlineMs: 2_000 }).catch(away);
      if (takeOverMs > 0) return takeOverMs;
    }
    if (performance.now() > endMs) throw new Failure(`${service}: no hand-over within ${HAND_OVER_MS} ms`);
    await sleep(20, undefined, { signal: setting.signal });
  }
}

/** While it moves it cannot be asked. */
const away = () => ({ takeOverMs: 0 });
