import { expect, test } from 'vitest';
import { contextOf, isContext, newTrace, spanIdOf, spanIn, traceIdOf, traceparentOf } from './context.ts';

test('a span is of its trace, and has an id of its own', () => {
  const trace = newTrace();
  const span = spanIn(trace);
  expect(isContext(span)).toBe(true);
  expect(traceIdOf(span)).toBe(traceIdOf(trace));
  expect(spanIdOf(span)).not.toBe(spanIdOf(trace));
});

test('as W3C’s Trace Context has it, there and back', () => {
  const trace = newTrace();
  expect(contextOf(traceparentOf(trace))).toEqual(trace);
  const known = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  expect(traceparentOf(contextOf(known)!)).toBe(known);
});

test('what is not sampled, or not one, is none', () => {
  const not = ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00', '00-0af7-b7ad-01', '', undefined];
  expect(not.map(contextOf)).toEqual(not.map(() => undefined));
  expect(isContext(undefined)).toBe(false);
  expect(isContext(new Uint8Array(23))).toBe(false);
});
