// A circuit that is part of a trace: as long as it is open, it is a span of that, and what the far end does is part of it.
import type { CircuitOpen } from '@odonata/proto/syslink/v1/syslink';
import { isContext, spanIn, type TraceContext } from '@odonata/rpc/trace/context.ts';
import { ownTracer } from '@odonata/rpc/trace/own.ts';

export interface RoutedTrace {
  readonly name: string;
  readonly parent: TraceContext;
  readonly context: TraceContext;
  readonly startNs: bigint;
}

/** The request goes on as part of our span. */
export function routedTrace(request: CircuitOpen): RoutedTrace | undefined {
  if (ownTracer() === undefined || !isContext(request.trace)) return undefined;
  const parent = request.trace.slice();
  const context = spanIn(parent);
  request.trace = context;
  return { name: `route ${request.proto.slice(1)}`, parent, context, startNs: process.hrtime.bigint() };
}

export function endTrace(trace: RoutedTrace | undefined): void {
  if (trace === undefined) return;
  ownTracer()?.record({ ...trace, kind: 'server', endNs: process.hrtime.bigint() });
}
