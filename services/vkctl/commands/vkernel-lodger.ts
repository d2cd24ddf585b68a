// `vkctl vkernel` for a virtual kernel that is another cluster's: this machine's part of that cluster.
import { text } from 'node:stream/consumers';
import { adminName } from '@odonata/client/local/identity-folder.ts';
import { clusterFlag } from '../cluster/cluster-flag.ts';
import { clusterName, clusterPaths } from '../cluster/paths.ts';
import { readRecord } from '../cluster/record.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { endLodging, expectCpu, expectMemory, lodge } from '../lodger/lodge.ts';
import { changeLodgers, type LodgerEntry, type LodgerQuota, lodgerNamed } from '../lodger/lodgers-file.ts';
import { type Membership, readMembership } from '../machine/membership.ts';
import { say, showProgress } from '../output.ts';
import { formatSize, formatSpan } from '../size.ts';
import { hostAndPort } from './join.ts';
import { namesOf, type PlaceOptions, type QuotaOptions, quotaOf, shownQuota } from './vkernel-quota.ts';

export interface CreateOptions extends QuotaOptions {
  /** The address of the machine where another cluster began. */
  join?: string;
  token?: string;
  address?: { host: string; port: number };
  timeout: number;
}

/** A cluster that lodges here by this name. */
export const lodgerOf = (name: string, { user, cluster }: PlaceOptions): LodgerEntry | undefined =>
  user === undefined ? lodgerNamed(clusterPaths(clusterName(cluster)), name) : undefined;

export function expectNoLodger(name: string, options: PlaceOptions): void {
  if (lodgerOf(name, options) !== undefined)
    throw new Failure(`a cluster lodges here as ${name}`, { fix: 'Choose another name.' });
}

export async function lodgeHere(name: string, options: CreateOptions): Promise<void> {
  const { join, token, cluster, hostCluster, node, address } = options;
  if (join === undefined || token === undefined || cluster === undefined)
    throw new Failure('another cluster takes --cluster, --join and --token', {
      fix: 'Say how it is called here, where it began, and the token that "vkctl node token add" printed there.',
      exitCode: EXIT.usage,
    });
  if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(name))
    throw new Failure(`"${name}" is no name of a virtual kernel`, {
      fix: 'Use 1 to 32 of a-z 0-9 -.',
      exitCode: EXIT.usage,
    });
  const { host, port: doorPort } = hostAndPort(join, 0);
  const startMs = Date.now();
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort());
  const { membership, entry } = await lodge({
    ...{ lodger: name, own: clusterName(hostCluster), cluster: clusterName(cluster), user: adminName() },
    ...{ host, doorPort: doorPort || undefined, hostNode: node, quota: lodgerQuota(options) },
    token: (token === '-' ? await text(process.stdin) : token).trim(),
    ...{ ownHost: address?.host, port: address?.port },
    start: {
      timeoutMs: options.timeout * 1_000,
      signal: abort.signal,
      onProgress: ({ waitingFor }) => showProgress(`joined, waiting for ${waitingFor.join(', ')}`),
    },
  });
  const { node: made, cluster: of } = membership;
  const own = clusterName(hostCluster);
  const flag = clusterFlag(own);
  if (options.json) return printJson([plain(entry, membership)]);
  say(
    `${entry.host} of this machine is ${made.name} of cluster "${of}" as well, in virtual kernel ${name} (${formatSpan(Date.now() - startMs)})`,
  );
  say(`there it may have ${shownLodgerQuota(entry.quota)}; it leaves with: vkctl vkernel rm ${name}${flag}`);
}

const plain = ({ name, host, cluster: called, quota }: LodgerEntry, membership: Membership | undefined) => ({
  ...{ name, node: host, cluster: membership?.cluster ?? '', called, as: membership?.node.name ?? '', quota },
});

/** @throws Failure for what only a virtual kernel of the own cluster may be told */
function lodgerQuota(options: QuotaOptions, before?: LodgerQuota): LodgerQuota {
  const { dataspaces, disk, descriptors, user } = options;
  const flags = { '--dataspaces': dataspaces, '--disk': disk, '--descriptors': descriptors, '--user': user };
  const [flag] = Object.entries(flags).find(([, value]) => value !== undefined) ?? [];
  if (flag !== undefined || namesOf(options) !== undefined)
    throw new Failure(
      `${flag ?? 'a name'} is said within the other cluster: of its virtual kernels, by its own people`,
      { fix: 'Here it has --memory, --cpu-weight, --cpus and --processes.', exitCode: EXIT.usage },
    );
  const { memoryBytes, cpuWeight, cpuMillis, processes } = quotaOf(options);
  if (memoryBytes !== undefined && memoryBytes > 0 && memoryBytes < LODGER_LEAST_BYTES)
    throw new Failure(`--memory: ${formatSize(LODGER_LEAST_BYTES)} is the least that a node works with`, {
      exitCode: EXIT.usage,
    });
  return {
    memoryBytes: memoryBytes ?? before?.memoryBytes ?? 0,
    cpuWeight: cpuWeight ?? before?.cpuWeight ?? 0,
    cpuMillis: cpuMillis ?? before?.cpuMillis ?? 0,
    processes: processes ?? before?.processes ?? 0,
  };
}

const LODGER_LEAST_BYTES = 4 * 2 ** 20;

const shownLodgerQuota = (quota: LodgerQuota): string =>
  shownQuota({ quota: { ...quota, memoryBytes: BigInt(quota.memoryBytes) } });

export async function setLodger(entry: LodgerEntry, options: QuotaOptions): Promise<void> {
  const own = clusterPaths(clusterName(options.cluster));
  const quota = lodgerQuota(options, entry.quota);
  const record = readRecord(own.clusterFile);
  expectMemory(record?.plan.framesBytes, quota, entry.host);
  expectCpu(quota);
  await changeLodgers(own, (lodgers) =>
    lodgers.map((each) => (each.name === entry.name ? { ...each, quota } : each)),
  );
  if (options.json) printJson([plain({ ...entry, quota }, readMembership(clusterPaths(entry.cluster)))]);
  else say(`the cluster that lodges here as ${entry.name} may have ${shownLodgerQuota(quota)}`);
}

export async function removeLodger(entry: LodgerEntry, options: PlaceOptions): Promise<void> {
  const own = clusterPaths(clusterName(options.cluster));
  const membership = readMembership(clusterPaths(entry.cluster));
  const left = await endLodging(own, entry);
  const { node, cluster = entry.cluster } = membership ?? {};
  if (options.json) return printJson([{ name: entry.name, node: entry.host, called: entry.cluster, left }]);
  if (left) say(`${node?.name} has left cluster "${cluster}"; nothing is left of it here`);
  else
    say(
      `nothing is left here of ${node?.name} of cluster "${cluster}", which did not answer: take it out there with vkctl node rm ${node?.name}`,
    );
}
