// What somebody tried and was refused, that nobody tries who behaves: each counts in a metric, and the first ones of each peer
// and attempt in a minute are events, so that whoever makes many hides nobody else's.
import type { EventLog, EventSubject } from './events.ts';
import { FirstOfMinute } from './first-of-minute.ts';
import type { Metrics } from './metrics.ts';

export class SecurityEvents {
  readonly #events: EventLog;
  readonly #refusals: FirstOfMinute;

  constructor(events: EventLog, now?: () => number) {
    this.#events = events;
    this.#refusals = new FirstOfMinute(now);
  }

  /**
   * @param attempt what was tried, one of a few words: it labels the metric
   * @param peer who did, as far as that is known
   * @param text one line for people
   */
  refused(attempt: string, peer: string, text: string, subject: EventSubject = {}): void {
    if (this.#refusals.count(attempt, peer))
      this.#events.add('security', text, { attempt, peer, ...subject });
  }

  countIn(metrics: Metrics): void {
    const help = 'Attempts that were refused and that nobody makes who behaves: vkctl events --security';
    metrics.counters('security_refusals_total', help, 'attempt', () => this.#refusals.counts);
  }
}
