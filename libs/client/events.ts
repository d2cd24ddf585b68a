// What happened in the services of the cluster. Each keeps its last thousand events; here they are joined, by time.
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { type Event, EventService } from '@odonata/proto/event/v1/event';
import { delay } from '@odonata/rpc/backoff.ts';
import type { Client } from '@odonata/rpc/client.ts';
import type { EventKind } from '@odonata/rpc/events.ts';
import { accessRule, admit } from '@odonata/rpc/identity/access.ts';
import { methodPath } from '@odonata/rpc/service.ts';
import { anyOf, expectNotAborted } from './abort.ts';
import type { Connection } from './connection.ts';
import { allPages } from './list-pages.ts';
import { overRouters } from './over-routers.ts';

const LIST = EventService.method.listEvents;
const ASK_MS = 5_000;
const PAGE_ITEMS = 1_000;
const EVERY_MS = 500;

export interface EventFilter {
  /** Milliseconds since 1970: later ones only. */
  sinceMs?: number;
  /** Empty, or absent: all kinds. */
  kinds?: readonly (EventKind | (string & {}))[];
  signal?: AbortSignal;
}

export interface EventList {
  /** All that were asked. */
  readonly services: readonly string[];
  /** Oldest first. */
  events: Event[];
  /** Services that do not answer, and how. */
  silent: { service: string; error: unknown }[];
}

interface OfService {
  service: string;
  /** Oldest first. */
  events: Event[];
}

/** Up to where the events of a service are known. */
interface Mark {
  ms: number;
  /** Of those of that millisecond. */
  ids: Set<bigint>;
}

/** A cluster has fewer services; past that, marks of those that are gone are forgotten. */
const MARKS_MAX = 4_096;

export class Events {
  readonly #to: Connection;

  constructor(to: Connection) {
    this.#to = to;
  }

  /** What all services still have. */
  async list({ sinceMs, kinds = [], signal }: EventFilter = {}): Promise<EventList> {
    const { lists, silent } = await this.#ofServices(() => sinceMs, kinds, anyOf(this.#to.closed, signal));
    const services = [...lists, ...silent].map(({ service }) => service);
    return { events: inOrder(lists.flatMap(({ events }) => events)), services, silent };
  }

  /**
   * Those that are there since then, and those that come, until the signal aborts. A service that does not answer is asked
   * again. Those of one service come in order; of several, those that are found at one look.
   * @param filter.sinceMs absent: only those from now on
   * @throws RpcError CANCELLED when the signal aborts
   */
  async *follow(filter: EventFilter & { everyMs?: number } = {}): AsyncGenerator<Event, void, undefined> {
    const { sinceMs = Date.now(), kinds = [], everyMs = EVERY_MS } = filter;
    const signal = anyOf(this.#to.closed, filter.signal);
    const marks = new Map<string, Mark>();
    for (;;) {
      const since = (service: string) => marks.get(service)?.ms ?? sinceMs;
      const { lists } = await this.#ofServices(since, kinds, signal);
      const fresh: Event[] = [];
      for (const { service, events } of lists) {
        const mark = marks.get(service);
        const found = events.filter((event) => !(timeOf(event) === mark?.ms && mark.ids.has(event.id)));
        fresh.push(...found);
        if (found.length > 0) marks.set(service, markAfter(found, mark));
      }
      const here = new Set(lists.map(({ service }) => service));
      if (marks.size > MARKS_MAX) for (const key of marks.keys()) if (!here.has(key)) marks.delete(key);
      yield* inOrder(fresh);
      await delay(everyMs, signal);
      expectNotAborted(signal);
    }
  }

  /** Each service would refuse it, and tell of somebody who tries. @throws RpcError PERMISSION_DENIED, in their words */
  #expectMay(): void {
    const caller = this.#to.identity?.caller;
    if (caller !== undefined) admit(methodPath(LIST), accessRule(LIST), caller);
  }

  /** Of every service that answers. */
  #ofServices(
    sinceMs: (service: string) => number | undefined,
    kinds: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<{ lists: OfService[]; silent: EventList['silent'] }> {
    this.#expectMay();
    return overRouters(
      this.#to,
      async () => {
        const silent: EventList['silent'] = [];
        const ask = async ([service, client]: [string, Client<typeof EventService>]): Promise<OfService> => {
          const ms = sinceMs(service);
          const about = { since: ms === undefined ? undefined : timestampFromMs(ms), kinds: [...kinds] };
          try {
            const events = await allPages(
              (pageToken) =>
                client.listEvents(
                  { ...about, pageSize: PAGE_ITEMS, pageToken },
                  { deadlineMs: ASK_MS, signal },
                ),
              (response) => response.events,
            );
            return { service, events };
          } catch (error) {
            silent.push({ service, error });
            return { service, events: [] };
          } finally {
            client.close();
          }
        };
        const lists = await Promise.all((await this.#to.eventLogs(signal)).map(ask));
        return { lists, silent };
      },
      signal,
    );
  }
}

const timeOf = ({ time }: Event): number => (time === undefined ? 0 : timestampMs(time));

const inOrder = (events: Event[]): Event[] => events.sort((a, b) => timeOf(a) - timeOf(b));

function markAfter(found: readonly Event[], before: Mark | undefined): Mark {
  const ms = Math.max(...found.map(timeOf), before?.ms ?? 0);
  const ids = new Set(ms === before?.ms ? before.ids : []);
  for (const event of found) if (timeOf(event) === ms) ids.add(event.id);
  return { ms, ids };
}
