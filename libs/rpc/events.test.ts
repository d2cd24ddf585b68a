import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { afterAll, describe, expect, test } from 'vitest';
import { FILE_BYTES_MAX, KEPT_DAYS } from './event-file.ts';
import { EventLog } from './events.ts';
import { silentLog } from './log.ts';
import { Metrics } from './metrics.ts';
import type { CallContext } from './service.ts';

const start = (max?: number, file?: string) =>
  new EventLog({ service: 'node1/pmapd', node: 'node1', log: silentLog(), max, file });

const folder = mkdtempSync(join(tmpdir(), 'odonata-events-'));
afterAll(() => rmSync(folder, { recursive: true }));
const texts = (events: EventLog) => list(events).events.map(({ text }) => text);

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

test('with a file they outlive the service, and their ids go on', () => {
  const file = join(folder, 'made', 'a.jsonl');
  const first = start(3, file);
  for (let i = 1; i <= 5; i++) first.add('security', `${i}`, { attempt: 'role', pid: 7n });
  const second = start(3, file);
  expect(texts(second)).toEqual(['3', '4', '5']);
  expect(list(second).events).toEqual(list(first).events);
  expect(list(second).droppedEvents).toBe(0n);
  second.add('page-lost', '6');
  expect(list(second).droppedEvents).toBe(1n);
  expect(list(start(3, file)).events.map(({ id }) => id)).toEqual([4n, 5n, 6n]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('a line that was cut, or that nobody of ours wrote, spoils no other', () => {
  const file = join(folder, 'cut.jsonl');
  start(9, file).add('page-lost', 'whole');
  appendFileSync(file, '{"id":"7","atMs":17\n[]\n{"id":"-1"}\nnoise');
  const after = start(9, file);
  expect(texts(after)).toEqual(['whole']);
  after.add('page-lost', 'next');
  expect(texts(start(9, file))).toEqual(['whole', 'next']);
});

test('what a full disk took of a line does not spoil the next one', () => {
  const away = join(folder, 'away');
  const file = join(away, 'full.jsonl');
  const events = start(9, file);
  rmSync(away, { recursive: true });
  events.add('page-lost', 'not written');
  mkdirSync(away);
  writeFileSync(file, '{"id":"1","atMs":17');
  events.add('page-lost', 'next');
  expect(texts(start(9, file))).toEqual(['next']);
});

test('a line that no answer can hold keeps no other from whoever asks', () => {
  const file = join(folder, 'beyond.jsonl');
  start(20, file).add('page-lost', 'whole', { pid: 7 });
  const line = JSON.parse(readFileSync(file, 'utf8'));
  for (const beyond of [
    { id: String(2n ** 70n) },
    { atMs: 1e300 },
    { atMs: -1 },
    { severity: 2 ** 40 },
    { severity: 0 },
    { service: 'c\u001b[31mohd' },
    { kind: 'a\nb' },
    { subject: { 'a\u0000': 'b' } },
    { subject: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, ''])) },
  ])
    appendFileSync(file, `${JSON.stringify({ ...line, ...beyond })}\n`);
  const after = start(20, file);
  after.add('page-lost', 'next');
  expect(texts(after)).toEqual(['whole', 'next']);
});

test('the file is bounded by number, size and age', () => {
  const file = join(folder, 'bounded.jsonl');
  const events = start(10, file);
  for (let i = 0; i < 100; i++) events.add('page-lost', `${i}`);
  expect(readFileSync(file, 'utf8').trim().split('\n').length).toBeLessThanOrEqual(21);
  const long = join(folder, 'long.jsonl');
  const large = start(1_000, long);
  const subject = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, 'x'.repeat(1_000)]));
  for (let i = 0; i < 300; i++) large.add('page-lost', `${i}`, subject);
  expect(statSync(long).size).toBeLessThanOrEqual(FILE_BYTES_MAX);
  expect(texts(start(1_000, long)).length).toBeGreaterThan(80);
  const old = JSON.parse(readFileSync(file, 'utf8').split('\n')[0]!);
  writeFileSync(file, `${JSON.stringify({ ...old, atMs: Date.now() - (KEPT_DAYS + 1) * 86_400_000 })}\n`);
  expect(texts(start(10, file))).toEqual([]);
});

test('where it cannot be written, the service goes on and counts', async () => {
  const events = start(3, join(folder, 'cut.jsonl', 'no-folder'));
  const metrics = new Metrics('pmapd');
  events.countIn(metrics);
  events.add('page-lost', 'a');
  events.add('page-lost', 'b');
  expect(texts(events)).toEqual(['a', 'b']);
  expect(await metrics.registry.metrics()).toContain('odonata_pmapd_events_unwritten_total 2');
});

describe('a life that ended without a word', () => {
  const script = (file: string, end: string): string => `
    import { EventLog } from '${import.meta.dirname}/events.ts';
    import { silentLog } from '${import.meta.dirname}/log.ts';
    const events = new EventLog({ service: 'cohd', log: silentLog(), file: ${JSON.stringify(file)} });
    console.log(events.all().map(({ kind }) => kind).join());
    ${end}`;
  const life = (file: string, end: string): string =>
    spawnSync(process.execPath, ['--input-type=module', '-e', script(file, end)], {
      encoding: 'utf8',
    }).stdout.trim();

  test('is told by the next one; one that ended in order, or is handed over from, is none', () => {
    const file = join(folder, 'lives', 'cohd');
    expect(life(file, 'process.exit(0)')).toBe('');
    expect(life(file, "process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000)")).toBe('');
    expect(life(file, 'process.exit(70)')).toBe('service-died');
    expect(life(file, '')).toBe('service-died,service-died');
    expect(existsSync(`${file}.life`)).toBe(false);
    // This process lives: whoever comes takes its place.
    new EventLog({ service: 'cohd', log: silentLog(), file });
    expect(life(file, 'process.exit(0)')).toBe('service-died,service-died');
    writeFileSync(`${file}.life`, 'spoilt');
    expect(life(file, 'process.exit(0)')).toBe('service-died,service-died');
  });
});
