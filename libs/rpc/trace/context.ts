// Of which trace something is: its number (16 bytes), and that of the span which it is part of (8). What is not sampled has none,
// so where nobody traces nothing is carried, and nothing is done but to see that it is not there.
import { randomFillSync } from 'node:crypto';

export type TraceContext = Uint8Array;

const TRACE_BYTES = 16;
export const CONTEXT_BYTES = 24;

/** Of a message: it carries one, as it should be. */
export const isContext = (trace: Uint8Array | undefined): trace is TraceContext =>
  trace?.length === CONTEXT_BYTES;

/** A trace that begins, and its first span. */
export function newTrace(): TraceContext {
  return randomFillSync(new Uint8Array(CONTEXT_BYTES));
}

/** Another span of the same trace. */
export function spanIn(trace: TraceContext): TraceContext {
  const span = new Uint8Array(CONTEXT_BYTES);
  // What was received is a view of a larger message.
  span.set(trace.subarray(0, TRACE_BYTES));
  randomFillSync(span, TRACE_BYTES);
  return span;
}

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

export const traceIdOf = (context: TraceContext): string => hex(context.subarray(0, TRACE_BYTES));
export const spanIdOf = (context: TraceContext): string => hex(context.subarray(TRACE_BYTES, CONTEXT_BYTES));

/** For the header `traceparent` of W3C's Trace Context. */
export const traceparentOf = (context: TraceContext): string =>
  `00-${traceIdOf(context)}-${spanIdOf(context)}-01`;

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/;

/** Undefined: it is none, or not sampled. */
export function contextOf(traceparent: string | undefined): TraceContext | undefined {
  const [, trace, span, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (trace === undefined || (Number.parseInt(flags!, 16) & 1) === 0) return undefined;
  return new Uint8Array(Buffer.from(`${trace}${span}`, 'hex'));
}
