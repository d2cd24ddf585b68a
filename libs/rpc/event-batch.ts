// Joins events that are made in one turn into one message of a stream.

/** Collects events and writes them together at the end of the current turn, in order. */
export class EventBatch<E> {
  private events: E[] = [];
  private readonly write: (events: E[]) => void;

  constructor(write: (events: E[]) => void) {
    this.write = write;
  }

  push(event: E): void {
    this.events.push(event);
    if (this.events.length === 1) queueMicrotask(() => this.flush());
  }

  /** Writes what is there now. */
  flush(): void {
    if (this.events.length === 0) return;
    const events = this.events;
    this.events = [];
    this.write(events);
  }

  /** Forgets what is not written, as when the stream is gone. */
  clear(): void {
    this.events = [];
  }
}
