// Faults as programs take them that compute: now and then. What serves them has slept by then, and its code and its data are no more in
// the caches of the core, so each message costs more processor time than one of many in a row; of plain grpc-js too.
import { setTimeout as sleep } from 'node:timers/promises';
import { clusterProcesses, cpuBetween, cpuTimes } from './cpu-time.ts';
import type { FaultResult } from './fault-result.ts';
import { nodesFrom, play, scenes, servicesUs } from './fault-scenes.ts';
import { round } from './figure.ts';
import { columns, type ResultTable, type Setting } from './part.ts';
import { type ChainName, type ChainResult, rawChains } from './raw-chain.ts';

const COMPUTE_US = 10_000;
const ACCESSES = { whole: 300, quick: 30 };
const STANDING_MS = { whole: 3000, quick: 300 };
/** And of plain grpc-js, in the same order. */
const NAMES = ['from another node, clean', 'write upgrade, 1 sharer'];
const CHAINS: readonly ChainName[] = ['from another node', 'write upgrade, 1 sharer'];

export interface RareFaults {
  readonly faults: readonly FaultResult[];
  readonly chains: readonly ChainResult[];
  /** Processor time of those services in a us in which nothing is asked of them. */
  readonly standing: number;
}

/** On nodes that have served as many in a row. */
export async function rareFaults(setting: Setting, nodes: readonly string[]): Promise<RareFaults> {
  const accesses = ACCESSES[setting.quick ? 'quick' : 'whole'];
  const standing = await standingCost(setting, nodes);
  const faults: FaultResult[] = [];
  const all = scenes(setting, { accesses, computeUs: COMPUTE_US });
  for (const [i, scene] of all.entries()) {
    if (!NAMES.includes(scene.kind.name)) continue;
    setting.progress(`now and then: ${scene.kind.name}`);
    faults.push(await play(setting, scene, nodesFrom(nodes, i)));
  }
  const chains = await rawChains(setting, CHAINS, { count: accesses, computeUs: COMPUTE_US });
  return { faults, chains, standing };
}

async function standingCost({ to, quick, signal }: Setting, nodes: readonly string[]): Promise<number> {
  const processes = await clusterProcesses(to);
  const before = cpuTimes(processes);
  const beganMs = performance.now();
  await sleep(STANDING_MS[quick ? 'quick' : 'whole'], undefined, { signal });
  const us = (performance.now() - beganMs) * 1000;
  return servicesUs(cpuBetween(before, cpuTimes(processes)), nodes) / us;
}

export function rareTable(rare: RareFaults, inARow: Pick<RareFaults, 'faults' | 'chains'>): ResultTable {
  const rows = rare.faults.map((fault) => {
    const often = inARow.faults.find(({ name }) => name === fault.name)!.servicesUs;
    const alone = fault.servicesUs - rare.standing * (COMPUTE_US + fault.guest.p50Us);
    const [chain, chainOften] = [rare, inARow].map(
      ({ chains }) => chains.find(({ name }) => fault.name.startsWith(name))!,
    );
    const plain = chain!.servicesUs / chainOften!.servicesUs;
    return [
      ...[fault.name, round(fault.guest.p50Us), round(often), round(alone)],
      ...[(alone / often).toFixed(2), round(chainOften!.servicesUs)],
      ...[round(chain!.servicesUs), plain.toFixed(2)],
    ];
  });
  return {
    title: `Now and then: one fault in ${COMPUTE_US / 1000} ms, which the program computes; processor time of services`,
    columns: columns(
      ...['FAULT', '>p50 us', '>IN A ROW us', '>NOW AND THEN us', '>x', '>PLAIN: IN A ROW us'],
      ...['>NOW AND THEN us', '>x'],
    ),
    rows,
    notes: [
      `Both nodes' pmapd, cohd and NATS, less what they take anyway: ${round(rare.standing * 1e6)} us a second. Other nodes do what they do anyway.`,
      'Plain grpc-js as above, where the first process computes as long. Not judged.',
    ],
  };
}
