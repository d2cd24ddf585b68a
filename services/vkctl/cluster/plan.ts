// What `up` decides of a cluster before it starts: ports, memory, store.
import { tmpdir } from 'node:os';
import { collectorOf } from '@odonata/rpc/trace/own.ts';
import { EXIT, Failure } from '../failure.ts';
import { allowedFolders } from './allowed-folders.ts';
import { identify } from './identity.ts';
import { chooseStoreBytes, holdsPages } from './kept-store.ts';
import { memorySpace, nodeMemory, promise } from './memory-space.ts';
import { membersIn, readNodes } from './nodes-file.ts';
import { type ClusterPaths, INDEX_MAX, MAX_NODES, nodeName } from './paths.ts';
import { expectPort, listenHostFor, pickPorts } from './ports.ts';
import type { ClusterPlan } from './record.ts';
import type { StartOptions } from './start-options.ts';

interface Counts {
  readonly routers: number;
  readonly directories: number;
  readonly nodes: number;
}
type Places = Pick<ClusterPlan, 'ports' | 'host' | 'listenHost'>;

/** Of a cluster of this machine alone: the router's as was said, all others by chance. */
async function portsHere(
  port: number,
  { routers, directories, nodes }: Counts,
): Promise<ClusterPlan['ports']> {
  if (port !== 0) await expectPort(port);
  const free = await pickPorts(1 + routers + directories + 2 * nodes, { taken: [port] });
  const [nats] = free.splice(0, 1) as [number];
  const syslinkd = free.splice(0, routers);
  if (port !== 0) syslinkd[0] = port;
  const cohd = free.splice(0, directories);
  return { syslinkd, nats, cohd, pmapd: free.slice(0, nodes), vkerneld: free.slice(nodes) };
}

/** Of one that other machines reach: in a row from the router's on, so that a firewall can be told. */
async function portsFar(
  host: string,
  port: number,
  { routers, directories, nodes }: Counts,
): Promise<Places> {
  const listenHost = await listenHostFor(host);
  const count = routers + 2 + directories + nodes;
  const row =
    port === 0
      ? await pickPorts(count, { host: listenHost })
      : Array.from({ length: count }, (_, at) => port + at);
  if (port !== 0) for (const each of row) await expectPort(each, { host: listenHost, isFar: true });
  const take = (some: number): number[] => row.splice(0, some);
  const syslinkd = take(routers);
  const [door, nats] = take(2) as [number, number];
  const cohd = take(directories);
  const ports = { syslinkd, door, nats, cohd, pmapd: take(nodes), vkerneld: await pickPorts(nodes) };
  return { ports, host, ...(listenHost === host ? {} : { listenHost }) };
}

/** Nodes of other machines keep their numbers. */
function freeIndices(paths: ClusterPaths, nodes: number): number[] {
  const taken = new Set(membersIn(readNodes(paths)).map(({ index }) => index));
  const free = Array.from({ length: INDEX_MAX }, (_, at) => at + 1).filter((index) => !taken.has(index));
  if (free.length < nodes)
    throw new Failure(
      `--nodes: ${taken.size} nodes of other machines are in this cluster, and ${INDEX_MAX} is the most`,
    );
  return free.slice(0, nodes);
}

export async function makePlan(options: StartOptions, paths: ClusterPaths): Promise<ClusterPlan> {
  const { cluster, nodes, port, directories = 1, routers = 1 } = options;
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES) {
    throw new Failure(`--nodes: "${nodes}" is not a number from 1 to ${MAX_NODES}`, { exitCode: EXIT.usage });
  }
  if (options.host !== undefined && options.insecure)
    throw new Failure('--address and --insecure exclude each other: whoever reaches it might do everything', {
      exitCode: EXIT.usage,
    });
  if (options.vkernelUids && process.getuid!() !== 0)
    throw new Failure('--vkernel-uids is for root, whose virtual kernels have uids of their own', {
      ...{ fix: 'Leave it out: as a plain user they have yours.', exitCode: EXIT.usage },
    });
  const counts = { routers, directories, nodes };
  const { host } = options;
  const places =
    host === undefined ? { ports: await portsHere(port, counts) } : await portsFar(host, port, counts);
  const indices = freeIndices(paths, nodes);
  return {
    cluster,
    stateDir: paths.stateDir,
    runtimeDir: paths.runtimeDir,
    memoryDir: paths.memoryDir,
    nodes: indices.map((index) => ({ name: nodeName(index), index })),
    ...places,
    allowDirs: allowedFolders(options.allowDirs ?? [], paths, options.onNote),
    allowListen: options.allowListen,
    allowConnect: options.allowConnect,
    framesBytes: promisedMemory(options, paths),
    ...(options.swapBytes && { swapBytes: options.swapBytes, swapDir: tmpdir() }),
    ...(options.vkernelUids && { vkernelUids: options.vkernelUids }),
    allowUnconfined: options.unconfined ? [...options.unconfined] : options.allowUnconfined,
    unconfined: options.unconfined ? true : undefined,
    leaseMs: options.leaseMs,
    userDataspaces: options.userDataspaces,
    nodeVmspaces: options.nodeVmspaces,
    parkAfterMs: options.parkAfterMs,
    storeBytes: chooseStoreBytes(paths, options.storeBytes),
    hadStore: holdsPages(paths),
    traceOtlp: options.traceOtlp || collectorOf({ traceOtlp: '' }) || undefined,
    traceSample: options.traceSample,
    logLevel: options.logLevel ?? 'info',
    servicesDir: options.servicesDir,
    insecure: options.insecure || undefined,
    overTcp: options.overTcp || undefined,
    owner: options.owner === undefined ? undefined : identify(options.owner),
  };
}

/** What each node gets of the memory of this machine, promised from now on. */
export function promisedMemory({ nodes, framesBytes, onNote }: StartOptions, paths: ClusterPaths): number {
  const { bytes, note } = nodeMemory(memorySpace(paths.lockFile), nodes, framesBytes);
  promise(paths.lockFile, bytes * nodes);
  if (note !== undefined) onNote?.(note);
  return bytes;
}
