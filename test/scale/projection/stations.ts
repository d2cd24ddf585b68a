// The stations of a cluster of some size, each with the work that meets it. Pure: costs and assumptions in, work out.
//
//   station             one server is            more servers: by
//   pmapd, vkerneld     a node's event loop      more nodes, with as many virtual kernels
//   cohd                a replica's event loop   replicas, up to one a shard
//   the hottest shard   its leader               nothing: a shard has one leader
//   syslinkd            a router's event loop    routers: services attach to all of them, clients to one
//   NATS                a core of a server       servers
//
// A replica of the directory hears the lease of every holder and the heartbeats of every other replica, however many
// share the work: that part of its time is gone before any acquire.
import type { Assumptions } from './assumptions.ts';
import type { Costs } from './costs.ts';

export interface Work {
  ratePerS: number;
  /** Processor time of one. */
  costUs: number;
}

export interface Station {
  name: string;
  /** All of the kind together; for one of a kind: what meets that one. */
  work: Work[];
  /** Servers that there may be. */
  most: number;
  /** Servers are counted by the node: their number is given, not chosen. */
  fixed: boolean;
  /** The share of a server that is gone anyway, when there are so many of them. */
  standing: (servers: number) => number;
  /** What would have to change. */
  remedy: string;
}

const none = (): number => 0;

export interface Rates {
  /** Faults of the whole cluster in a second that leave their virtual kernels. */
  faults: number;
  node: number;
  remote: number;
  upgrade: number;
  starts: number;
  calls: number;
}

export function ratesOf(a: Assumptions): Rates {
  const faults = a.vkernels * a.active * a.faults;
  return {
    faults,
    node: faults * (1 - a.remote - a.upgrade),
    remote: faults * a.remote,
    upgrade: faults * a.upgrade,
    starts: a.vkernels * a.starts,
    calls: a.vkernels * a.calls,
  };
}

export function stationsOf(costs: Costs, a: Assumptions): Station[] {
  const rates = ratesOf(a);
  const directory = [
    { ratePerS: rates.remote + rates.upgrade, costUs: costs.cohdAcquireUs },
    { ratePerS: rates.upgrade * a.sharers, costUs: costs.cohdSharerUs },
  ];
  const standing = (replicas: number): number =>
    costs.cohdStandingCores + costs.cohdPeerCores * (replicas - 1) + costs.cohdHolderCores * a.nodes;
  const scaled = (work: Work[], share: number): Work[] =>
    work.map(({ ratePerS, costUs }) => ({ ratePerS: ratePerS * share, costUs }));
  return [
    {
      name: 'pmapd',
      work: [
        { ratePerS: rates.node, costUs: costs.pmapdFaultUs },
        // At the node that asks and at the one that sends.
        { ratePerS: rates.remote * 2, costUs: costs.pmapdFaultUs },
        // At the writer, and at every node that hears of it.
        { ratePerS: rates.upgrade * (1 + a.followers), costUs: costs.pmapdFaultUs },
      ],
      ...{ most: a.nodes, fixed: true, standing: none },
      remedy: 'fewer virtual kernels on a node',
    },
    {
      name: 'cohd',
      ...{ work: directory, most: a.shards, fixed: false, standing },
      remedy: 'more shards than --shards, which is for the life of the cluster',
    },
    {
      name: "cohd: the hottest shard's leader",
      ...{ work: scaled(directory, a.hottest), most: 1, fixed: false, standing: () => standing(a.shards) },
      remedy: 'pages that are shared less, since a shard has one leader',
    },
    {
      name: 'syslinkd',
      work: [
        { ratePerS: rates.calls, costUs: costs.syslinkdCallUs },
        { ratePerS: rates.starts * a.startPieces, costUs: costs.syslinkdPieceUs },
      ],
      ...{ most: a.routers, fixed: false, standing: none },
      remedy: 'services that attach to more routers',
    },
    {
      name: 'vkerneld',
      work: [
        { ratePerS: rates.starts, costUs: costs.vkerneldStartUs },
        { ratePerS: rates.calls, costUs: costs.vkerneldListUs },
      ],
      ...{ most: a.nodes, fixed: true, standing: none },
      remedy: 'fewer virtual kernels on a node',
    },
    {
      name: 'NATS: invalidations to their receivers',
      work: [{ ratePerS: rates.upgrade * a.followers, costUs: costs.natsDeliveryUs }],
      ...{ most: a.natsServers * a.natsCores, fixed: false, standing: none },
      remedy: 'more NATS servers',
    },
  ];
}
