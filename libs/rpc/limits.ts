// Limits that were hit: each refusal counts in a metric, and the first ones of each limit and person in a minute are events. Who
// makes many hides nobody else's.

import type { RpcError } from './error.ts';
import type { EventLog } from './events.ts';
import { FirstOfMinute } from './first-of-minute.ts';
import type { Metrics } from './metrics.ts';
import { overQuota } from './refusal.ts';

/** Where a server tells it. */
export type LimitsLog = Pick<Limits, 'count'>;

export class Limits {
  private readonly events: Pick<EventLog, 'add'>;
  private readonly hits: FirstOfMinute;

  constructor(events: Pick<EventLog, 'add'>, now?: () => number) {
    this.events = events;
    this.hits = new FirstOfMinute(now);
  }

  /**
   * @param limit which one, one of a few words: it labels the metric
   * @param who hit it: `user:alice`, `vkernel:alice/default`
   * @param text one line that says how to raise it
   */
  hit(limit: string, who: string, text: string, subject: Record<string, string | bigint> = {}): RpcError {
    this.count(limit, who, text, subject);
    return overQuota(who, text);
  }

  count(limit: string, who: string, text: string, subject: Record<string, string | bigint> = {}): void {
    if (this.hits.count(limit, who))
      this.events.add('limit-hit', `${who}: ${text}`, { limit, who, ...subject });
  }

  /** More pages wait for a node than it takes. */
  transfer(address: string, pages: number): void {
    const text = `${pages} pages were not sent to the node at ${address}, which takes them too slowly or is away; they are asked for again`;
    this.count('transfer', `node:${address}`, text);
  }

  countIn(metrics: Metrics): void {
    const help =
      'Requests that were refused for a limit, and events that were dropped for one: vkctl events --kind limit-hit';
    metrics.counters('limit_hits_total', help, 'limit', () => this.hits.counts);
  }
}
