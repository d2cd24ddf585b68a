// A command as a trace: its span is the first, and whatever it asks of the cluster is part of it.

import { silentLog } from '@odonata/rpc/silent-log.ts';
import { newTrace } from '@odonata/rpc/trace/context.ts';
import { collectorOf, endTracing, ownTracer, setRootTrace, startTracing } from '@odonata/rpc/trace/own.ts';
import { clusterPaths } from './cluster/paths.ts';
import { readRecord } from './cluster/record.ts';

const SAMPLE = 0.01;

/**
 * Runs a command, as a trace where there is a collector and chance wants it. Of ODONATA_TRACE_OTLP and ODONATA_TRACE_SAMPLE, else
 * OpenTelemetry's own variable, else as the cluster of this machine traces.
 * @param cluster of this machine; undefined: it is elsewhere
 */
export async function tracedCommand<T>(
  name: string,
  cluster: string | undefined,
  run: () => Promise<T>,
): Promise<T> {
  const settings = settingsFor(cluster);
  if (Math.random() >= settings.traceSample || collectorOf(settings) === '') return await run();
  const trace = newTrace();
  const startNs = process.hrtime.bigint();
  setRootTrace(trace);
  let failed: string | undefined;
  try {
    return await run();
  } catch (error) {
    failed = error instanceof Error ? error.message : String(error);
    throw error;
  } finally {
    const endNs = process.hrtime.bigint();
    // Only now: what traces takes a while to load, and the program is over.
    await startTracing(settings, { service: 'vkctl', instance: 'vkctl', log: silentLog() });
    ownTracer()?.record({ ...{ name, kind: 'client', context: trace, startNs, endNs, error: failed } });
    await endTracing();
  }
}

function settingsFor(cluster: string | undefined): { traceOtlp: string; traceSample: number } {
  const { ODONATA_TRACE_OTLP, ODONATA_TRACE_SAMPLE } = process.env;
  const plan = cluster === undefined ? undefined : readRecord(clusterPaths(cluster).clusterFile)?.plan;
  const said = Number(ODONATA_TRACE_SAMPLE || Number.NaN);
  return {
    traceOtlp: ODONATA_TRACE_OTLP || collectorOf({ traceOtlp: '' }) || plan?.traceOtlp || '',
    traceSample: Number.isNaN(said) ? (plan?.traceSample ?? SAMPLE) : said,
  };
}
