// A cluster of a size as queues: how many servers each station needs, how long work waits there, and which station is
// the first that cannot grow with the cluster. Pure.
import type { Assumptions } from './assumptions.ts';
import type { Costs } from './costs.ts';
import { waitS } from './queue.ts';
import { type Station, stationsOf, type Work } from './stations.ts';

export interface Projected {
  name: string;
  ratePerS: number;
  /** Mean processor time of one. */
  costUs: number;
  /** Servers that it needs to stay at the target, or as many as it may have. */
  servers: number;
  most: number;
  utilisation: number;
  /** Mean wait; infinite where the queue grows without end. */
  waitUs: number;
  /** The largest cluster that it carries at the target, with as many virtual kernels a node; infinite: any. */
  nodesMost: number;
  remedy: string;
}

export interface Projection {
  stations: Projected[];
  /** The station that carries the smallest cluster. */
  first: Projected;
  vkernelsPerNode: number;
  /** Of the virtual kernels of a node beside what it has. */
  memoryShare: number;
}

/** The largest size that is looked at, in times of the assumed one. */
const LARGEST = 1000;

export function project(costs: Costs, assumed: Assumptions): Projection {
  const stations = stationsOf(costs, assumed).map((station, i) => ({
    ...at(station, assumed),
    nodesMost: nodesMost(costs, assumed, i),
  }));
  const vkernelsPerNode = assumed.vkernels / assumed.nodes;
  return {
    stations,
    first: stations.reduce((a, b) => (b.nodesMost < a.nodesMost ? b : a)),
    vkernelsPerNode,
    memoryShare: (vkernelsPerNode * costs.vkernelMib) / 1024 / assumed.nodeGib,
  };
}

const coresOf = (work: readonly Work[]): number =>
  work.reduce((sum, { ratePerS, costUs }) => sum + (ratePerS * costUs) / 1e6, 0);

/** The share of each of so many servers that is in use. */
export function busyShare({ work, standing }: Station, servers: number): number {
  return coresOf(work) / servers + standing(servers);
}

/** The fewest servers that stay at the target; undefined where not even the most do. */
export function serversFor(station: Station, target: number): number | undefined {
  if (station.fixed) return busyShare(station, station.most) <= target ? station.most : undefined;
  for (let servers = 1; servers <= station.most; servers++)
    if (busyShare(station, servers) <= target) return servers;
  return undefined;
}

function at(station: Station, { target, cv2 }: Assumptions): Omit<Projected, 'nodesMost'> {
  const { name, work, most, remedy } = station;
  const servers = serversFor(station, target) ?? most;
  const ratePerS = work.reduce((sum, each) => sum + each.ratePerS, 0);
  const serviceS = ratePerS === 0 ? 0 : coresOf(work) / ratePerS;
  // What is gone anyway makes each service take longer.
  const left = Math.max(0, 1 - station.standing(servers));
  const slowedS = left === 0 ? Number.POSITIVE_INFINITY : serviceS / left;
  // Servers of a node and replicas have a queue each; NATS shares one among its cores.
  const shared = name.startsWith('NATS');
  const queue = { ratePerS: shared ? ratePerS : ratePerS / servers, servers: shared ? servers : 1, cv2 };
  return {
    ...{ name, ratePerS, servers, most, remedy },
    costUs: serviceS * 1e6,
    utilisation: busyShare(station, servers),
    waitUs: waitS({ ...queue, serviceS: slowedS }) * 1e6,
  };
}

/** Of a station by its place in the list: clusters of other sizes have the same stations. */
function nodesMost(costs: Costs, assumed: Assumptions, index: number): number {
  const carries = (times: number): boolean => {
    const scaled = { ...assumed, nodes: assumed.nodes * times, vkernels: assumed.vkernels * times };
    return serversFor(stationsOf(costs, scaled)[index]!, assumed.target) !== undefined;
  };
  if (carries(LARGEST)) return Number.POSITIVE_INFINITY;
  let [low, high] = [0, LARGEST];
  // To a thousandth of what it carries.
  for (let i = 0; i < 60 && high - low > low / 1000; i++) {
    const middle = (low + high) / 2;
    if (carries(middle)) low = middle;
    else high = middle;
  }
  return Math.floor(low * assumed.nodes);
}
