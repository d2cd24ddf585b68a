// Pmaps are ephemeral: their page tables may be dropped at any time, and nobody notices but the clock. Frames stay. Mappings of
// dataspaces are emptied here; those of private memory by the virtual kernel, whose they are, as soon as it runs.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import type { Vmspace } from '../sessions/vmspace.ts';

/** Pages of one turn: each is a hole punched and a page written. */
const PAGES_A_TURN = 256;

/** @returns resident pages of dataspaces whose mappings were emptied */
export async function flushPmaps(memory: CoherentMemory, vmspaces: Iterable<Vmspace>): Promise<number> {
  const done = new Set<string>();
  let pages = 0;
  let inTurn = 0;
  for (const vmspace of vmspaces) {
    vmspace.session.send({ event: { case: 'flush', value: { vmspace: vmspace.id } } });
    for (const entry of [...vmspace.entries]) {
      const dataspace = memory.get(entry.dataspace.id);
      // Its mappings are emptied for all who map it: once is enough.
      const key = `${entry.dataspace.id} ${entry.firstPage} ${entry.pageCount}`;
      if (dataspace === undefined || done.has(key)) continue;
      done.add(key);
      for (const { firstPage, pageCount } of dataspace.file.residentSpans(entry.firstPage, entry.pageCount))
        for (let at = 0; at < pageCount; at += PAGES_A_TURN) {
          const count = Math.min(PAGES_A_TURN, pageCount - at);
          memory.step({
            type: 'empty',
            run: { dataspace: dataspace.id, firstPage: firstPage + at, pageCount: count },
          });
          pages += count;
          inTurn += count;
          if (inTurn < PAGES_A_TURN) continue;
          inTurn = 0;
          await nextTurn();
          if (memory.get(dataspace.id) !== dataspace) break;
        }
    }
  }
  return pages;
}

/** What of a node is flushed. */
export interface FlushedNode {
  readonly memory: CoherentMemory;
  readonly sessions: Iterable<{ readonly vmspaces: ReadonlyMap<bigint, Vmspace> }>;
  readonly isStopping: boolean;
  readonly statistics: { pmapFlushes: number };
}

/** For tests: whatever runs must not notice. Nothing while another pmap manager takes the place of this one. */
export function flushByChance(node: FlushedNode, everyMs: number): NodeJS.Timeout {
  let underWay = false;
  const flush = async () => {
    const all = [...node.sessions].flatMap(({ vmspaces }) => [...vmspaces.values()]);
    const chosen = all[Math.floor(Math.random() * all.length)];
    if (underWay || node.isStopping || chosen === undefined) return;
    underWay = true;
    node.statistics.pmapFlushes++;
    try {
      await flushPmaps(node.memory, [chosen]);
    } finally {
      underWay = false;
    }
  };
  return setInterval(
    ownTurn({ timer: 'flush' }, () => void flush()),
    everyMs,
  ).unref();
}
