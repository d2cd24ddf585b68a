// Limits that were hit: each refusal counts in a metric, and the first ones of each limit and person in a minute are events. Who
// makes many hides nobody else's.

import type { RpcError } from '@odonata/rpc/error.ts';
import type { EventLog } from '@odonata/rpc/events.ts';
import type { Metrics } from '@odonata/rpc/metrics.ts';
import { overQuota } from '@odonata/rpc/refusal.ts';

const MINUTE_MS = 60_000;
/** Of one limit and person, in a minute; and of all. */
const TOLD_OF_ONE = 3;
const TOLD_MAX = 100;

export class Limits {
  private readonly events: Pick<EventLog, 'add'>;
  private readonly now: () => number;
  private readonly counts = new Map<string, number>();
  private readonly told = new Map<string, number>();
  private toldOfAll = 0;
  private sinceMs = 0;

  constructor(events: Pick<EventLog, 'add'>, now: () => number = () => performance.now()) {
    this.events = events;
    this.now = now;
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
    this.counts.set(limit, (this.counts.get(limit) ?? 0) + 1);
    const nowMs = this.now();
    if (nowMs - this.sinceMs > MINUTE_MS) {
      this.sinceMs = nowMs;
      this.told.clear();
      this.toldOfAll = 0;
    }
    const key = `${limit} ${who}`;
    const told = this.told.get(key) ?? 0;
    if (told >= TOLD_OF_ONE || this.toldOfAll >= TOLD_MAX) return;
    this.told.set(key, told + 1);
    this.toldOfAll++;
    this.events.add('limit-hit', `${who}: ${text}`, { limit, who, ...subject });
  }

  countIn(metrics: Metrics): void {
    const help =
      'Requests that were refused for a limit, and events that were dropped for one: vkctl events --kind limit-hit';
    metrics.counters('limit_hits_total', help, 'limit', () => [...this.counts]);
  }
}
