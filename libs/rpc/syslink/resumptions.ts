import type { Metrics } from '../metrics.ts';

/** How often circuits that last went on over another way, and did not, at one of their ends. */
export interface Resumptions {
  resumed: number;
  /** It ended with an error: nobody came in time, or the other end did not remember. */
  failed: number;
}

/** Of an endpoint. */
export interface EndpointResumptions {
  /** Circuits that it opened. */
  readonly opened: Resumptions;
  /** Those of others, to it. */
  readonly served: Resumptions;
}

export const noResumptions = (): Resumptions => ({ resumed: 0, failed: 0 });

/** What Prometheus reads of them. */
export function resumptionMetrics(metrics: Metrics, { opened, served }: EndpointResumptions): void {
  const of = (key: keyof Resumptions) => (): [string, number][] => [
    ['opened', opened[key]],
    ['served', served[key]],
  ];
  metrics.counters(
    'circuits_resumed_total',
    'Circuits that went on over another way, by whether this end opened or serves them',
    'end',
    of('resumed'),
  );
  metrics.counters(
    'circuits_not_resumed_total',
    'Circuits that ended with an error as they did not go on in time',
    'end',
    of('failed'),
  );
}
