// What a chaos run broke, and what came of it, as a page.
import { columns } from '../bench/part.ts';
import { chartSvg } from '../report/chart.ts';
import { figure, html, htmlTable, list, page } from '../report/html.ts';
import type { Report } from './report.ts';

export async function chaosHtml(report: Report): Promise<string> {
  const {
    seed,
    minutes,
    faults,
    operations,
    open,
    objects,
    violations,
    undecided,
    troubles,
    longestStallMs,
  } = report;
  const about = [
    `Seed ${seed}, ${minutes} min: ${faults.length} faults, ${operations} operations on ${objects} objects, ${open} of them never ended.`,
    `Longest stall: ${(longestStallMs / 1e3).toFixed(1)} s.${report.cuts ? '' : ' Links could not be cut here.'}`,
  ];
  const wrong = [
    ...violations.map((each) => `Violation: ${each}`),
    ...troubles.map((each) => `Does not go on: ${each}`),
    ...undecided.map((each) => `Undecided: ${each}`),
  ];
  const counts = (head: string, of: Record<string, number>) =>
    htmlTable(columns(head, '>TIMES'), Object.entries(of));
  return page(wrong.length === 0 ? 'Chaos: nothing is wrong' : 'Chaos: something is wrong', about, [
    ...(wrong.length > 0 ? [html`<h2>What is wrong</h2>`, list(wrong)] : []),
    html`<h2>What was broken, and when</h2>`,
    ...(faults.length > 0 ? [figure('Each fault, from its begin to its end', await timeline(report))] : []),
    html`<h2>Programs</h2>`,
    counts('ENDED', report.ends),
    html`<h2>Dataspaces made amid all that</h2>`,
    counts('BECAME', report.made),
  ]);
}

/** What lasts for no time is a tick. */
function timeline({ faults }: Report): Promise<string> {
  const values = faults.map(({ what, atMs, forMs }) => ({
    what,
    from: atMs / 1e3,
    to: (atMs + forMs) / 1e3,
  }));
  const y = { field: 'what', type: 'nominal' as const, title: null, axis: { labelLimit: 320 } };
  const from = { field: 'from', type: 'quantitative' as const, title: 'seconds' };
  return chartSvg({
    width: 640,
    height: { step: 20 },
    data: { values },
    layer: [
      { mark: { type: 'bar', color: '#3b7dd8' }, encoding: { x: from, x2: { field: 'to' }, y } },
      { mark: { type: 'tick', color: '#1d3f6e' }, encoding: { x: from, y } },
    ],
  });
}
