// Why a virtual kernel ended, by what it wrote last: an error of Node has a stack behind it and its version at the end, and the line
// that people want is before those.
const LINES = 32;
const LINE_MAX = 400;
/** What it wrote long before it ended says nothing of why. */
const RECENT_MS = 5_000;
/** Of a stack, of what belongs to an error, or of where it was thrown. */
const BESIDES = /^(\s|[{}<[\]^]|-----|\d+: |Node\.js v|node:|file:|\/\S*:\d+$)/;

export class LastWords {
  readonly #lines: { line: string; atMs: number }[] = [];

  add(line: string, atMs: number): void {
    this.#lines.push({ line: line.slice(0, 4 * LINE_MAX), atMs });
    if (this.#lines.length > LINES) this.#lines.shift();
  }

  /** One line, without what a terminal would heed; empty where it said nothing. */
  at(nowMs: number): string {
    for (const { line, atMs } of this.#lines.toReversed()) {
      if (nowMs - atMs > RECENT_MS) break;
      const words = wordsOf(line);
      if (words !== '') return words;
    }
    return '';
  }
}

function wordsOf(line: string): string {
  const said = line.startsWith('{"') ? loggedError(line) : BESIDES.test(line) ? '' : line;
  return said
    .replace(/[\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
    .slice(0, LINE_MAX);
}

function loggedError(line: string): string {
  try {
    const { level, msg, err } = JSON.parse(line) as Record<string, unknown>;
    if (level !== 'error' && level !== 'fatal') return '';
    const { message } = (err ?? {}) as { message?: unknown };
    return [msg, message].filter((each) => typeof each === 'string').join(': ');
  } catch {
    return '';
  }
}
