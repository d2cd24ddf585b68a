// A mark beside a service's file of events: which process is the service now. Who ends in order takes its own away, so one that is found
// at a start is of a life that ended without a word: it was killed, it crashed, or its machine went down.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { startTicksOf } from './process-stat.ts';

const markSchema = z.object({ pid: z.int().positive(), startTicks: z.string().max(32), atMs: z.number() });
type Mark = z.infer<typeof markSchema>;

export class LifeMark {
  readonly #path: string;
  readonly #own: Mark;

  constructor(path: string, nowMs = Date.now()) {
    this.#path = path;
    this.#own = { pid: process.pid, startTicks: startTicksOf(process.pid) ?? '', atMs: nowMs };
  }

  /** @returns since when the life before went, where it ended without a word; one that goes on still hands over to this one */
  begin(): { sinceMs: number } | undefined {
    const before = this.#read();
    const temporary = `${this.#path}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify(this.#own), { mode: 0o600 });
    renameSync(temporary, this.#path);
    if (before === undefined || startTicksOf(before.pid) === before.startTicks) return undefined;
    return { sinceMs: before.atMs };
  }

  /** It ends in order. The mark of who took its place stays. */
  end(): void {
    const now = this.#read();
    if (now?.pid === this.#own.pid && now.startTicks === this.#own.startTicks)
      rmSync(this.#path, { force: true });
  }

  #read(): Mark | undefined {
    try {
      return markSchema.parse(JSON.parse(readFileSync(this.#path, 'utf8')));
    } catch {
      return undefined;
    }
  }
}
