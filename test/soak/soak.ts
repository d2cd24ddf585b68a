// A soak: work, rest, look; more work, rest, look again. What is held at rest must not grow.
import { performance } from 'node:perf_hooks';
import { TestCluster } from '../cluster/cluster.ts';
import { atRest, type Footprint, footprint, grown } from './footprint.ts';
import { type Done, load } from './load.ts';

export interface SoakOptions {
  minutes: number;
  nodes: number;
  onProgress?: (what: string) => void;
}

export interface Report {
  /** After the warm-up. */
  done: Done;
  before: Footprint;
  /** Right after the work. */
  atWork: Footprint;
  after: Footprint;
  /** A line for each measure that did not come back. */
  grown: string[];
}

const REST_BEFORE_MS = 8_000;
const REST_AFTER_MS = 60_000;
/** The logs of ended processes are kept, up to 64 MiB a node: a long run fills them first. */
const FILLING_MINUTES = 2;
const FILLING_ROUNDS = 70;
/** A warm-up is what everything takes once, and no more: work that comes after it shows what it leaves. */
const WARM_FLOOD_BYTES = 2 * 2 ** 20;
const FLOOD_BYTES = 48 * 2 ** 20;

export async function soak({ minutes, nodes, onProgress = () => {} }: SoakOptions): Promise<Report> {
  const cluster = await TestCluster.up({ nodes });
  try {
    const names = cluster.record.plan.nodes.map(({ name }) => name);
    const rounds = async (
      done: Done,
      about: { size: number; floodBytes: number },
      goesOn: (round: number) => boolean,
    ): Promise<void> => {
      for (let round = 0; goesOn(round); round++) {
        onProgress(`${done.runs} runs, ${done.floods} floods, ${done.kills} kills`);
        await load({ cluster, node: names[round % names.length]!, ...about }, done);
      }
    };
    const none = (): Done => ({ runs: 0, floods: 0, kills: 0 });
    const long = minutes >= FILLING_MINUTES;
    const warmRounds = (long ? FILLING_ROUNDS : 1) * names.length;
    await rounds(none(), { size: 1, floodBytes: WARM_FLOOD_BYTES }, (round) => round < warmRounds);
    const before = await atRest(cluster, REST_BEFORE_MS);
    const done = none();
    const endMs = performance.now() + minutes * 60_000;
    const heavy = { size: long ? 4 : 1, floodBytes: FLOOD_BYTES };
    await rounds(done, heavy, () => performance.now() < endMs);
    const atWork = await footprint(cluster);
    onProgress('at rest');
    const after = await atRest(cluster, REST_AFTER_MS, (now) => grown(before, now).length === 0);
    return { done, before, atWork, after, grown: grown(before, after) };
  } finally {
    await cluster.down();
  }
}

/** A table: what each holds before, at work and after. */
export function reportText({ done, before, atWork, after, grown }: Report): string {
  const lines = [`${done.runs} runs, ${done.floods} floods, ${done.kills} kills`, ''];
  const cell = (of: Footprint, name: string): string => {
    const held = of.get(name);
    if (held === undefined) return '-'.padStart(18);
    const mib = (held.memoryBytes / 2 ** 20).toFixed(0);
    return `${mib} MiB ${String(held.descriptors).padStart(4)} ${String(held.threads).padStart(4)}`.padStart(
      18,
    );
  };
  lines.push(
    `${'HELD (MEMORY, DESCRIPTORS, THREADS)'.padEnd(36)}${['BEFORE', 'AT WORK', 'AFTER'].map((head) => head.padStart(18)).join('')}`,
  );
  for (const name of before.keys())
    lines.push(`${name.padEnd(36)}${[before, atWork, after].map((of) => cell(of, name)).join('')}`);
  lines.push('', grown.length === 0 ? 'All came back.' : `Did not come back:\n  ${grown.join('\n  ')}`);
  return lines.join('\n');
}
