// --watch of listings: the same again and again, until Ctrl-C. In a terminal each look takes the place of the one before;
// elsewhere one follows the other, with --json as one line each.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import wrapAnsi from 'wrap-ansi';
import { explainWithFix } from './failure.ts';
import { printLines } from './json.ts';
import { isOutputRead, print, printError, printedBy, printRaw, terminalSize } from './output.ts';

export interface WatchOption {
  /** Seconds; true: as it is. */
  watch?: number | true;
  json?: boolean;
}

const EVERY_S = 2;
const [LEAST_S, MOST_S] = [0.1, 3_600];

export const watchable = (command: Command): Command =>
  command.option('-w, --watch [seconds]', `again every ${EVERY_S} s, or so many, until Ctrl-C`, seconds);

function seconds(text: string): number {
  const number = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && number >= LEAST_S && number <= MOST_S) return number;
  throw new InvalidArgumentError(`Give seconds from ${LEAST_S} to ${MOST_S}.`);
}

/** Once, or again and again: a look that fails after the first one is said, and tried again. */
export async function watched(options: WatchOption, look: () => Promise<void>): Promise<void> {
  if (options.watch === undefined) return await look();
  const everyMs = (options.watch === true ? EVERY_S : options.watch) * 1_000;
  if (options.json) printLines();
  const inPlace = process.stdout.isTTY && !options.json;
  for (let first = true; isOutputRead(); first = false) {
    process.exitCode = 0;
    const shown = await printedBy(async () => {
      try {
        await look();
      } catch (error) {
        if (first) throw error;
        printError(`vkctl: ${explainWithFix(error)}`);
        process.exitCode = 1;
      }
    });
    if (inPlace) printRaw(inPlaceOf(shown, first));
    else {
      if (!first && !options.json) print('');
      printRaw(shown);
    }
    if (isOutputRead()) await sleep(everyMs);
  }
}

/** Over what stands there, line by line, so that nothing flickers; what has no room is counted. */
function inPlaceOf(text: string, first: boolean): string {
  const { columns, rows } = terminalSize(process.stdout);
  const lines = text
    .trimEnd()
    .split('\n')
    .flatMap((line) =>
      line.length > columns ? wrapAnsi(line, columns, { hard: true }).split('\n') : [line],
    );
  const room = Math.max(2, rows - 1);
  if (lines.length > room)
    lines.splice(room - 1, lines.length, `... and ${lines.length - room + 1} more lines`);
  return `${first ? '\x1b[2J' : ''}\x1b[H${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`;
}
