// The figures of the last `make bench`, as it wrote them; without one there is no such page.
import { existsSync, readFileSync } from 'node:fs';
import { type Figure, targetText, valueText } from '../../test/bench/figure.ts';
import type { Machine } from '../../test/bench/report.ts';

interface Report {
  readonly startedAt: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly figures: readonly Figure[];
}

export function measuredPage(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  const { startedAt, quick, machine, figures } = JSON.parse(readFileSync(file, 'utf8')) as Report;
  const { cpu, cores, kernel, node, loadAverage } = machine;
  const load = loadAverage.map((each) => each.toFixed(1)).join(', ');
  const rows = figures.map((each) => [each.name, valueText(each), targetText(each), each.verdict]);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ').replaceAll('\n', ' ')} |`;
  return [
    '# What was measured',
    `Begun ${startedAt}, on ${cores} cores (${cpu}), Linux ${kernel}, Node ${node}; load before: ${load}. Figures hold for one machine in one state.`,
    ...(quick ? ['A quick run: it shows that all of it works, and its figures mean little.'] : []),
    [
      line(['figure', 'value', 'target', 'verdict']),
      line(['---', '---', '---', '---']),
      ...rows.map(line),
    ].join('\n'),
    'What each figure is, and how it is kept fair: [test/bench](../test/bench/README.md).',
    '',
  ].join('\n\n');
}
