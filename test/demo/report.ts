// What the demo prints at its end.
import { FAULT_PLACES, latency } from '../../services/vkctl/commands/status-tables.ts';
import { formatSize } from '../../services/vkctl/size.ts';
import { table } from '../../services/vkctl/table.ts';
import { sumOf } from './cost.ts';
import type { JobState } from './job.ts';

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const cpu = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** Prints the result. True when it is proved right. */
export function report({
  top,
  corpus,
  nodes,
  countMs,
  spent,
  alone,
  aloneCpuMs,
  comparison,
}: JobState): boolean {
  const right = (head: string): { head: string; align: 'right' } => ({ head, align: 'right' });
  const work = table(
    [
      { head: 'NODE' },
      ...['TIME', 'CHUNKS', 'WORDS', 'HANDED OVER', 'PAGES IN', 'PAGES OUT', 'INVALIDATIONS'].map(right),
    ],
    nodes.map(({ node, elapsedMs, worker, stats }) => [
      node,
      `${(elapsedMs / 1000).toFixed(1)} s`,
      worker.chunks,
      worker.words,
      formatSize(worker.sentBytes),
      stats.pagesIn,
      stats.pagesOut,
      stats.invalidations,
    ]),
  );
  const faults = table(
    [
      { head: 'FAULTS served by' },
      ...FAULT_PLACES.flatMap((place) => [right(place.toUpperCase()), right('p50/p99 us')]),
    ],
    nodes.map(({ node, stats }) => [
      node,
      ...FAULT_PLACES.flatMap((place) => {
        const counter = stats.faults[place];
        return counter && counter.count > 0n ? [counter.count, latency(counter)] : ['0', '-'];
      }),
    ]),
  );
  const rate = formatSize(corpus.bytes / (countMs / 1000));
  const same = comparison.differences.length === 0;
  process.stdout.write(`
${top.trimEnd()}

${work}

${faults}

Three nodes: ${(countMs / 1000).toFixed(1)} s for ${formatSize(corpus.bytes)} (${rate}/s, starts included).
Alone under node:wasi: ${seconds(alone.elapsedMs)}; three nodes on one machine took ${(countMs / alone.elapsedMs).toFixed(1)} times that.
Processor time: ${cpu(spent.programs)} of the three programs, and ${cpu(sumOf(spent) - spent.programs)} of sharing:
  pmapd ${cpu(spent.pmapd)}, cohd ${cpu(spent.cohd)}, virtual kernels ${cpu(spent.vkernels)}, other services ${cpu(spent.others)}.
Alone it took ${cpu(aloneCpuMs)}: one memory of three nodes took ${(sumOf(spent) / aloneCpuMs).toFixed(1)} times that.
${same ? 'Proved right' : 'WRONG'}: ${comparison.words.toLocaleString('en')} words, each with the same count as alone.
`);
  return same;
}
