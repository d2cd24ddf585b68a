// When faults have ended, all that was under way ends: accesses, locks, waits that were woken, syncs, and changes of pages.
import { check } from '../violation.ts';
import type { World } from '../world/world.ts';

/** A change is sent again at most 2 s apart, and a page's queue holds two of each of four holders. */
export const LIVENESS_MS = 20_000;

/** Undefined: nothing is under way. */
export function underWay(world: World): { page: number | undefined; what: string } | undefined {
  for (const vkernel of world.vkernels) {
    for (const process of [...vkernel.processes, ...vkernel.goers]) {
      const { doing } = process;
      if (doing === undefined || process.sleepsOn !== undefined) continue;
      const sinceMs = (world.nowMs - doing.sinceMs).toFixed(0);
      return {
        page: doing.page,
        what: `${process.name} waits for its ${doing.what} of page ${doing.page} since ${sinceMs} ms`,
      };
    }
  }
  const { layout } = world;
  for (let shard = 0; shard < layout.shards; shard++) {
    const leader = world.replicaOf(shard)?.core?.replica.leaderOf(shard);
    if (leader === undefined) return { page: undefined, what: `nobody leads shard ${shard}` };
    if (leader.isRebuilding) return { page: undefined, what: `shard ${shard} is not served` };
    for (const run of layout.runsOfShard(shard))
      for (let i = 0; i < run.pageCount; i++)
        if (
          leader.directory.has(run.dataspace) &&
          leader.directory.inspect(run.dataspace, run.firstPage + i).busy
        ) {
          const page = layout.pageOf(run.dataspace, run.firstPage + i);
          return { page, what: `a change of page ${page} does not end` };
        }
  }
  for (const node of world.nodes) {
    if (!node.holding.lines.allUsable(node.clockMs))
      return { page: undefined, what: `${node.name} has no lease of some shard` };
    const [page] = node.memory.seen.pending();
    if (page !== undefined) return { page, what: `${node.name} waits for an answer about page ${page}` };
  }
  return undefined;
}

/** Lets time pass until nothing is under way. @throws Violation when that takes longer than the bound. */
export function untilQuiet(world: World): void {
  const untilMs = world.nowMs + LIVENESS_MS;
  for (let nextLookMs = 0; ; ) {
    world.step();
    if (world.nowMs < nextLookMs) continue;
    nextLookMs = world.nowMs + 5;
    const left = underWay(world);
    if (left === undefined) return;
    check(world.nowMs < untilMs, 'liveness', left.page, () => {
      return `${left.what}; faults ended ${LIVENESS_MS} ms ago`;
    });
  }
}
