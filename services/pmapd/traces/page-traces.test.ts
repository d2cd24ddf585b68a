import type { Fault } from '@odonata/coherency/node/memory/waiting.ts';
import { newTrace } from '@odonata/rpc/trace/context.ts';
import type { Span } from '@odonata/rpc/trace/span.ts';
import type { Tracer } from '@odonata/rpc/trace/tracer.ts';
import { expect, test } from 'vitest';
import type { MapEntry } from '../sessions/map-entry.ts';
import { PageTraces } from './page-traces.ts';

function start() {
  const spans: Span[] = [];
  const tracer = { record: (span: Span) => spans.push(span) } as unknown as Tracer;
  return { spans, traces: new PageTraces(tracer, 'n') };
}

const entry = {
  dataspace: { id: 7n, name: 'd' },
  vmspace: { pid: 3n, session: { name: 'v' } },
} as unknown as MapEntry;
const fault = (page: number, atNs: bigint, write = false): Fault<MapEntry> => ({
  type: 'fault',
  entry,
  page,
  write,
  atNs,
});
const run = (firstPage: number, pageCount = 1) => ({ dataspace: 7n, firstPage, pageCount });

test('an acquire for several faults is part of the first, and the others have links to it', () => {
  const { spans, traces } = start();
  for (const page of [4, 5, 9]) traces.faulted(entry, page, { write: true, atNs: BigInt(page) }, newTrace());
  const asked = traces.acquires(run(4, 2));
  // It is said: what is said for the same pages again is not for them.
  expect(traces.acquires(run(4, 2))).toBeUndefined();
  expect(traces.acquires({ ...run(9), dataspace: 8n })).toBeUndefined();
  for (const page of [4, 5]) traces.ended(fault(page, BigInt(page), true), 'remote');
  const served = spans.filter(({ name }) => name === 'serve fault');
  expect(served[0]).toMatchObject({ context: asked, links: [] });
  expect(served[1]).toMatchObject({ links: [asked] });
  expect(traces.size).toBe(1);
});

test('a fault that waits for the page of another one has a link to it, and asks for nothing', () => {
  const { spans, traces } = start();
  traces.faulted(entry, 4, { write: true, atNs: 1n }, newTrace());
  const asked = traces.acquires(run(4));
  traces.faulted(entry, 4, { write: false, atNs: 2n }, newTrace());
  expect(traces.acquires(run(4))).toBeUndefined();
  traces.ended(fault(4, 2n), 'remote');
  expect(spans[0]).toMatchObject({ name: 'serve fault', links: [asked] });
  expect(spans[1]).toMatchObject({ name: 'fault', startNs: 2n, of: { service: 'vkernel', instance: 'n/v' } });
});

test('a fault that is not served says why', () => {
  const { spans, traces } = start();
  traces.faulted(entry, 4, { write: true, atNs: 1n }, newTrace());
  traces.ended(fault(4, 1n), 'none', 'page 4 is LOST');
  expect(spans.map(({ error }) => error)).toEqual(['page 4 is LOST', 'page 4 is LOST']);
});

test('no more is remembered than its bound', () => {
  const { traces } = start();
  for (let page = 0; page < 5_000; page++) {
    traces.faulted(entry, page, { write: true, atNs: 1n }, newTrace());
    traces.recalled(run(page), newTrace());
  }
  expect(traces.size).toBe(2_048);
});
