import type { TraceContext } from './context.ts';

/** What took some time, for whoever looks at traces. It is told when it is over, and carried nowhere. */
export interface Span {
  readonly name: string;
  readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  readonly context: TraceContext;
  /** The span that it is part of; absent: it is the first of its trace. */
  readonly parent?: TraceContext | undefined;
  /** Nanoseconds of the monotonic clock. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Spans of other traces that this one serves, or is served by. */
  readonly links?: readonly TraceContext[];
  /** One line: it went wrong. */
  readonly error?: string | undefined;
  /** Whose it is, where it is not this service: a virtual kernel has no line to a collector. */
  readonly of?: { readonly service: string; readonly instance: string } | undefined;
}
