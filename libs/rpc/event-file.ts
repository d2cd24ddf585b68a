// The file in which a service keeps its events beyond its end: a line of JSON each, written at once, as a line of its log is. Bounded
// by number, size and age: past that it is written anew with the younger ones. It is opened for each line, so a process that
// takes the place of another one writes to the same file.
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { Severity } from '@odonata/proto/event/v1/event';
import { z } from 'zod';

/** Older ones are forgotten. */
export const KEPT_DAYS = 30;
const KEPT_MS = KEPT_DAYS * 86_400_000;
/** Of the file; half of it is left when it is written anew. */
export const FILE_BYTES_MAX = 4 << 20;

// As the message Event has it: one line that cannot be sent would keep all others from whoever asks.
const word = z
  .string()
  .max(512)
  .regex(/^\P{Cc}*$/u);
const YEAR_9999_MS = Date.UTC(9999, 11, 31);
const lineSchema = z.object({
  id: z.coerce
    .bigint()
    .positive()
    .lt(2n ** 63n),
  atMs: z.number().min(0).max(YEAR_9999_MS),
  kind: word,
  severity: z.int().min(Severity.INFO).max(Severity.ERROR),
  service: word,
  node: word,
  text: z.string().max(4_096),
  subject: z.record(word, z.string().max(1_024)).refine((all) => Object.keys(all).length <= 64),
});

export type StoredEvent = z.infer<typeof lineSchema>;

export interface EventFileOptions {
  readonly path: string;
  /** Events that are kept. */
  readonly max: number;
  /** It cannot be read or written; called the first time of a row. */
  onTrouble(error: unknown): void;
}

export class EventFile {
  readonly #o: EventFileOptions;
  #lines = 0;
  #bytes = 0;
  #inTrouble = false;
  /** Events that could not be written. */
  unwritten = 0;

  constructor(options: EventFileOptions) {
    this.#o = options;
  }

  /** What earlier lives have left, oldest first. What is spoilt, as a last line that was cut, is left out. */
  read(nowMs = Date.now()): StoredEvent[] {
    try {
      mkdirSync(dirname(this.#o.path), { recursive: true, mode: 0o700 });
      const { size } = statSync(this.#o.path, { throwIfNoEntry: false }) ?? { size: 0 };
      // Nobody of ours makes it so large.
      if (size > 4 * FILE_BYTES_MAX) rmSync(this.#o.path);
      const events = linesOf(this.#o.path).flatMap(eventOf);
      const kept = events.filter(({ atMs }) => atMs > nowMs - KEPT_MS).slice(-this.#o.max);
      this.#writeAnew(kept);
      return kept;
    } catch (error) {
      this.#trouble(error);
      return [];
    }
  }

  /** @param all those that are kept, with this one; for when it has to be written anew */
  add(event: StoredEvent, all: () => readonly StoredEvent[]): void {
    try {
      const line = lineOf(event);
      if (this.#lines >= 2 * this.#o.max || this.#bytes + line.length > FILE_BYTES_MAX)
        this.#writeAnew(all());
      else {
        // A full disk may have taken a part of the last one.
        appendFileSync(this.#o.path, this.#inTrouble ? `\n${line}` : line, { mode: 0o600 });
        this.#count(line);
      }
      this.#inTrouble = false;
    } catch (error) {
      this.unwritten++;
      this.#trouble(error);
    }
  }

  #writeAnew(events: readonly StoredEvent[]): void {
    let lines = events.map(lineOf);
    let bytes = lines.reduce((sum, line) => sum + line.length, 0);
    while (bytes > FILE_BYTES_MAX / 2) {
      bytes -= lines[0]!.length;
      lines = lines.slice(1);
    }
    const temporary = `${this.#o.path}.new`;
    writeFileSync(temporary, lines.join(''), { mode: 0o600 });
    renameSync(temporary, this.#o.path);
    [this.#lines, this.#bytes] = [0, 0];
    for (const line of lines) this.#count(line);
  }

  #count(line: string): void {
    this.#lines++;
    this.#bytes += line.length;
  }

  #trouble(error: unknown): void {
    if (!this.#inTrouble) this.#o.onTrouble(error);
    this.#inTrouble = true;
  }
}

function linesOf(path: string): string[] {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return [];
  // What was cut must not spoil the line after it.
  return readFileSync(path, 'utf8').split('\n');
}

function eventOf(line: string): StoredEvent[] {
  if (line === '') return [];
  try {
    return [lineSchema.parse(JSON.parse(line))];
  } catch {
    return [];
  }
}

const lineOf = (event: StoredEvent): string =>
  `${JSON.stringify(event, (_key, value) => (typeof value === 'bigint' ? value.toString() : value))}\n`;
