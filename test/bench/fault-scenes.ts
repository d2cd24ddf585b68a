// How pages come into their state before a program touches them, and the touching: one scene for each kind of fault.
//
// A program touches pages that lie far apart: further than one fault maps (16 pages), and in an order that does not look
// sequential. So each access is a fault; the node's statistics must count as many, else nothing is reported.

import { setTimeout as sleep } from 'node:timers/promises';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { FaultCounter, GetNodeStatsResponse } from '@odonata/proto/pmap/v1/pmap';
import { Failure } from '../../services/vkctl/failure.ts';
import { type CpuTime, clusterProcesses, cpuBetween, cpuByPart, cpuTimes } from './cpu-time.ts';
import type { Around } from './fault-profile.ts';
import type { FaultKind, FaultResult } from './fault-result.ts';
import { startGuest } from './guest-run.ts';
import type { Setting } from './part.ts';
import { latencyOf } from './samples.ts';
import { freshName, loadOn, readOn, removeDataspace } from './shared-memory.ts';
import { supplyMemory } from './supplied-memory.ts';

const STRIDE_PAGES = 19;
/** A path that runs for the first times is not compiled. */
const FIRST = 100;
const WARM_UP_SHARE = 0.3;
const ACCESSES = 2000;
const QUICK_ACCESSES = 300;
/** Faults that a vkernel serves by itself are reported by the thousand. */
const PRIVATE_ACCESSES = 2200;
const SHARERS = [1, 2, 8];
const QUICK_SHARERS = [1, 2];
/** A node's counters come with the next message of its vkernel. */
const REPORTED_MS = 300;

interface TouchLine {
  clock_ns: number;
  raw: number[];
}

/** How the pages come into their state before they are touched. */
export interface Scene {
  kind: FaultKind;
  accesses: number;
  /** Prepares the dataspace; what it gives back clears up after the touch. */
  prepare(name: string, node: string, others: string[]): Promise<() => Promise<void>>;
  touch(name: string): (string | number)[];
}

/** The accesses of each round, but for private memory, and what the program computes before each of them. */
interface Pace {
  accesses: number;
  computeUs: number;
}

export function scenes(
  setting: Setting,
  { accesses = setting.quick ? QUICK_ACCESSES : ACCESSES, computeUs = 0 }: Partial<Pace> = {},
): Scene[] {
  const pages = accesses * STRIDE_PAGES;
  const stride = `stride=${STRIDE_PAGES}`;
  const counted = ['--count', accesses, '--raw', '--wait', '--compute-us', computeUs];
  const bytes = pages * PAGE_BYTES;
  const read = (name: string) => [name, pages, 'read', stride, ...counted];
  const write = (name: string) => [name, pages, 'write', stride, '--read-first', ...counted];
  const remove = (node: string, name: string) => () => removeDataspace(setting, node, name);

  // A program on another node made the pages what they are; it still runs and has them mapped.
  const heldElsewhere = async (name: string, [owner]: string[], access: 'read' | 'write') => {
    const holder = await startGuest(setting, owner!, 'touch', [
      name,
      pages,
      access,
      'seq',
      '--size',
      bytes,
      '--linger',
    ]);
    await holder.line();
    return async () => {
      await holder.end();
      await removeDataspace(setting, owner!, name);
    };
  };

  return [
    {
      kind: { name: 'resident: first touch of private memory', place: 'vkernel' },
      accesses: PRIVATE_ACCESSES,
      prepare: async () => async () => {},
      touch: () => [
        '-',
        PRIVATE_ACCESSES * STRIDE_PAGES,
        'write',
        stride,
        '--count',
        PRIVATE_ACCESSES,
        '--raw',
        '--wait',
      ],
    },
    {
      kind: { name: "from the node's pmapd", place: 'node' },
      accesses,
      prepare: async (name, node) => {
        await loadOn(setting, node, name, bytes);
        return remove(node, name);
      },
      touch: read,
    },
    {
      kind: { name: 'from another node, clean', place: 'remote' },
      accesses,
      prepare: (name, _, others) => heldElsewhere(name, others, 'read'),
      touch: read,
    },
    {
      kind: { name: 'from another node, dirty', place: 'remote' },
      accesses,
      prepare: (name, _, others) => heldElsewhere(name, others, 'write'),
      touch: read,
    },
    ...(setting.quick ? QUICK_SHARERS : SHARERS).map((sharers): Scene => {
      return {
        kind: {
          name: `write upgrade, ${sharers} sharer${sharers > 1 ? 's' : ''}`,
          place: 'upgrade',
          sharers,
        },
        accesses,
        prepare: async (name, node, others) => {
          await loadOn(setting, node, name, bytes);
          for (const other of others.slice(0, sharers)) await readOn(setting, other, name);
          return remove(node, name);
        },
        touch: write,
      };
    }),
  ];
}

/** All of them, from the one of a scene on: each scene has a node of its own. */
export const nodesFrom = (nodes: readonly string[], scene: number): string[] =>
  nodes.map((_, i) => nodes[(scene + i) % nodes.length]!);

/** Of whoever serves a fault of the first of these nodes, whose page the second one has; other nodes do what they do anyway. */
export function servicesUs(cpu: ReadonlyMap<string, CpuTime>, [node, other]: readonly string[]): number {
  const names = [`${node}/pmapd`, `${other}/pmapd`, 'cohd', 'nats'];
  return names.reduce((sum, name) => sum + (cpu.get(name)?.usedUs ?? 0), 0);
}

/** On the first of these nodes, while others have the pages. */
export async function play(
  setting: Setting,
  scene: Scene,
  [node, ...others]: string[],
  around?: Around,
): Promise<FaultResult> {
  const { kind, accesses } = scene;
  const { to, signal } = setting;
  const name = freshName('faults');
  const clearUp = await scene.prepare(name, node!, others);
  const guest = await startGuest(setting, node!, 'touch', scene.touch(name));
  await guest.line(); // It is ready.
  const processes = await clusterProcesses(to);
  const before = await to.pmapd(node!).getNodeStats({});
  supplyMemory(setting);
  await around?.before();
  const cpuBefore = cpuTimes(processes);
  await guest.go();
  const line = await guest.line<TouchLine>();
  const cpu = cpuBetween(cpuBefore, cpuTimes(processes));
  await around?.after();
  await guest.end();
  await sleep(REPORTED_MS, undefined, { signal });
  const after = await to.pmapd(node!).getNodeStats({});
  await clearUp();
  const counter = after.faults[kind.place];
  const latency = (raw: readonly number[]) => latencyOf(raw.map((ns) => Math.max(1, ns - line.clock_ns)));
  return {
    ...kind,
    node: node!,
    accesses,
    faults: counted(kind, accesses, before, after),
    pagesMoved: Number(after.pagesIn - before.pagesIn),
    servicesUs: servicesUs(cpu, [node!, ...others]) / accesses,
    first: latency(line.raw.slice(0, FIRST)),
    guest: latency(line.raw.slice(Math.floor(accesses * WARM_UP_SHARE))),
    handler: counter && { p50Us: counter.p50Us, p99Us: counter.p99Us },
    ...cpuByPart(cpu, node!, accesses),
  };
}

/** How many faults the node counted. @throws Failure when many accesses were none: their times mean nothing */
function counted(
  { name, place }: FaultKind,
  accesses: number,
  before: GetNodeStatsResponse,
  after: GetNodeStatsResponse,
): number {
  const of = (counter: FaultCounter | undefined): number => Number(counter?.count ?? 0n);
  const faults = of(after.faults[place]) - of(before.faults[place]);
  if (faults >= accesses * 0.9 || place === 'vkernel') return faults;
  throw new Failure(`${name}: ${accesses} accesses made ${faults} faults of the kind "${place}" only`);
}
