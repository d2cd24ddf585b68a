// What must be kept in JetStream before a replica may go on: who is dead, before anybody gets what he had, and that the
// reports of a shard were taken, before anything of it is given to anyone.
//
//   of several replicas   a note that is refused, or late, is none: the replica leads those shards no more. Whoever does
//                         next starts from what is kept
//   one alone             nobody overtakes it, but its own restart would believe the dead: so it waits, and asks again,
//                         for as long as NATS is away; what the dead one had waits with it, all else is served
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import type { Logger } from '@odonata/rpc/log.ts';

/** How long a replica that has rivals waits for a note. */
const NOTE_MS = 1_000;
const AGAIN_MAX_MS = 2_000;

export interface NotesOptions {
  /** No other replica can take the shards of this one. */
  alone: boolean;
  log: Logger;
}

export class Notes {
  private readonly o: NotesOptions;
  private readonly closing = new AbortController();

  constructor(options: NotesOptions) {
    this.o = options;
  }

  /**
   * Resolves when a note is kept. @throws Error when it is not, or not in time; that says nothing of what JetStream has.
   * @param about for the log
   */
  async kept(
    about: { what: string; node?: string; shard?: number },
    store: () => Promise<void>,
  ): Promise<void> {
    if (!this.o.alone) {
      await inTime(store());
      return;
    }
    const backoff = new Backoff({ firstMs: 50, maxMs: AGAIN_MAX_MS });
    while (!this.closing.signal.aborted) {
      try {
        await store();
        if (backoff.attempts > 0) this.o.log.info(about, 'noted at last');
        return;
      } catch (error) {
        if (backoff.attempts === 0)
          this.o.log.warn({ err: error, ...about }, 'JetStream keeps no note; this waits, and asks again');
        await delay(backoff.nextDelayMs(), this.closing.signal);
      }
    }
    throw new Error('this replica stops');
  }

  close(): void {
    this.closing.abort();
  }
}

async function inTime(stored: Promise<void>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`JetStream did not keep it within ${NOTE_MS} ms`)),
    NOTE_MS,
  );
  try {
    await Promise.race([stored, late]);
  } finally {
    clearTimeout(timer);
  }
}
