// What the bench prints, and what it writes as JSON.
import { cpus, loadavg, release } from 'node:os';
import { plural } from '../../services/vkctl/output.ts';
import { table } from '../../services/vkctl/table.ts';
import { type Figure, targetText, valueText } from './figure.ts';
import type { PartResult, ResultTable } from './part.ts';

export interface Machine {
  cpu: string;
  cores: number;
  kernel: string;
  node: string;
  /** Runnable processes over 1, 5 and 15 minutes: whoever else worked here. */
  loadAverage: number[];
}

export function machine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    kernel: release(),
    node: process.version,
    loadAverage: loadavg(),
  };
}

export function tableText({ title, columns, rows, notes }: ResultTable): string {
  const body = table(columns, rows);
  return `\n${title}\n\n${body}\n${notes.map((note) => `  ${note}`).join('\n')}\n`;
}

/** Every figure with a target, what falls short first. */
export function summary(results: PartResult[]): string {
  const figures = results.flatMap((result) => result.figures);
  const short = figures.filter((figure) => figure.verdict === 'falls short');
  const met = figures.filter((figure) => figure.verdict === 'meets');
  if (figures.length === 0) return '';
  const shortLine = `${plural(short.length, 'figure')} of ${figures.length} ${short.length === 1 ? 'falls' : 'fall'} short`;
  const lines = short.length === 0 ? [`\nNo figure of ${figures.length} falls short.`] : [`\n${shortLine}:`];
  lines.push(...short.map(figureLine));
  if (met.length > 0) lines.push('Meet their targets:', ...met.map(figureLine));
  return lines.join('\n');
}

const figureLine = (figure: Figure): string =>
  `  ${figure.name}: ${valueText(figure)} (target ${targetText(figure)})`;
