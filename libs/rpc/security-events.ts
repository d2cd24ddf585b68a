// What somebody tried and was refused, that nobody tries who behaves: each counts in a metric, and the first ones of each peer
// and attempt in a minute are events, so that whoever makes many hides nobody else's.
import type { EventLog, EventSubject } from './events.ts';
import type { Metrics } from './metrics.ts';

const MINUTE_MS = 60_000;
/** Of one attempt of one peer, in a minute. */
const TOLD_OF_ONE = 3;
/** Of all peers, in a minute. */
const TOLD_MAX = 100;

export class SecurityEvents {
  readonly #events: EventLog;
  readonly #now: () => number;
  readonly #counts = new Map<string, number>();
  readonly #told = new Map<string, number>();
  #toldOfAll = 0;
  #sinceMs = 0;

  constructor(events: EventLog, now: () => number = () => performance.now()) {
    this.#events = events;
    this.#now = now;
  }

  /**
   * @param attempt what was tried, one of a few words: it labels the metric
   * @param peer who did, as far as that is known
   * @param text one line for people
   */
  refused(attempt: string, peer: string, text: string, subject: EventSubject = {}): void {
    this.#counts.set(attempt, (this.#counts.get(attempt) ?? 0) + 1);
    const nowMs = this.#now();
    if (nowMs - this.#sinceMs > MINUTE_MS) {
      this.#sinceMs = nowMs;
      this.#told.clear();
      this.#toldOfAll = 0;
    }
    const key = `${attempt} ${peer}`;
    const told = this.#told.get(key) ?? 0;
    if (told >= TOLD_OF_ONE || this.#toldOfAll >= TOLD_MAX) return;
    this.#told.set(key, told + 1);
    this.#toldOfAll++;
    this.#events.add('security', text, { attempt, peer, ...subject });
  }

  countIn(metrics: Metrics): void {
    const help = 'Attempts that were refused and that nobody makes who behaves: vkctl events --security';
    metrics.counters('security_refusals_total', help, 'attempt', () => [...this.#counts]);
  }
}
