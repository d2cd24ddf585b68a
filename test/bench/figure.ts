// A figure beside its target. Figures without a target are not judged.

export interface Target {
  /** The figure is to be at most this. */
  most?: number;
  /** The figure is to be at least this. */
  least?: number;
}

export type Verdict = 'meets' | 'falls short';

export interface Figure {
  name: string;
  value: number;
  unit: '' | 'x' | '%' | 'us' | 'ms' | 'M/s' | 'B';
  target: Target;
  verdict: Verdict;
}

export function judge(name: string, value: number, unit: Figure['unit'], target: Target): Figure {
  const { most = Number.POSITIVE_INFINITY, least = Number.NEGATIVE_INFINITY } = target;
  return { name, value, unit, target, verdict: value <= most && value >= least ? 'meets' : 'falls short' };
}

/** Three digits that mean something. */
export function round(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

export const valueText = ({ value, unit }: Figure): string => round(value) + unitText(unit);

export function targetText({ target, unit }: Figure): string {
  const { most, least } = target;
  return most !== undefined ? `<= ${most}${unitText(unit)}` : `>= ${least}${unitText(unit)}`;
}

/** The last two cells of a row. */
export const verdictCells = (figure: Figure | undefined): [string, string] =>
  figure === undefined ? ['', ''] : [targetText(figure), figure.verdict];

function unitText(unit: Figure['unit']): string {
  return unit === '' || unit === 'x' ? unit : ` ${unit}`;
}
