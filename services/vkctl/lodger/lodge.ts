// A cluster comes to lodge on this machine, and goes again: what `vkctl vkernel create --cluster` and `vkctl vkernel rm` do.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tlsDirOf } from '@odonata/client/local/identity-folder.ts';
import { LODGERS_MAX } from '@odonata/rpc/lodging/wanted.ts';
import { DELEGATE, findCgroupHome } from '@odonata/userfault/sandbox/cgroup.ts';
import { authorityDir } from '../cluster/certificates.ts';
import { clusterFlag } from '../cluster/cluster-flag.ts';
import { isAlive } from '../cluster/identity.ts';
import { waitForLock } from '../cluster/lock.ts';
import { type ClusterPaths, clusterPaths } from '../cluster/paths.ts';
import { whyNoPort } from '../cluster/ports.ts';
import { type ClusterRecord, readRecord } from '../cluster/record.ts';
import { clearRemains, removeFolders } from '../cluster/remains.ts';
import { parseJoinToken, pinOf } from '../door/join-token.ts';
import { DoorRefusal } from '../door/messages.ts';
import { EXIT, Failure } from '../failure.ts';
import { become, type JoinOptions } from '../machine/join.ts';
import { type Bounds, doorOf, leave } from '../machine/link.ts';
import { type Membership, readMembership } from '../machine/membership.ts';
import { memberWaits } from '../machine/ready.ts';
import { formatSize } from '../size.ts';
import {
  changeLodgers,
  type LodgerEntry,
  type LodgerQuota,
  lodgersHere,
  readLodgers,
} from './lodgers-file.ts';
import { boundsOf } from './plan.ts';

/** Programs end, and pages go to other nodes. */
const END_MS = 60_000;

export interface LodgeOptions extends Omit<JoinOptions, 'cluster' | 'port' | 'options' | 'lodgesWith'> {
  /** As the owner of this machine calls it, among virtual kernels. */
  readonly lodger: string;
  /** The cluster whose node this machine is. */
  readonly own: string;
  /** How the other one is to be called on this machine. */
  readonly cluster: string;
  /** Of the own cluster; else the first one here. */
  readonly hostNode?: string | undefined;
  readonly user: string;
  readonly quota: LodgerQuota;
  /** Else the first free one from the usual on. */
  readonly port?: number | undefined;
}

const FIRST_PORT = 7_431;
const PORTS = 64;

/** Resolves when the machine works there. @throws Failure; then nothing is left, here and there */
export async function lodge(o: LodgeOptions): Promise<{ membership: Membership; entry: LodgerEntry }> {
  const own = clusterPaths(o.own);
  const paths = clusterPaths(o.cluster);
  if (o.cluster === o.own)
    throw new Failure(`--cluster: "${o.own}" is how the cluster is called here whose node this machine is`, {
      fix: 'Call the other one otherwise here, --cluster NAME: that need not be its name where it began.',
      exitCode: EXIT.usage,
    });
  const record = ownRecord(own);
  const host = hostOf(record, o);
  expectCpu(o.quota);
  expectNew(o, own);
  const ownHost = o.ownHost ?? record.plan.host;
  const port = o.port ?? (await freePort(ownHost));
  const entry: LodgerEntry = {
    ...{ name: o.lodger, cluster: o.cluster, host, user: o.user, quota: o.quota, leaving: false },
  };
  const membership = await become({ ...o, ownHost, port, options: {}, lodgesWith: o.own }, paths);
  try {
    await changeLodgers(own, (lodgers) => {
      expectRoom(lodgers, o.lodger);
      return [...lodgers, entry];
    });
    await untilReady(paths, membership, boundsOf(o.quota, record.plan), o.start);
  } catch (error) {
    await endLodging(own, entry);
    throw error;
  }
  return { membership, entry };
}

/** @throws Failure where this machine is no node of it just now */
export function ownRecord(own: ClusterPaths): ClusterRecord {
  const record = readRecord(own.clusterFile);
  if (record !== undefined && isAlive(record.supervisor) && record.stopping !== true) return record;
  const flag = clusterFlag(own.cluster);
  throw new Failure(
    `cluster "${own.cluster}", with which the other one would lodge, is not up on this machine`,
    {
      fix: `Start it with "vkctl up${flag}", or name the one whose node this machine is by --host-cluster.`,
    },
  );
}

function hostOf({ plan }: ClusterRecord, { hostNode, quota, own }: LodgeOptions): string {
  const names = plan.nodes.map(({ name }) => name);
  const host = hostNode ?? names[0]!;
  if (!names.includes(host))
    throw new Failure(
      `--node: "${host}" is no node of cluster "${own}" on this machine; nodes: ${names.join(', ')}`,
      {
        exitCode: EXIT.usage,
      },
    );
  expectMemory(plan.framesBytes, quota, host);
  return host;
}

/** @throws Failure */
export function expectMemory(
  framesBytes: number | undefined,
  { memoryBytes }: LodgerQuota,
  host: string,
): void {
  if (framesBytes !== undefined && memoryBytes > framesBytes)
    throw new Failure(
      `--memory: ${host} hands out ${formatSize(framesBytes)} in all, to its own cluster and to those that lodge there`,
      { exitCode: EXIT.usage },
    );
}

/** @throws Failure where parts of the processors cannot be held to here */
export function expectCpu({ cpuWeight, cpuMillis }: LodgerQuota): void {
  if (cpuWeight === 0 && cpuMillis === 0) return;
  const found = findCgroupHome();
  if ('home' in found && found.home.folders.has('cpu')) return;
  const why = 'home' in found ? `no controller cpu (${found.home.detail})` : found.reason;
  throw new Failure(`--cpu-weight and --cpus cannot be held to here: ${why}`, {
    fix: `Start the own cluster ${DELEGATE}`,
  });
}

function expectRoom(lodgers: readonly LodgerEntry[], name: string): void {
  if (lodgers.some((each) => each.name === name))
    throw new Failure(`a cluster lodges here as ${name} already`, {
      fix: 'Choose another name, or end that one with "vkctl vkernel rm".',
    });
  if (lodgers.length >= LODGERS_MAX)
    throw new Failure(`${lodgers.length} clusters lodge on this machine, which is the most`);
}

/** Before the token is used up for nothing. @throws Failure */
function expectNew({ lodger, token, own: called }: LodgeOptions, own: ClusterPaths): void {
  const lodgers = readLodgers(own);
  expectRoom(lodgers, lodger);
  const pin = parseJoinToken(token)?.pin;
  if (pin === undefined) return;
  const again = lodgers.find(({ cluster }) => pinHere(clusterPaths(cluster)) === pin);
  if (again !== undefined)
    throw new Failure(`that cluster lodges on this machine already, as ${again.name}`, {
      fix: `See it with "vkctl vkernel ls", end it with "vkctl vkernel rm ${again.name}".`,
    });
  if (pinHere(own) === pin)
    throw new Failure(`the token is of cluster "${called}" itself, whose node this machine is`, {
      fix: 'Give a token of the other cluster: vkctl node token add, on a machine of that one.',
    });
}

/** Of the authority of a cluster that this machine is in. */
function pinHere(paths: ClusterPaths): string | undefined {
  try {
    const member = readMembership(paths);
    const folder = member === undefined ? authorityDir(paths) : tlsDirOf(paths, 'pmapd', member.node.name);
    return pinOf(new X509Certificate(readFileSync(join(folder, 'ca.crt'))).raw);
  } catch {
    return undefined;
  }
}

async function freePort(host: string | undefined): Promise<number> {
  for (let port = FIRST_PORT; port < FIRST_PORT + PORTS; port++)
    if ((await whyNoPort(port, host)) !== 'taken') return port;
  throw new Failure(`ports ${FIRST_PORT} to ${FIRST_PORT + PORTS - 1} are all taken`, {
    fix: 'Choose a free one with --address HOST:PORT.',
  });
}

/** The other cluster knows it as a node that works. */
async function untilReady(
  paths: ClusterPaths,
  membership: Membership,
  bounds: Bounds,
  { timeoutMs = END_MS, signal, onProgress }: JoinOptions['start'],
): Promise<void> {
  const { cluster, node, door, routers, nats, directories, host, listenHost, port } = membership;
  const member = { cluster, node: node.name, door, routers, nats, directories };
  const ports = { syslinkd: [], nats: 0, cohd: [], pmapd: [port], vkerneld: [] };
  const plan = { cluster: paths.cluster, stateDir: paths.stateDir, member, host, listenHost, ports };
  const endMs = Date.now() + timeoutMs;
  for (;;) {
    if (signal?.aborted) throw new Failure('interrupted', { exitCode: 130 });
    const waitingFor = await memberWaits({ plan, bounds });
    if (waitingFor.length === 0) return;
    onProgress?.({ ready: 0, total: waitingFor.length, waitingFor });
    if (Date.now() > endMs)
      throw new Failure(
        `${node.name} of cluster "${cluster}" is not ready after ${timeoutMs / 1000} s: ${waitingFor.join(', ')}`,
        {
          fix: `Its logs are in ${paths.logDir}; nothing is left of it.`,
        },
      );
  }
}

/**
 * Ends what runs of it here, and leaves its cluster for good.
 * @returns false: that cluster did not answer, and still counts it as a node
 */
export async function endLodging(own: ClusterPaths, entry: LodgerEntry): Promise<boolean> {
  const paths = clusterPaths(entry.cluster);
  const same = ({ name }: LodgerEntry) => name === entry.name;
  await changeLodgers(own, (lodgers) =>
    lodgers.map((each) => (same(each) ? { ...each, leaving: true } : each)),
  );
  // The supervisor has it until nothing of it runs any more.
  const lock = await waitForLock(paths.lockFile, END_MS);
  if (lock === undefined)
    throw new Failure(`${entry.name} does not come to an end (${paths.lockFile})`, { fix: 'Try again.' });
  let left: boolean;
  try {
    left = await leaveFor(paths);
    await clearRemains(paths);
    removeFolders(paths);
  } finally {
    lock.release();
  }
  await changeLodgers(own, (lodgers) => lodgers.filter((each) => !same(each)));
  return left;
}

/** What is done to a cluster that lodges here is done by the one that it lodges with. @throws Failure */
export function expectNoLodging(paths: ClusterPaths): void {
  const own = memberOr(paths)?.lodgesWith;
  if (own === undefined) return;
  const entry = lodgersHere(clusterPaths(own)).find(({ cluster }) => cluster === paths.cluster);
  if (entry === undefined) return;
  const flag = clusterFlag(own);
  throw new Failure(`cluster "${paths.cluster}" lodges on this machine, with cluster "${own}"`, {
    fix: `It starts and ends with that one; it leaves for good with "vkctl vkernel rm ${entry.name}${flag}".`,
  });
}

function memberOr(paths: ClusterPaths): Membership | undefined {
  try {
    return readMembership(paths);
  } catch {
    return undefined;
  }
}

/** The cluster that it lodged in forgets it. */
export async function leaveFor(paths: ClusterPaths): Promise<boolean> {
  try {
    const member = readMembership(paths);
    if (member === undefined || member.removed) return true;
    const client = doorOf(paths, { door: member.door, node: member.node.name });
    await leave(client).finally(() => client.close());
    return true;
  } catch (error) {
    return error instanceof DoorRefusal && error.refusal === 'NOT_IN';
  }
}
