// Pmaps are ephemeral: their page tables may be dropped at any time, and nobody notices but the clock. Frames stay. Mappings of
// dataspaces are emptied here; those of private memory by the virtual kernel, whose they are, as soon as it runs. Nothing here
// waits for a virtual kernel, and no turn does more than a little: one that maps the same pages a thousand times costs once.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PageRun } from '@odonata/coherency/page.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Limits } from '@odonata/rpc/limits.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import type { Vmspace } from '../sessions/vmspace.ts';

/** Pages of one turn: each is a hole punched and a page written. */
const PAGES_A_TURN = 256;
/** Pages that are looked at in one turn, whether they have frames or not. */
const LOOKED_AT_A_TURN = 16_384;
/** Vmspaces of one turn: each is told to its virtual kernel. */
const VMSPACES_A_TURN = 256;

/** Calls that empty pmaps at one time: each takes a part of every turn. */
export const FLUSHES_MAX = 4;

export interface EmptiedNode {
  readonly memory: CoherentMemory;
  /** Pages and sessions are somebody else's from now on. */
  readonly isStopping: boolean;
}

export interface Flushed {
  vmspaces: number;
  /** Of dataspaces. */
  sharedPages: number;
  privatePages: number;
}

/** Runs that overlap or touch are one. */
export function union(runs: readonly PageRun[]): PageRun[] {
  const sorted = [...runs].sort((a, b) =>
    a.dataspace === b.dataspace ? a.firstPage - b.firstPage : a.dataspace < b.dataspace ? -1 : 1,
  );
  const joined: PageRun[] = [];
  for (const { dataspace, firstPage, pageCount } of sorted) {
    const last = joined.at(-1);
    if (last?.dataspace === dataspace && firstPage <= last.firstPage + last.pageCount)
      last.pageCount = Math.max(last.pageCount, firstPage + pageCount - last.firstPage);
    else joined.push({ dataspace, firstPage, pageCount });
  }
  return joined;
}

/** Lets others have a turn. @throws RpcError UNAVAILABLE where the node stops, CANCELLED */
async function yieldTurn(node: EmptiedNode, signal?: AbortSignal): Promise<void> {
  await nextTurn();
  if (signal?.aborted) throw new RpcError(Code.Cancelled, 'whoever asked for it went away');
  if (node.isStopping) throw stops();
}

const stops = (): RpcError => tryAgain(Code.Unavailable, 'the pmap manager stops, and empties nothing more');

/** Empties mappings of dataspaces. @returns pages with frames there. @throws RpcError UNAVAILABLE, CANCELLED */
export async function emptyRuns(
  node: EmptiedNode,
  runs: readonly PageRun[],
  signal?: AbortSignal,
): Promise<number> {
  const { memory } = node;
  let pages = 0;
  let inTurn = 0;
  for (const { dataspace: id, firstPage: first, pageCount: most } of union(runs)) {
    const dataspace = memory.get(id);
    for (let from = first; from < first + most; from += LOOKED_AT_A_TURN) {
      const looked = Math.min(LOOKED_AT_A_TURN, first + most - from);
      if (dataspace === undefined || memory.get(id) !== dataspace) break;
      for (const { firstPage, pageCount } of dataspace.file.residentSpans(from, looked))
        for (let at = 0; at < pageCount; at += PAGES_A_TURN) {
          if (memory.get(id) !== dataspace) break;
          const count = Math.min(PAGES_A_TURN, pageCount - at);
          memory.step({
            type: 'empty',
            run: { dataspace: id, firstPage: firstPage + at, pageCount: count },
          });
          pages += count;
          inTurn += count;
          if (inTurn < PAGES_A_TURN) continue;
          inTurn = 0;
          await yieldTurn(node, signal);
        }
      if (looked === LOOKED_AT_A_TURN) await yieldTurn(node, signal);
    }
  }
  return pages;
}

/** @throws RpcError UNAVAILABLE, CANCELLED */
export async function flushPmaps(
  node: EmptiedNode,
  vmspaces: Iterable<Vmspace>,
  signal?: AbortSignal,
): Promise<Flushed> {
  const flushed = { vmspaces: 0, sharedPages: 0, privatePages: 0 };
  if (node.isStopping) throw stops();
  const runs: PageRun[] = [];
  for (const vmspace of vmspaces) {
    flushed.privatePages += vmspace.peekFrames();
    vmspace.session.send({ event: { case: 'flush', value: { vmspace: vmspace.id } } });
    for (const { dataspace, firstPage, pageCount } of vmspace.entries)
      runs.push({ dataspace: dataspace.id, firstPage, pageCount });
    if (++flushed.vmspaces % VMSPACES_A_TURN === 0) await yieldTurn(node, signal);
  }
  // Its mappings are emptied for all who map it: once is enough.
  flushed.sharedPages = await emptyRuns(node, runs, signal);
  return flushed;
}

/** Those that people asked for. */
export class Flushes {
  private readonly limits: Pick<Limits, 'hit'>;
  private underWay = 0;

  constructor(limits: Pick<Limits, 'hit'>) {
    this.limits = limits;
  }

  /** @throws RpcError RESOURCE_EXHAUSTED; what `empty` throws */
  async run<T>(who: string, empty: () => Promise<T>): Promise<T> {
    if (this.underWay >= FLUSHES_MAX)
      throw this.limits.hit(
        'flushes',
        who,
        `${FLUSHES_MAX} calls empty pmaps of this node, the most at one time; wait until one of them ends`,
      );
    this.underWay++;
    try {
      return await empty();
    } finally {
      this.underWay--;
    }
  }
}

/** What of a node is flushed. */
export interface FlushedNode extends EmptiedNode {
  readonly sessions: Iterable<{ readonly vmspaces: ReadonlyMap<bigint, Vmspace> }>;
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
      await flushPmaps(node, [chosen]);
    } catch (error) {
      // It began to stop meanwhile.
      if (!node.isStopping) throw error;
    } finally {
      underWay = false;
    }
  };
  return setInterval(
    ownTurn({ timer: 'flush' }, () => void flush()),
    everyMs,
  ).unref();
}
