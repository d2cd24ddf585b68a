// What `up` and `down` say of the backing store of durable dataspaces.
import type { Cluster } from '@odonata/client/cluster.ts';
import type { Dataspace } from '@odonata/proto/coherency/v1/coherency';
import { clusterFlag } from '../cluster/cluster-flag.ts';
import { storedBytes } from '../cluster/kept-store.ts';
import type { ClusterPaths } from '../cluster/paths.ts';
import type { ClusterRecord } from '../cluster/record.ts';
import { attachHere } from '../connection.ts';
import { explain, Failure } from '../failure.ts';
import { plural } from '../output.ts';
import { formatSize } from '../size.ts';

const ANSWER_MS = 2_000;
const NAMES_MAX = 5;
/** For one dataspace. */
const SYNC_MS = 600_000;

async function durableDataspaces({ dataspaces }: Cluster): Promise<Dataspace[]> {
  const all = await dataspaces.records({ deadlineMs: ANSWER_MS });
  return all.filter(({ durable }) => durable);
}

/** What durable dataspaces have goes into the store, zeros that nobody wrote among it. @throws Failure: not all of it does */
export async function syncDurable(record: ClusterRecord): Promise<void> {
  const { plan } = record;
  const flag = clusterFlag(plan.cluster);
  let name = '';
  const cluster = await attachHere(record, ANSWER_MS);
  try {
    const all = await durableDataspaces(cluster);
    if (all.length === 0) return;
    const node = await cluster.connection.answeringNode();
    for (const dataspace of all) {
      name = dataspace.name;
      await cluster.dataspaces.sync(name, { node, deadlineMs: SYNC_MS });
    }
  } catch (cause) {
    const what = name === '' ? 'durable dataspaces' : `dataspace ${name}`;
    throw new Failure(`${what} cannot be synced, and the cluster goes on: ${explain(cause)}`, {
      fix: `Without: vkctl down --keep --no-sync${flag}`,
      cause,
    });
  } finally {
    cluster.close();
  }
}

/** `2 durable dataspaces (notes 1 MiB, text 2 MiB)`; undefined where nobody answers. */
async function durableOnes(record: ClusterRecord): Promise<string | undefined> {
  const cluster = await attachHere(record, ANSWER_MS).catch(() => undefined);
  if (cluster === undefined) return undefined;
  try {
    const found = (await durableDataspaces(cluster)).map(
      ({ name, sizeBytes }) => `${name} ${formatSize(sizeBytes)}`,
    );
    const more = found.length > NAMES_MAX ? ', ...' : '';
    const names = found.length > 0 ? ` (${found.slice(0, NAMES_MAX).join(', ')}${more})` : '';
    return `${plural(found.length, 'durable dataspace')}${names}`;
  } catch {
    return undefined;
  } finally {
    cluster.close();
  }
}

/** Of a cluster that is up. */
export async function foundStore(record: ClusterRecord): Promise<string> {
  const ones = (await durableOnes(record)) ?? 'durable dataspaces';
  return `found the store of an earlier run: ${ones}; what they had synced is there`;
}

/** Asks while the cluster runs; the result says, when it is down, what has become of the store. */
export async function afterwards(
  paths: ClusterPaths,
  { running, purge = false }: { running?: ClusterRecord | undefined; purge?: boolean } = {},
): Promise<() => string> {
  const before = storedBytes(paths);
  const asked = running && before > 0 ? await durableOnes(running) : undefined;
  const ones = asked ?? 'durable dataspaces';
  const flag = clusterFlag(paths.cluster);
  return () => {
    const left = storedBytes(paths);
    if (left > 0)
      return `kept: what ${ones} had synced (${formatSize(left)} in ${paths.natsDir}); "vkctl up${flag}" goes on with it, "vkctl down --purge${flag}" deletes it`;
    const deleted = `what ${ones} had synced (${formatSize(before)})`;
    if (purge) return `deleted: ${deleted}`;
    return `deleted with it: ${deleted}; "vkctl down --keep${flag}" would keep it`;
  };
}
