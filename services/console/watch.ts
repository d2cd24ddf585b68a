// A cluster as one person may see it: a look a second while somebody looks, its last hour, and its last events. There is one
// for each person, whatever number of windows they have; the console's own goes on when nobody looks.
import type { Cluster } from '@odonata/client/cluster.ts';
import { Looks } from '@odonata/client/look/look.ts';
import { type Top, topOf } from '@odonata/client/look/top.ts';
import { Severity } from '@odonata/proto/event/v1/event';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { type EventRow, lookRows, type Rows } from './feed.ts';
import { History } from './history.ts';

const LOOK_MS = 1_000;
/** For the charts alone. */
const IDLE_LOOK_MS = 5_000;
const EVENTS_KEPT = 500;

export type Listener = (rows: Rows | undefined, events: readonly EventRow[]) => void;

export interface WatchAbout {
  readonly cluster: Cluster;
  readonly who: string;
  readonly role: string;
  readonly log: Logger;
  readonly forget: () => void;
}

export class Watch {
  readonly cluster: Cluster;
  readonly who: string;
  readonly role: string;
  readonly history = new History();
  readonly events: EventRow[] = [];
  rows: Rows | undefined;
  /** The cluster does not take them for anybody any more. */
  refused = false;
  readonly #about: WatchAbout;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<Listener>();
  #wake = new AbortController();

  constructor(about: WatchAbout) {
    this.#about = about;
    this.cluster = about.cluster;
    this.who = about.who;
    this.role = about.role;
    void this.#looks();
    void this.#follow();
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    this.#wake.abort();
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#closing.abort();
    this.#wake.abort();
    this.cluster.close();
    this.#about.forget();
  }

  async #looks(): Promise<void> {
    const explain = (error: unknown) => (RpcError.is(error) ? error.details : 'does not answer');
    const looks = new Looks(this.cluster, explain);
    const { signal } = this.#closing;
    let before: Awaited<ReturnType<Looks['look']>> | undefined;
    let top: Top | undefined;
    while (!signal.aborted) {
      try {
        const now = await looks.look(top?.dataspaces.map(({ name }) => name));
        top = topOf(before, now);
        before = now;
        this.history.add(top, now.atMs);
        this.rows = lookRows(top);
        for (const listener of this.#listeners) listener(this.rows, []);
      } catch (error) {
        this.#failed(error, 'a look at the cluster failed');
      }
      this.#wake = new AbortController();
      const waitMs = this.#listeners.size > 0 ? LOOK_MS : IDLE_LOOK_MS;
      await delay(waitMs, AbortSignal.any([signal, this.#wake.signal])).catch(() => {});
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    let sinceMs = Date.now() - 60 * 60_000;
    while (!signal.aborted) {
      try {
        for await (const event of this.cluster.events.follow({ sinceMs, everyMs: LOOK_MS, signal })) {
          const atMs =
            event.time === undefined ? 0 : Number(event.time.seconds) * 1_000 + event.time.nanos / 1e6;
          const severity = (Severity[event.severity] ?? '').toLowerCase();
          const { service, node, kind, text } = event;
          const row: EventRow = { atMs, severity, service, node, kind, text };
          sinceMs = Math.max(sinceMs, atMs);
          this.events.push(row);
          if (this.events.length > EVENTS_KEPT) this.events.shift();
          for (const listener of this.#listeners) listener(undefined, [row]);
        }
      } catch (error) {
        this.#failed(error, 'events cannot be read');
        await delay(LOOK_MS, signal).catch(() => {});
      }
    }
  }

  #failed(error: unknown, what: string): void {
    if (this.#closing.signal.aborted) return;
    if (RpcError.is(error, Code.Unauthenticated)) this.refused = true;
    this.#about.log.debug({ err: error, who: this.who }, what);
  }
}
