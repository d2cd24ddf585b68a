// What must be kept before a replica may go on: who is dead, before anybody gets what he had; who was taken in, before
// he hears of it; and that the reports of a shard were taken, before anything of it is given to anyone.
//
//   of several replicas   a note of a death or of reports that is refused, or late, is none: the replica leads those
//                         shards no more. Whoever does next starts from what is kept
//   one alone             nobody overtakes it, but its own restart would believe the dead: so it waits, and asks again,
//                         for as long as the store is away; what the dead one had waits with it, all else is served
//   who is taken in       without a deadline of its own: he has his lease to wait, and then asks again
//
// What is said of a node is stored in the order in which it is said: the next note of it goes out when the fate of the one
// before is known, also where that was too late to count. What waits behind a death that is not kept is not kept either.
import type { Note } from './note.ts';
import type { ReplicaOutbox } from './outbox.ts';

/** How long a replica that has rivals waits for a note. */
export const NOTE_MS = 1_000;
const AGAIN_FIRST_MS = 50;
const AGAIN_MAX_MS = 2_000;

const WHAT = {
  'taken-in': 'that a node was taken in',
  dead: 'the death of a holder',
  rebuilt: 'that the reports of a shard were taken',
} as const;

/** What became of a note, for whom it was asked. */
export interface Outcome<F> {
  for: F;
  kept: boolean;
  reason: string;
}

interface Pending<F> {
  readonly note: Note;
  /** Notes of one line are stored one after the other. */
  readonly line: string;
  readonly for: F;
  readonly askedAtMs: number;
  /** Of the try that is under way. */
  number: number | undefined;
  /** Tries that failed. */
  tries: number;
  /** When it is tried again. */
  againAtMs: number;
  /** Its outcome was told, though its fate may not be known. */
  judged: boolean;
}

export interface NotesOptions {
  /** No other replica can take the shards of this one. */
  alone: boolean;
  out: ReplicaOutbox;
}

export class Notes<F> {
  private readonly o: NotesOptions;
  /** The first of each line is under way. */
  private readonly lines = new Map<string, Pending<F>[]>();
  private readonly underWay = new Map<number, Pending<F>>();
  private outcomes: Outcome<F>[] = [];
  private last = 0;
  private shardNotes = 0;

  constructor(options: NotesOptions) {
    this.o = options;
  }

  /** Notes of which the fate is not known. */
  get pending(): number {
    let sum = 0;
    for (const line of this.lines.values()) sum += line.length;
    return sum;
  }

  ask(note: Note, about: F, nowMs: number): void {
    // What is said of a shard does not wait for what was said before: the store compares what it has.
    const key = note.about === 'rebuilt' ? `shard ${note.shard} ${++this.shardNotes}` : `node ${note.node}`;
    const pending: Pending<F> = {
      ...{ note, line: key, for: about, askedAtMs: nowMs },
      ...{ number: undefined, tries: 0, againAtMs: 0, judged: false },
    };
    const line = this.lines.get(key);
    if (line !== undefined) line.push(pending);
    else {
      this.lines.set(key, [pending]);
      this.store(pending);
    }
  }

  /** What became of a try. One that is not under way says nothing. */
  noted(number: number, kept: boolean, reason: string, nowMs: number): void {
    const pending = this.underWay.get(number);
    if (pending === undefined) return;
    this.underWay.delete(number);
    pending.number = undefined;
    const inTime = !this.isLate(pending, nowMs);
    if (!kept && !pending.judged && this.isTriedAgain(pending.note)) {
      this.again(pending, reason, nowMs);
      return;
    }
    if (kept && pending.tries > 0) this.o.out.log('info', 'noted at last', aboutOf(pending.note));
    this.judge(pending, kept && inTime, kept ? lateReason : reason);
    this.next(pending);
  }

  tick(nowMs: number): void {
    for (const line of [...this.lines.values()])
      for (const pending of [...line]) {
        if (this.isLate(pending, nowMs)) {
          this.judge(pending, false, lateReason);
          if (pending.number === undefined) this.next(pending);
        } else if (pending === line[0] && pending.tries > 0 && pending.number === undefined)
          if (nowMs >= pending.againAtMs) this.store(pending);
      }
  }

  /** Nobody waits for these any more: what is not under way is not stored. */
  cancel(isFor: (about: F) => boolean): void {
    for (const line of [...this.lines.values()])
      for (const pending of [...line]) {
        if (!isFor(pending.for)) continue;
        pending.judged = true;
        if (pending.number === undefined) this.next(pending);
      }
  }

  /** Since this was asked last. */
  take(): Outcome<F>[] {
    const { outcomes } = this;
    this.outcomes = [];
    return outcomes;
  }

  protected isLate({ note, askedAtMs }: Pick<Pending<F>, 'note' | 'askedAtMs'>, nowMs: number): boolean {
    return !this.o.alone && note.about !== 'taken-in' && nowMs - askedAtMs >= NOTE_MS;
  }

  protected isTriedAgain(note: Note): boolean {
    return this.o.alone && note.about !== 'taken-in';
  }

  private store(pending: Pending<F>): void {
    pending.number = ++this.last;
    this.underWay.set(pending.number, pending);
    this.o.out.add({ type: 'note', note: pending.number, what: pending.note });
  }

  private again(pending: Pending<F>, reason: string, nowMs: number): void {
    if (pending.tries === 0) {
      const about = { ...aboutOf(pending.note), reason };
      this.o.out.log('warn', 'JetStream keeps no note; this waits, and asks again', about);
    }
    pending.againAtMs = nowMs + Math.min(AGAIN_MAX_MS, AGAIN_FIRST_MS * 2 ** Math.min(pending.tries, 10));
    pending.tries++;
  }

  private judge(pending: Pending<F>, kept: boolean, reason: string): void {
    if (pending.judged) return;
    pending.judged = true;
    this.outcomes.push({ for: pending.for, kept, reason });
    if (kept || pending.note.about !== 'dead') return;
    const line = this.lines.get(pending.line) ?? [];
    for (const behind of line.splice(line.indexOf(pending) + 1)) {
      if (behind.judged) continue;
      behind.judged = true;
      this.outcomes.push({ for: behind.for, kept: false, reason });
    }
  }

  // Its fate is known, or it has none.
  private next(pending: Pending<F>): void {
    const line = this.lines.get(pending.line);
    if (line === undefined) return;
    const wasFirst = line[0] === pending;
    const at = line.indexOf(pending);
    if (at >= 0) line.splice(at, 1);
    const [first] = line;
    if (first === undefined) this.lines.delete(pending.line);
    else if (wasFirst) this.store(first);
  }
}

const lateReason = `it was not kept within ${NOTE_MS} ms`;

function aboutOf(note: Note): Record<string, unknown> {
  const what = WHAT[note.about];
  return note.about === 'rebuilt' ? { what, shard: note.shard } : { what, node: note.node };
}
