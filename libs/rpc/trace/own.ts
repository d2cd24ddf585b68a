// The traces of this process: none, unless it is told of a collector.
import type { Logger } from '../log.ts';
import type { TraceContext } from './context.ts';
import type { Tracer } from './tracer.ts';

export interface TraceSettings {
  /** Of the collector; empty: that of the environment, if there is one. */
  readonly traceOtlp: string;
  /** Of what begins here, this part is traced. */
  readonly traceSample: number;
}

export interface TracedProcess {
  readonly service: string;
  readonly instance: string;
  readonly node?: string | undefined;
  readonly log: Logger;
}

let tracer: Tracer | undefined;
let root: TraceContext | undefined;

/** The tracer of this process; undefined: it does not trace. */
export const ownTracer = (): Tracer | undefined => tracer;

/** Where this whole process is one trace, as a command may be: what its calls are part of. */
export const rootTrace = (): TraceContext | undefined => root;

export function setRootTrace(context: TraceContext | undefined): void {
  root = context;
}

/** As OpenTelemetry names it for every program. */
export const collectorOf = (
  { traceOtlp }: Pick<TraceSettings, 'traceOtlp'>,
  env: NodeJS.ProcessEnv = process.env,
): string => traceOtlp || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT || '';

/** Loads what traces, where there is a collector. */
export async function startTracing(settings: TraceSettings, traced: TracedProcess): Promise<void> {
  const collector = collectorOf(settings);
  if (collector === '') return;
  const { Tracer } = await import('./tracer.ts');
  tracer = new Tracer({ collector, ...traced });
  const { instance, log } = traced;
  log.info({ collector, sample: settings.traceSample, instance }, 'traces');
}

/** Sends what waits, within some seconds. */
export async function endTracing(): Promise<void> {
  const ending = tracer;
  tracer = undefined;
  await ending?.close();
}
