// A table that one node has written, and that another one begins to read at random: what policies of neighbours are for.
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { columns, type ResultTable, type Setting } from './part.ts';
import { median } from './samples.ts';
import { freshName, removeDataspace } from './shared-memory.ts';

const [WRITER, READER] = ['node1', 'node2'];
/** Each of a table that is new. */
const ROUNDS = 5;
/** Of the table, of 64 bytes each. */
const PAGES = Math.ceil((100_000 * 64) / 4096);
/** Each page is read some dozens of times. */
const READS = 100_000;
const FILL = ['write', 1_000_000, 1];
const FAULTS_MOST = 0.5;

interface Cold {
  tookMs: number;
  faults: number;
  pages: number;
}

/** @returns a figure, and a table of what it cost */
export async function coldReads(
  setting: Setting,
): Promise<{ figures: Figure[]; table: ResultTable; measured: Cold[] }> {
  const measured: Cold[] = [];
  for (let i = 0; i < (setting.quick ? 1 : ROUNDS); i++) {
    setting.progress(`a table that is cold, ${i + 1}`);
    measured.push(await play(setting));
  }
  const of = (value: (cold: Cold) => number): number => median(measured.map(value));
  const aPage = of(({ faults }) => faults) / PAGES;
  const figure = judge('sharing: far faults a page, cold at random', aPage, '', { most: FAULTS_MOST });
  const table = {
    title: 'A table that another node wrote, read at random from the beginning',
    columns: columns('>READS', '>ms', '>PAGES', '>FAR FAULTS', '>FAULTS A PAGE', 'TARGET', 'VERDICT'),
    rows: [
      [
        String(READS),
        ...[of(({ tookMs }) => tookMs), of(({ pages }) => pages), of(({ faults }) => faults), aPage].map(
          round,
        ),
        ...verdictCells(figure),
      ],
    ],
    notes: [`The table has ${PAGES} pages; before dense-blocks.ts each cost a fault.`],
  };
  return { figures: [figure], table, measured };
}

async function play(setting: Setting): Promise<Cold> {
  const [table, acks] = [freshName('cold'), freshName('acks')];
  const statistics = () => setting.to.pmapd(READER!).getNodeStats({});
  await runGuest(setting, WRITER!, 'table', [table, acks, ...FILL]);
  const before = await statistics();
  const { took_us } = await runGuest<{ took_us: number }>(setting, READER!, 'table', [
    table,
    acks,
    'cold',
    READS,
  ]);
  const after = await statistics();
  for (const name of [table, acks]) await removeDataspace(setting, WRITER!, name);
  return {
    tookMs: took_us / 1e3,
    faults: Number((after.faults.remote?.count ?? 0n) - (before.faults.remote?.count ?? 0n)),
    pages: Number(after.pagesIn - before.pagesIn),
  };
}
