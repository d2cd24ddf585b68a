// What changed from one look to the next, a second.
import { type Process, ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import type { Asked, Look, NodeLook } from './look.ts';

export type Top = ReturnType<typeof topOf>;
export type TopNode = Top['nodes'][number];
export type TopProcess = Top['processes'][number];
export type TopQueue = Top['queues'][number];
export type TopDataspace = Top['dataspaces'][number];

type Count = bigint | number | undefined;

/** Counters begin anew with their service: what is less than before is new as a whole. */
function perS(now: Count, before: Count, ms: number): number {
  if (now === undefined || before === undefined || ms <= 0) return 0;
  const [a, b] = [Number(now), Number(before)];
  return Math.round((((a < b ? a : a - b) * 1_000) / ms) * 10) / 10;
}

export function topOf(before: Look | undefined, now: Look) {
  const overMs = before === undefined ? 0 : now.atMs - before.atMs;
  const vmspaces = new Map(now.vmspaces.map((each) => [each.pid, each]));
  const cpuBefore = new Map(before?.processes.map(({ pid, cpuMs }) => [pid, cpuMs]));
  const waits = (process: Process): number => vmspaces.get(process.pid)?.waits.length ?? 0;
  return {
    cluster: now.cluster,
    time: new Date(now.atMs).toISOString(),
    overMs,
    nodes: now.nodes.map((node) => {
      const its = now.processes.filter((process) => process.node === node.name);
      const last = before?.nodes.find(({ name }) => name === node.name);
      return { ...nodeOf(last, node, overMs), processes: its.length, waiting: sum(its.map(waits)) };
    }),
    directory: now.directory.map((replica) => {
      const last = before?.directory.find((each) => each.replica === replica.replica);
      return {
        replica: replica.replica,
        acquiresPerS: perS(replica.acquires, last?.acquires, overMs),
        grantsPerS: perS(replica.grants, last?.grants, overMs),
        recallsPerS: perS(replica.recalls, last?.recalls, overMs),
        invalidationsPerS: perS(replica.invalidations, last?.invalidations, overMs),
        resendsPerS: perS(replica.resends, last?.resends, overMs),
      };
    }),
    processes: now.processes.map((process) => ({
      pid: process.pid,
      node: process.node,
      vkernel: process.vkernel,
      user: process.user,
      state: (ProcessState[process.state] ?? 'unspecified').toLowerCase(),
      command: process.command,
      cpuPercent: Math.round(perS(process.cpuMs, cpuBefore.get(process.pid), overMs)) / 10,
      residentPages: process.residentPages,
      sharedPages: vmspaces.get(process.pid)?.sharedPages ?? 0n,
      waits: waits(process),
    })),
    vkernels: now.nodes.flatMap(({ vkernels }) =>
      vkernels.map(({ name, node, user, processes, hostPid }) => ({ name, node, user, processes, hostPid })),
    ),
    queues: queuesOf(now),
    dataspaces: now.dataspaces
      .map((asked) => dataspaceOf(before?.dataspaces, asked))
      .sort((a, b) => b.movedPerS - a.movedPerS || (a.name < b.name ? -1 : 1)),
    silent: now.silent,
  };
}

/** What waits at the moment of the look, by who has it wait. */
function queuesOf({ nodes, directory, endpoints }: Look) {
  const unread = (...names: string[]): bigint =>
    endpoints.reduce((all, { name, waitingBytes }) => (names.includes(name) ? all + waitingBytes : all), 0n);
  const none = { faults: 0n, outBytes: 0n, inFlightBytes: 0n, changing: 0n, parked: 0n };
  return [
    ...nodes.map(({ name, stats }) => ({
      ...{ ...none, name, faults: stats?.faultsWaiting ?? 0n, outBytes: stats?.transferWaitingBytes ?? 0n },
      ...{ inFlightBytes: stats?.transferInFlightBytes ?? 0n },
      unreadBytes: unread(`${name}/pmapd`, `${name}/vkerneld`),
    })),
    ...directory.map(({ replica, pagesChanging, eventsParked }) => ({
      ...{ ...none, name: replica, changing: pagesChanging, parked: eventsParked },
      unreadBytes: unread(replica),
    })),
    { ...none, name: 'clients', unreadBytes: unread('') },
  ];
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);

function nodeOf(before: NodeLook | undefined, { name, stats, vkernels }: NodeLook, ms: number) {
  const last = before?.stats;
  const faults = Object.entries(stats?.faults ?? {}).map(([place, { count, p50Us, p99Us }]) => [
    place,
    // A kind that was not there before had none.
    { perS: perS(count, last && (last.faults[place]?.count ?? 0n), ms), p50Us, p99Us },
  ]);
  return {
    name,
    answers: stats !== undefined,
    framesTotal: stats?.framesTotal ?? 0n,
    framesPrivate: stats?.framesPrivate ?? 0n,
    pagesShared: stats?.pagesShared ?? 0n,
    pagesInPerS: perS(stats?.pagesIn, last?.pagesIn, ms),
    pagesOutPerS: perS(stats?.pagesOut, last?.pagesOut, ms),
    invalidationsPerS: perS(stats?.invalidations, last?.invalidations, ms),
    faults: Object.fromEntries(faults) as Record<string, { perS: number; p50Us: number; p99Us: number }>,
    vkernels: vkernels.length,
  };
}

/** Pages that a node owns now and did not before: what went to and fro between two looks is not seen. */
function dataspaceOf(before: readonly Asked[] | undefined, { atMs, detail }: Asked) {
  const { name, owner, sizeBytes } = detail.dataspace;
  const { ownedPages, mappedBy, locks } = detail.usage;
  const lostPages = detail.loss?.lostPages ?? 0n;
  const last = before?.find((each) => each.detail.dataspace.name === name);
  const owned = last?.detail.usage.ownedPages ?? {};
  const came = sum(
    Object.entries(ownedPages).map(([node, pages]) => Math.max(0, Number(pages - (owned[node] ?? 0n)))),
  );
  const movedPerS = last === undefined ? 0 : perS(came, 0, atMs - last.atMs);
  return { name, owner, sizeBytes, movedPerS, ownedPages, mappedBy, locks, lostPages };
}
