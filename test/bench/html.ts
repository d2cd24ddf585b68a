// What the bench measured, as a page: every figure beside its target, then each table.
import { chartSvg } from '../report/chart.ts';
import { figure, type Html, html, htmlTable, list, page } from '../report/html.ts';
import { type Figure, targetText, valueText } from './figure.ts';
import { columns, type PartResult, type ResultTable } from './part.ts';
import type { Machine } from './report.ts';

export interface Run {
  readonly startedAt: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly loadAverageAfter: readonly number[];
  readonly results: readonly PartResult[];
}

export async function benchHtml({
  startedAt,
  quick,
  machine,
  loadAverageAfter,
  results,
}: Run): Promise<string> {
  const figures = results.flatMap((result) => result.figures);
  const load = (averages: readonly number[]) => averages.map((each) => each.toFixed(1)).join(', ');
  const about = [
    ...aboutRun(startedAt, machine, quick),
    `Load before: ${load(machine.loadAverage)}; after: ${load(loadAverageAfter)} (1, 5 and 15 minutes).`,
  ];
  return page('Odonata: what was measured', about, [
    ...(figures.length > 0 ? await judged(figures) : []),
    ...results.flatMap(({ tables }) =>
      tables.flatMap((table) => [html`<h2>${table.title}</h2>`, ...tableHtml(table)]),
    ),
  ]);
}

export const aboutRun = (startedAt: string, machine: Machine, quick: boolean): string[] => [
  `Begun ${startedAt}. ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}.`,
  ...(quick ? ['A quick run: it shows that all of it works, and its figures mean little.'] : []),
];

export const tableHtml = ({ columns, rows, notes }: ResultTable): Html[] => [
  htmlTable(columns, rows),
  list(notes),
];

export const figuresHtml = (figures: readonly Figure[]): Html =>
  htmlTable(
    columns('FIGURE', '>VALUE', '>TARGET', 'VERDICT'),
    figures.map((each) => [each.name, valueText(each), targetText(each), each.verdict]),
  );

async function judged(figures: readonly Figure[]): Promise<Html[]> {
  const short = figures.filter(({ verdict }) => verdict === 'falls short').length;
  const title = 'How much of its target each figure takes: 1 is the target, what is beyond falls short';
  return [
    html`<h2>Figures and their targets</h2>`,
    html`<p>${short} of ${figures.length} ${short === 1 ? 'falls' : 'fall'} short.</p>`,
    figure(title, await chart(figures)),
    figuresHtml(figures),
  ];
}

/** At most 1 where the target is met, whether it is a most or a least. */
const taken = ({ value, target: { most, least } }: Figure): number =>
  most !== undefined ? value / most : least! / value;

const chart = (figures: readonly Figure[]): Promise<string> =>
  chartSvg({
    width: 560,
    height: { step: 18 },
    data: { values: figures.map((each) => ({ name: each.name, taken: taken(each), verdict: each.verdict })) },
    layer: [
      {
        mark: 'bar',
        encoding: {
          x: { field: 'taken', type: 'quantitative', title: 'of its target' },
          y: { field: 'name', type: 'nominal', sort: null, title: null, axis: { labelLimit: 420 } },
          color: {
            field: 'verdict',
            type: 'nominal',
            title: null,
            scale: { domain: ['meets', 'falls short'], range: ['#3b7dd8', '#d9822b'] },
          },
        },
      },
      {
        data: { values: [{ at: 1 }] },
        mark: { type: 'rule', strokeDash: [4, 4] },
        encoding: { x: { field: 'at', type: 'quantitative' } },
      },
    ],
  });
