// What commands print: lines for people (tables: table.ts), JSON for programs (json.ts).
import { writeSync } from 'node:fs';

/** What moves the cursor, changes the terminal, or turns the direction of text. */
const UNSHOWN = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const UNSHOWN_BUT_LINES = /(?![\n\t])[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Text of somebody else's, as a terminal may show it on one line. */
export const plainText = (text: string): string => text.replace(UNSHOWN, '?');

let progressStands = false;

/** --quiet: nothing but what was asked for, and errors. */
let quiet = false;

export function setQuiet(to: boolean): void {
  quiet = to;
}

/** What a terminal says that was never told its size: 0, or nothing. */
const [COLUMNS, ROWS] = [80, 24];

export const terminalSize = ({
  columns,
  rows,
}: {
  columns?: number;
  rows?: number;
}): { columns: number; rows: number } => ({ columns: columns || COLUMNS, rows: rows || ROWS });

/** One line of a terminal, in the place of the last one; what is printed next takes its place. Elsewhere: nothing. */
export function showProgress(text: string): void {
  if (quiet || !process.stderr.isTTY) return;
  // A line that wraps could not be taken back.
  writeAll(2, `\r\x1b[K${plainText(text).slice(0, Math.max(1, terminalSize(process.stderr).columns - 1))}`);
  progressStands = true;
}

export function endProgress(): void {
  if (progressStands) writeAll(2, '\r\x1b[K');
  progressStands = false;
}

/** While somebody watches: what one look printed, to be shown at once. */
let look: string[] | undefined;

/** What `show` prints is returned, and not printed. To a terminal errors are part of it: they would stand somewhere in it. */
export async function printedBy(show: () => Promise<void>): Promise<string> {
  look = [];
  try {
    await show();
    return look.join('');
  } finally {
    look = undefined;
  }
}

/** What was asked for. */
export function print(text: string): void {
  endProgress();
  if (look === undefined) writeAll(1, `${text}\n`);
  else look.push(`${text}\n`);
}

/** With --quiet, of a listing: one a line. */
export function printNames(names: readonly (string | bigint)[]): void {
  for (const name of names) print(plainText(String(name)));
}

/** What is good to know: not with --quiet. */
export function say(text: string): void {
  if (!quiet) print(text);
}

/** The same, where standard output is for something else. */
export function sayAside(text: string): void {
  if (!quiet) printError(text);
}

export function printError(text: string): void {
  endProgress();
  const line = `${text.replace(UNSHOWN_BUT_LINES, '?')}\n`;
  if (look !== undefined && process.stdout.isTTY) look.push(line);
  else writeAll(2, line);
}

let isRead = true;

/** False: whoever read standard output has what they wanted, as `head` does. */
export const isOutputRead = (): boolean => isRead;

/** As it is, to standard output. */
export const printRaw = (text: string): void => writeAll(1, text);

/** Synchronous, so that process.exit loses nothing; a pipe that is full for now is waited for. */
function writeAll(fd: number, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE') {
        if (fd === 1) isRead = false;
        return;
      }
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** `router at a:1`, `routers at a:1, b:2`. */
export const routersAt = (syslink: string): string =>
  `${syslink.includes(',') ? 'routers' : 'router'} at ${syslink.replaceAll(',', ', ')}`;

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
