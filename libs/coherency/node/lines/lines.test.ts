// What a replica says that cannot be understood: of another version, or spoilt; and what comes too late.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { DirectoryEventSchema, InvalidateSchema } from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import { Lines } from './lines.ts';

type Said = NonNullable<MessageInitShape<typeof DirectoryEventSchema>['event']>;

const SHARDS = 1;
const WELCOME = { ...{ epoch: 3n, holder: 4, life: 5n, shards: SHARDS, replica: 'A' }, leaseMs: 1_000 };
const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };

function joined() {
  const lines = new Lines({ node: 'N', incarnation: 1n, shards: SHARDS, transferAddress: 'N:1' });
  lines.step({ type: 'replicas', addresses: ['a'] }, 0);
  lines.step({ type: 'opened', replica: 'a', stream: 1 }, 0);
  const hears = (event: Said) => {
    const message = create(DirectoryEventSchema, { event });
    return lines.step({ type: 'heard', stream: 1, event: message.event }, 0);
  };
  return { lines, hears };
}

/** None of any enum. */
const UNKNOWN = 99 as never;
const NOT_UNDERSTOOD: Said[] = [
  { case: 'grant', value: { run, state: UNKNOWN, version: 1n, epoch: 7n } },
  { case: 'recall', value: { run, mode: UNKNOWN, version: 1n, epoch: 7n } },
  { case: 'refuse', value: { run, reason: UNKNOWN } },
  { case: 'settled', value: {} },
  { case: 'invalidate', value: { run: { ...run, pageCount: 0 }, epoch: 7n } },
];

test.each(NOT_UNDERSTOOD.map((event) => [event.case, event] as const))(
  'a %s that is not understood ends the stream, and another one is opened',
  (_, event) => {
    const { lines, hears } = joined();
    hears({ case: 'welcome', value: WELCOME });
    hears({ case: 'led', value: { shard: 0, epoch: 7n, report: false } });
    expect(hears(event)).toMatchObject([
      { type: 'log', level: 'warn' },
      { type: 'close', replica: 'a' },
      { type: 'connect', replica: 'a', failures: 1 },
    ]);
    expect(hears({ case: 'left', value: { shard: 0, epoch: 7n } })).toEqual([]);
    // The lease lasts, and on the next stream all is said again.
    expect(lines.usable(1n, 0, 0)).toBe(true);
    expect(lines.step({ type: 'opened', replica: 'a', stream: 2 }, 0)).toMatchObject([
      { type: 'send', stream: 2, event: { case: 'hello' } },
    ]);
  },
);

test('a lease of which nothing is left after the guard is none', () => {
  const { lines, hears } = joined();
  for (const leaseMs of [0, 1]) {
    lines.step({ type: 'opened', replica: 'a', stream: 1 }, 0);
    const said = hears({ case: 'welcome', value: { ...WELCOME, leaseMs } });
    expect(said.map(({ type }) => type)).toEqual(['log', 'close', 'connect']);
    expect(lines.anyConnected).toBe(false);
  }
});

test('every second renewal may be lost, and each answer be late: nothing is suspended', () => {
  const leaseMs = 3_000;
  const lines = new Lines({ node: 'N', incarnation: 1n, shards: SHARDS, transferAddress: 'N:1' });
  const hears = (event: Said, nowMs: number) => {
    const { event: heard } = create(DirectoryEventSchema, { event });
    return lines.step({ type: 'heard', stream: 1, event: heard }, nowMs);
  };
  lines.step({ type: 'replicas', addresses: ['a'] }, 0);
  lines.step({ type: 'opened', replica: 'a', stream: 1 }, 0);
  hears({ case: 'welcome', value: { ...WELCOME, leaseMs } }, 0);
  hears({ case: 'led', value: { shard: 0, epoch: 7n, report: false } }, 0);
  let renewals = 0;
  for (let nowMs = 0; nowMs < 10 * leaseMs; nowMs = lines.nextMs) {
    const renews = lines
      .tick(nowMs)
      .some((action) => action.type === 'send' && action.event?.case === 'renew');
    if (!renews || ++renewals % 2 === 1) continue;
    const wayMs = leaseMs / 6;
    expect(lines.usable(1n, 0, nowMs + wayMs)).toBe(true);
    const said = hears({ case: 'renewed', value: { sentMs: BigInt(Math.floor(nowMs)) } }, nowMs + wayMs);
    expect(said.map(({ type }) => type)).not.toContain('resume');
  }
  expect(renewals).toBeGreaterThan(25);
});

test('pages that come late to a node that was let go are not taken', () => {
  const { lines, hears } = joined();
  hears({ case: 'welcome', value: WELCOME });
  hears({ case: 'led', value: { shard: 0, epoch: 7n, report: false } });
  const takes = () => lines.acceptsFor(1n, 0, 7n, WELCOME.holder, 0);
  // It did not ask; what remains others must fetch first; and a former leader lets nobody go.
  hears({ case: 'retired', value: { shard: 0, epoch: 7n } });
  lines.step({ type: 'retire', shard: 0 }, 0);
  hears({ case: 'retired', value: { shard: 0, epoch: 7n, remaining: [run] } });
  hears({ case: 'retired', value: { shard: 0, epoch: 6n } });
  expect(takes()).toBe(true);
  hears({ case: 'retired', value: { shard: 0, epoch: 7n } });
  expect(takes()).toBe(false);
});

test('a broadcast that names no pages is as good as lost', () => {
  const { lines } = joined();
  expect(lines.step({ type: 'overheard', message: create(InvalidateSchema, { epoch: 7n }) }, 0)).toEqual([]);
});
