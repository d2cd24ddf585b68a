import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { EventLog } from './events.ts';
import { silentLog } from './log.ts';
import { Metrics } from './metrics.ts';
import type { CallContext } from './service.ts';

const start = (max?: number) =>
  new EventLog({ service: 'node1/pmapd', node: 'node1', log: silentLog(), max });

function list(events: EventLog, asked: { kinds?: string[]; pageSize?: number; sinceMs?: number } = {}) {
  const { kinds = [], pageSize = 0, sinceMs } = asked;
  const since = sinceMs === undefined ? undefined : timestampFromMs(sinceMs);
  const request = { kinds, pageSize, pageToken: '', since };
  const response = events.handlers().listEvents!(request as never, {} as CallContext);
  return response as { events: { id: bigint; kind: string; text: string }[]; droppedEvents: bigint };
}

test('the last events are kept, oldest first, and what is dropped is counted', async () => {
  const events = start(3);
  for (let i = 1; i <= 5; i++) events.add('page-lost', `page ${i}`, { page: i, pid: undefined });
  const { events: kept, droppedEvents } = list(events);
  expect(kept.map(({ text }) => text)).toEqual(['page 3', 'page 4', 'page 5']);
  expect(droppedEvents).toBe(2n);
  expect(kept[0]).toMatchObject({ id: 3n, service: 'node1/pmapd', node: 'node1', subject: { page: '3' } });
  expect(Object.keys((kept[0] as unknown as { subject: object }).subject)).toEqual(['page']);
  const metrics = new Metrics('pmapd');
  events.countIn(metrics);
  expect(await metrics.registry.metrics()).toContain('odonata_pmapd_events_total{kind="page-lost"} 5');
});

test('by kind and time, and no longer than its bound', () => {
  const events = start();
  events.add('holder-buried', 'x'.repeat(5_000));
  events.add('fault-waits', 'b');
  expect(list(events, { kinds: ['fault-waits'] }).events.map(({ text }) => text)).toEqual(['b']);
  expect(list(events, { sinceMs: Date.now() + 60_000 }).events).toEqual([]);
  expect(list(events).events[0]!.text).toHaveLength(1_000);
  expect(list(events, { pageSize: 1 }).events).toHaveLength(1);
});
