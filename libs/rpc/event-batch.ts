// Joins events that are made in one turn into one message of a stream.
import { ownTurn } from './bug.ts';
import type { RpcError } from './error.ts';

const LATER_MS = 5;
const LATER_MAX = 256;
/** Of one message. */
const EVENTS_MAX = 16_384;

/** Collects events and writes them together at the end of the current turn, in order. */
export class EventBatch<E> {
  private events: E[] = [];
  private later: E[] = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly write: (events: E[]) => void;
  /** In a turn of its own. */
  private readonly flushLate: () => void;

  /** @param end a bug in `write` ends the stream */
  constructor(write: (events: E[]) => void, end?: (error: RpcError) => void) {
    this.write = write;
    this.flushLate = ownTurn({ batch: 'events' }, () => this.flush(), end);
  }

  push(event: E): void {
    this.events.push(event);
    if (this.events.length === 1) queueMicrotask(this.flushLate);
  }

  /** For what nobody waits for: goes with the next event that somebody does, or after a few milliseconds. */
  pushLater(event: E): void {
    this.later.push(event);
    if (this.later.length >= LATER_MAX) this.flush();
    else this.timer ??= setTimeout(this.flushLate, LATER_MS);
  }

  /** Writes what is there now. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.events.length + this.later.length === 0) return;
    const events = [...this.later, ...this.events];
    this.events = [];
    this.later = [];
    if (events.length <= EVENTS_MAX) this.write(events);
    else for (let at = 0; at < events.length; at += EVENTS_MAX) this.write(events.slice(at, at + EVENTS_MAX));
  }

  /** Writes what would be written at the end of this turn, if anything. */
  flushNow(): void {
    if (this.events.length > 0) this.flush();
  }

  /** Forgets what is not written, as when the stream is gone. */
  clear(): void {
    this.events = [];
    this.later = [];
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
