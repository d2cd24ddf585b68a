// What the processes of a cluster hold: memory, descriptors, threads; and its memory files.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestCluster } from '../cluster/cluster.ts';

export interface Held {
  /** Of its own: anonymous and shared memory, not the pages of programs on disk. */
  memoryBytes: number;
  descriptors: number;
  threads: number;
}

/** By service, `node1/vkernel default` for virtual kernels; and all memory files as `memory files`. */
export type Footprint = Map<string, Held>;

/** What a measure may differ by beside its share: one more connection is no leak. */
const SLACK: Held = { memoryBytes: 12 * 2 ** 20, descriptors: 6, threads: 3 };
const SHARE = 0.2;
const LOOK_EVERY_MS = 1_000;
/** Services give memory back when they looked twice and had nothing to do. */
const REST_MS = 5_000;

export async function footprint(cluster: TestCluster): Promise<Footprint> {
  const { services, plan } = cluster.record;
  const all: Footprint = new Map();
  for (const { name, process } of services) {
    if (process !== undefined && name !== 'nats') all.set(name, heldBy(process.pid));
  }
  let files = 0;
  let bytes = 0;
  for (const { name } of plan.nodes) {
    const { vkernels } = await cluster.connection.vkerneld(name).listVkernels({});
    for (const vkernel of vkernels) all.set(`${name}/vkernel ${vkernel.name}`, heldBy(vkernel.hostPid));
    const folder = join(plan.memoryDir, name);
    for (const file of readdirSync(folder)) {
      files += 1;
      bytes += statSync(join(folder, file)).blocks * 512;
    }
  }
  all.set('memory files', { memoryBytes: bytes, descriptors: files, threads: 0 });
  return all;
}

function heldBy(pid: number | bigint): Held {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return {
    memoryBytes: (field('RssAnon') + field('RssShmem')) * 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: field('Threads'),
  };
}

/** A line for each measure that is above what it was by more than a fifth; a process that was not there is none. */
export function grown(before: Footprint, after: Footprint): string[] {
  const lines: string[] = [];
  for (const [name, was] of before) {
    const is = after.get(name);
    if (is === undefined) lines.push(`${name} is gone`);
    else {
      for (const measure of ['memoryBytes', 'descriptors', 'threads'] as const) {
        const most = was[measure] * (1 + SHARE) + SLACK[measure];
        if (is[measure] > most) lines.push(`${name}: ${measure} ${was[measure]} -> ${is[measure]}`);
      }
    }
  }
  return lines;
}

/** The footprint once `holds` is true of it; after so long, as it then is. */
export async function atRest(
  cluster: TestCluster,
  withinMs: number,
  holds: (now: Footprint) => boolean = () => true,
): Promise<Footprint> {
  const sinceMs = performance.now();
  await sleep(REST_MS);
  for (;;) {
    const now = await footprint(cluster);
    if (holds(now) || performance.now() - sinceMs > withinMs) return now;
    await sleep(LOOK_EVERY_MS);
  }
}
