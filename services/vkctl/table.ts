// Tables for people: two spaces between columns, no lines, a head even without rows. To a terminal they fit it:
//
//   1. as wide as they are, where that fits;
//   2. else columns of words (`flex`) become narrower, and break their words into lines;
//   3. else the table is cut into blocks of columns that fit, each with the first column, so that rows are found again.
//
// Nothing is left out. What is no terminal gets each row as one line, unless COLUMNS says how wide it is.
import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';
import { plainText } from './output.ts';

export interface Column {
  head: string;
  align?: 'left' | 'right';
  /** Words, which may be broken into lines where there is no room. */
  flex?: boolean;
  /** Says something of the column before it, and stands beside that. */
  beside?: boolean;
}

/** Most of what is shown is plain, and asked three times. */
const widthOf = (text: string): number => (/^[ -~]*$/.test(text) ? text.length : stringWidth(text));

export type Cell = string | number | bigint;

const GAP = 2;
/** Words in less are not read any more. */
const FLEX_MIN = 16;
const WIDTH_MIN = 20;

/** Columns of the terminal; undefined: there is none, and lines may be as long as they are. */
export function terminalWidth(): number | undefined {
  const told = Number(process.env.COLUMNS);
  if (Number.isInteger(told) && told > 0) return Math.max(WIDTH_MIN, told);
  return process.stdout.isTTY && process.stdout.columns > 0
    ? Math.max(WIDTH_MIN, process.stdout.columns)
    : undefined;
}

/** @param width in columns of a terminal; undefined: any */
export function table(columns: Column[], rows: Cell[][], width = terminalWidth()): string {
  const cells = rows.map((row) => row.map((cell) => plainText(String(cell))));
  const natural = columns.map(({ head }, at) =>
    cells.reduce((most, row) => Math.max(most, widthOf(row[at] ?? '')), widthOf(head)),
  );
  if (width === undefined || total(natural) <= width) return drawn(columns, cells);
  return blocksOf(columns, natural, width)
    .map((block) => {
      const widths = narrowed(block, columns, natural, width);
      const pick = <T>(from: readonly T[]): T[] => block.map((at) => from[at]!);
      const broken = (row: readonly string[]): string[] =>
        row.map((cell, i) =>
          widthOf(cell) > widths[i]! ? wrapAnsi(cell, widths[i]!, { hard: true }) : cell,
        );
      return drawn(
        pick(columns),
        cells.map((row) => broken(pick(row))),
      );
    })
    .join('\n\n');
}

const total = (widths: readonly number[]): number =>
  widths.reduce((sum, each) => sum + each, GAP * (widths.length - 1));

/** Indexes of columns, by block; each block begins with the first column. */
function blocksOf(columns: readonly Column[], natural: readonly number[], width: number): number[][] {
  const least = natural.map((each, at) => (columns[at]!.flex ? Math.min(each, FLEX_MIN) : each));
  const blocks: number[][] = [];
  let block = [0];
  for (let at = 1; at < columns.length; ) {
    let end = at + 1;
    while (columns[end]?.beside) end += 1;
    const group = Array.from({ length: end - at }, (_, i) => at + i);
    if (block.length > 1 && total([...block, ...group].map((i) => least[i]!)) > width) {
      blocks.push(block);
      block = [0];
    }
    block.push(...group);
    at = end;
  }
  return [...blocks, block];
}

/** Widths of the columns of a block: those of words take what the others leave. */
function narrowed(
  block: readonly number[],
  columns: readonly Column[],
  natural: readonly number[],
  width: number,
): number[] {
  const widths = block.map((at) => natural[at]!);
  let over = total(widths) - width;
  const flex = block.flatMap((at, i) => (columns[at]!.flex ? [i] : []));
  // The widest first, one column of the terminal at a time.
  while (over > 0) {
    const widest = flex.filter((i) => widths[i]! > FLEX_MIN).sort((a, b) => widths[b]! - widths[a]!)[0];
    if (widest === undefined) break; // A first column that is wider than the terminal stays whole.
    widths[widest]! -= 1;
    over -= 1;
  }
  return widths;
}

function drawn(columns: readonly Column[], cells: readonly string[][]): string {
  const rows = [columns.map(({ head }) => head), ...cells].map((row) => row.map((cell) => cell.split('\n')));
  const widths = columns.map((_, at) =>
    rows.reduce((most, row) => (row[at] ?? []).reduce((max, line) => Math.max(max, widthOf(line)), most), 0),
  );
  const padded = (text: string, at: number): string => {
    const room = ' '.repeat(Math.max(0, widths[at]! - widthOf(text)));
    return columns[at]!.align === 'right' ? room + text : text + room;
  };
  const shown: string[] = [];
  for (const row of rows) {
    const height = Math.max(...row.map(({ length }) => length));
    for (let line = 0; line < height; line++)
      shown.push(
        columns
          .map((_, at) => padded(row[at]?.[line] ?? '', at))
          .join(' '.repeat(GAP))
          .trimEnd(),
      );
  }
  return shown.join('\n');
}
