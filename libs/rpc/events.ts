// Events: what happened in a service that somebody may want to know of later. Each is a line of its log, a count in its
// metrics, and is kept for `vkctl events`, the last thousand of a service; with a file also those of its earlier lives.
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { type EventService, type ListEventsRequest, Severity } from '@odonata/proto/event/v1/event';
import { EventFile, type StoredEvent } from './event-file.ts';
import { LifeMark } from './life-mark.ts';
import { pageOf } from './list-page.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Handlers } from './service.ts';

/** The kinds of events, and how bad each is. A new one is a line here. */
export const EVENT_KINDS = {
  /** A fault of a process has waited for some seconds. */
  'fault-waits': 'WARNING',
  /** Somebody asked a node for frames that it does not have: a load, a copy for another node. */
  'memory-refused': 'WARNING',
  /** A process ended because of memory: it was refused frames, or had too many of them when others needed some. */
  'process-ended-for-memory': 'WARNING',
  /** What a virtual kernel kept files in had too many frames when others needed some: they are lost. */
  'files-lost': 'ERROR',
  /** A service was killed, crashed, or went down with its machine: its next life says so. */
  'service-died': 'WARNING',
  /** A virtual kernel ended with all of its programs, and nobody of its node had ended it: a signal, a start that failed. */
  'vkernel-died': 'ERROR',
  /** A virtual kernel ended with all of its programs: the memory of its control group ran out. */
  'vkernel-ended-for-memory': 'ERROR',
  /** A virtual kernel was ended, as threads of programs that are over did not end. */
  'vkernel-ended-for-threads': 'WARNING',
  /** A node fell silent or was replaced: what only it had is lost. */
  'holder-buried': 'WARNING',
  /** A node said goodbye, with all that it had handed over: it was drained, or its cluster shrinks. */
  'holder-left': 'INFO',
  /** Somebody needed a page whose only copy is gone. */
  'page-lost': 'ERROR',
  /** Somebody needed a page of another cluster, which took it back and has it, or whose gateway here ended. */
  'page-withdrawn': 'WARNING',
  /** Another policy of a gateway is in force: what it gives and takes. */
  'gateway-policy': 'INFO',
  /** The line to another cluster is there. */
  'gateway-up': 'INFO',
  /** The line to another cluster is over, and why. */
  'gateway-down': 'WARNING',
  /** A message of pages from another node did not fit its checksum; the first of a row. It is sent again. */
  'pages-spoilt': 'WARNING',
  /** A sync was not stored; the first of a row. */
  'sync-failed': 'ERROR',
  /** Somebody had LOST pages begin anew as zeros. */
  'loss-accepted': 'WARNING',
  /** Somebody was refused for a limit, or lost events to one: `limit` says which, the text how to raise it. */
  'limit-hit': 'WARNING',
  /** An instance of a service runs. */
  'instance-started': 'INFO',
  /** An instance of a service ended, or is ended: why. */
  'instance-ended': 'INFO',
  /** A node took an instance of a service from another one. */
  'instance-moved': 'WARNING',
  /** A node is silent and fenced: its services are to run elsewhere. */
  'node-taken': 'WARNING',
  /** A machine came into the cluster: which node it is. */
  'node-joined': 'INFO',
  /** A node of another machine was put out, or took itself out. */
  'node-removed': 'WARNING',
  /** Somebody had a node hand over what it has, and rest. */
  'node-drained': 'INFO',
  /** Somebody had a node that rested work again. */
  'node-resumed': 'INFO',
  /** An admin let somebody into the cluster, through the door. */
  'person-added': 'INFO',
  /** An admin put somebody out, through the door. */
  'person-removed': 'WARNING',
  /** A vmspace that somebody made by hand ended, since nobody used it. */
  'vmspace-idle': 'INFO',
  /** Somebody tried what whoever behaves does not: `attempt` says what. It was refused. */
  security: 'WARNING',
} as const satisfies Record<string, keyof typeof Severity>;

export type EventKind = keyof typeof EVENT_KINDS;

/** Events that a service keeps. */
export const EVENTS_MAX = 1_000;
/** What an event may say: names are the users', and may be long. */
const TEXT_MAX = 1_000;

/** What an event is about, by name; what is undefined is left out. */
export type EventSubject = Readonly<Record<string, string | number | bigint | undefined>>;

export interface EventLogOptions {
  /** As it is named at the router. */
  readonly service: string;
  readonly node?: string;
  readonly log: Logger;
  readonly max?: number;
  /** Where they are kept beyond the end of the service; empty: nowhere. */
  readonly file?: string | undefined;
}

export class EventLog {
  readonly #service: string;
  readonly #node: string;
  readonly #log: Logger;
  readonly #max: number;
  /** A ring: the oldest one stands where the next one goes. */
  #kept: StoredEvent[] = [];
  /** Where the next one goes, before it is taken modulo `#max`. */
  #next = 0;
  readonly #counts = new Map<EventKind, number>();
  readonly #file: EventFile | undefined;
  #lastId = 0n;
  #dropped = 0;

  constructor({ service, node = '', log, max = EVENTS_MAX, file = '' }: EventLogOptions) {
    this.#service = service;
    this.#node = node;
    this.#log = log;
    this.#max = max;
    if (file === '') return;
    this.#file = new EventFile({
      ...{ path: file, max },
      onTrouble: (err) => log.warn({ err, file }, 'events are not kept beyond the end of this service'),
    });
    this.#kept = this.#file.read();
    this.#next = this.#kept.length;
    for (const { id } of this.#kept) if (id > this.#lastId) this.#lastId = id;
    this.#tellOfDeath(file);
  }

  /** Of a life before this one that could not tell it itself. */
  #tellOfDeath(file: string): void {
    const mark = new LifeMark(`${file}.life`);
    try {
      const died = mark.begin();
      if (died !== undefined) {
        const since = new Date(died.sinceMs).toISOString();
        const text = `the ${this.#service} that ran since ${since} ended without a word: it was killed, crashed, or its machine went down`;
        this.add('service-died', text, { since });
      }
    } catch (err) {
      this.#log.warn(
        { err, file },
        'whether the next life of this service may tell how this one ended is not known',
      );
      return;
    }
    process.once('exit', (code) => {
      if (code === 0) mark.end();
    });
  }

  add(kind: EventKind, text: string, subject: EventSubject = {}): void {
    const name = EVENT_KINDS[kind];
    const about = Object.fromEntries(
      Object.entries(subject).flatMap(([key, value]) =>
        value === undefined ? [] : [[key, String(value).slice(0, TEXT_MAX)]],
      ),
    );
    const event: StoredEvent = {
      ...{ id: ++this.#lastId, atMs: Date.now(), kind, text: text.slice(0, TEXT_MAX), subject: about },
      ...{ service: this.#service, node: this.#node, severity: Severity[name] },
    };
    if (this.#kept.length === this.#max) this.#dropped++;
    this.#kept[this.#next++ % this.#max] = event;
    this.#file?.add(event, () => this.all());
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    this.#log[LEVELS[name]]({ event: kind, ...about }, text.slice(0, TEXT_MAX));
  }

  /** Oldest first. */
  all(): StoredEvent[] {
    const at = this.#next > this.#max ? this.#next % this.#max : 0;
    return [...this.#kept.slice(at), ...this.#kept.slice(0, at)];
  }

  handlers(): Handlers<typeof EventService> {
    return {
      listEvents: ({ pageSize, pageToken, since, kinds }: ListEventsRequest) => {
        const sinceMs = since === undefined ? 0 : timestampMs(since);
        const events = this.all().filter(
          ({ atMs, kind }) => atMs >= sinceMs && (kinds.length === 0 || kinds.includes(kind)),
        );
        const { items, nextPageToken } = pageOf(events, ({ id }) => id.toString(), pageSize, pageToken);
        return {
          events: items.map(({ atMs, ...event }) => ({ ...event, time: timestampFromMs(atMs) })),
          nextPageToken,
          droppedEvents: BigInt(this.#dropped),
        };
      },
    };
  }

  /** Counts them for Prometheus, by kind. */
  countIn(metrics: Metrics): void {
    metrics.counters('events_total', 'Events, by kind: vkctl events shows the last ones', 'kind', () =>
      (Object.keys(EVENT_KINDS) as EventKind[]).map((kind) => [kind, this.#counts.get(kind) ?? 0]),
    );
    metrics.counter(
      'events_unwritten_total',
      'Events that could not be kept beyond the end of the service',
      () => this.#file?.unwritten ?? 0,
    );
  }
}

const LEVELS = { INFO: 'info', WARNING: 'warn', ERROR: 'error' } as const;
