// What commands print: tables for people, JSON for programs.
import { writeSync } from 'node:fs';
import Table from 'cli-table3';

export interface Column {
  head: string;
  align?: 'left' | 'right';
}

/** What moves the cursor, changes the terminal, or turns the direction of text. */
const UNSHOWN = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const UNSHOWN_BUT_LINES = /(?![\n\t])[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Text of somebody else's, as a terminal may show it on one line. */
export const plainText = (text: string): string => text.replace(UNSHOWN, '?');

/** A plain table: two spaces between columns, no lines; a head even without rows. */
export function table(columns: Column[], rows: (string | number | bigint)[][]): string {
  const none = '';
  const made = new Table({
    head: columns.map(({ head }) => head),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    chars: {
      top: none,
      'top-mid': none,
      'top-left': none,
      'top-right': none,
      bottom: none,
      'bottom-mid': none,
      'bottom-left': none,
      'bottom-right': none,
      left: none,
      'left-mid': none,
      mid: none,
      'mid-mid': none,
      right: none,
      'right-mid': none,
      middle: '  ',
    },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  made.push(...rows.map((row) => row.map((cell) => plainText(String(cell)))));
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** JSON of protobuf messages and plain values: 64-bit numbers become numbers where these are exact, else text. */
export function json(value: unknown): string {
  return JSON.stringify(
    value,
    (key, item: unknown) => {
      if (key === '$typeName' || key === '$unknown') return undefined;
      if (typeof item === 'bigint') return Number.isSafeInteger(Number(item)) ? Number(item) : String(item);
      if (item instanceof Uint8Array) return Buffer.from(item).toString('base64');
      return item;
    },
    2,
  );
}

let progressStands = false;

/** One line of a terminal, in the place of the last one; what is printed next takes its place. Elsewhere: nothing. */
export function showProgress(text: string): void {
  if (!process.stderr.isTTY) return;
  // A line that wraps could not be taken back.
  writeAll(2, `\r\x1b[K${plainText(text).slice(0, Math.max(1, process.stderr.columns - 1))}`);
  progressStands = true;
}

export function endProgress(): void {
  if (progressStands) writeAll(2, '\r\x1b[K');
  progressStands = false;
}

export function print(text: string): void {
  endProgress();
  writeAll(1, `${text}\n`);
}

export function printError(text: string): void {
  endProgress();
  writeAll(2, `${text.replace(UNSHOWN_BUT_LINES, '?')}\n`);
}

/** Synchronous, so that process.exit loses nothing; a pipe that is full for now is waited for. */
function writeAll(fd: number, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE') return; // The reader has what it wanted, as `head` does.
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** `router at a:1`, `routers at a:1, b:2`. */
export const routersAt = (syslink: string): string =>
  `${syslink.includes(',') ? 'routers' : 'router'} at ${syslink.replaceAll(',', ', ')}`;

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
