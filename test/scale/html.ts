// What a scaling run measured, as a page: each service's picture and table, and what is projected from them.
import type { Figure } from '../bench/figure.ts';
import { aboutRun, figuresHtml, tableHtml } from '../bench/html.ts';
import type { ResultTable } from '../bench/part.ts';
import type { Machine } from '../bench/report.ts';
import { figure, html, page } from '../report/html.ts';

export interface DrawnService {
  readonly name: string;
  readonly svg: string;
  readonly table: ResultTable;
}

export interface ScaleRun {
  readonly startedAt: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly figures: readonly Figure[];
  readonly drawn: readonly DrawnService[];
  readonly projected: ResultTable | undefined;
}

export function scaleHtml({ startedAt, quick, machine, figures, drawn, projected }: ScaleRun): string {
  return page('Odonata: each service over more replicas', aboutRun(startedAt, machine, quick), [
    html`<h2>Figures and their targets</h2>`,
    figuresHtml(figures),
    ...drawn.flatMap(({ name, svg, table }) => [
      html`<h2>${name}</h2>`,
      figure(table.title, svg),
      ...tableHtml(table),
    ]),
    ...(projected === undefined ? [] : [html`<h2>${projected.title}</h2>`, ...tableHtml(projected)]),
  ]);
}
