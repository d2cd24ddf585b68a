// Programs of both clusters operate on the same registers and counters by atomics, and write down when each operation began and ended: the
// checker of test/chaos then looks for an order that explains all results. Clocks are those of one machine.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { delay } from '@odonata/rpc/backoff.ts';
import { endedOperations, readHistories } from '../chaos/history.ts';
import { check, type Operation } from '../chaos/linearizable.ts';
import type { Side, TwoClusters } from './two-clusters.ts';

/** A register and a counter, each in a block of 2 MiB. */
export const HISTORY = { name: 'history', size: '4M' };
export const HISTORY_OBJECTS = 2;
const SLICE_MS = 100;

export interface Told {
  /** Of each program that did not end by itself: why. */
  readonly ended: readonly string[];
  readonly operations: number;
  /** Of each object that no order explains. */
  readonly wrong: readonly string[];
  readonly histories: ReadonlyMap<string, readonly Operation[]>;
}

/**
 * Two programs on each side do so many operations each.
 * @param meanwhile what goes wrong; it is told whether they are at it still
 */
export async function operate(
  both: TwoClusters,
  { operations, pauseUs, seed }: { operations: number; pauseUs: number; seed: number },
  meanwhile: (isRunning: () => boolean) => Promise<void>,
): Promise<Told> {
  const folder = join(both.north.cluster.home, `history-${seed}`);
  mkdirSync(folder);
  const start = (side: Side, node: string, name: string, worker: number) => {
    const args = [name, HISTORY_OBJECTS, operations, seed + worker, worker, '-', '--pause-us', pauseUs];
    return side.cluster.start(node, 'history', args.map(String));
  };
  const far = `${HISTORY.name}@${both.north.name}`;
  try {
    const programs = await Promise.all([
      start(both.north, 'node1', HISTORY.name, 1),
      start(both.south, 'node1', far, 2),
      start(both.north, 'node2', HISTORY.name, 3),
      start(both.south, 'node2', far, 4),
    ]);
    let running = true;
    const ends = Promise.all(programs.map((each) => each.end())).finally(() => {
      running = false;
    });
    await meanwhile(() => running);
    const told = await ends;
    for (const [worker, { stdout }] of told.entries()) writeFileSync(join(folder, `both.${worker}`), stdout);
    const ended = told
      .filter(({ code }) => code !== 0)
      .map(({ code, signal, reason, stderr }) => `${code} ${signal} ${reason} ${stderr}`.trim());
    const histories = readHistories(folder);
    return { ended, operations: endedOperations(histories), wrong: wrongOf(histories), histories };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of each object that no order explains. An operation that did not end may have taken effect, or not. */
export const wrongOf = (histories: ReadonlyMap<string, readonly Operation[]>): string[] =>
  [...histories].flatMap(([object, each]) => {
    const verdict = check(each);
    return verdict.linearizable === true ? [] : [`${object}: ${JSON.stringify(verdict)}`];
  });

/** Waits, but no longer than they are at it. */
export async function whileThey(isRunning: () => boolean, ms: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < ms && isRunning(); waitedMs += SLICE_MS) await delay(SLICE_MS);
}
