// What a lease permits ends by the clock; a timer that is late must not hide that.
import { create } from '@bufbuild/protobuf';
import {
  type DirectoryEventSchema,
  DirectoryService,
  type HoldRequest,
  HoldResponseSchema,
  PageState,
} from '@odonata/proto/coherency/v1/coherency';
import { silentLog } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { createRpcServer, type Handlers, raw } from '@odonata/rpc/server.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { afterEach, expect, test, vi } from 'vitest';
import { Directories } from './directories.ts';

const { clock } = vi.hoisted(() => ({ clock: { nowMs: 1_000_000 } }));
vi.mock('@odonata/rpc/monotonic.ts', () => ({ monotonicMs: () => clock.nowMs }));

/** Its timers do not fire within a test: only the clock of the test ends it. */
const LEASE_MS = 60_000;
const PAGE = { dataspace: 1n, firstPage: 0, pageCount: 1 };

type DirectoryEventInit = NonNullable<Parameters<typeof create<typeof DirectoryEventSchema>>[1]>['event'];

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A replica that leads one shard and says what the test tells it to. */
async function replica() {
  let write: (...events: DirectoryEventInit[]) => void = () => {};
  const hold = raw((call: Parameters<Parameters<typeof raw>[0]>[0]) => {
    write = (...events) => {
      call.write(create(HoldResponseSchema, { events: events.map((event) => ({ event })) }));
    };
    call.on('data', ({ events }: HoldRequest) => {
      for (const { event } of events) if (event.case === 'hello') welcome(event.value.sentMs);
    });
    call.on('error', () => {});
  });
  const welcome = (sentMs: bigint): void => {
    const wire = wireSpoken();
    const about = {
      epoch: 1n,
      leaseMs: LEASE_MS,
      holder: 1,
      life: 1n,
      shards: 1,
      replica: 'cohd',
      sentMs,
      wire,
    };
    write({ case: 'welcome', value: about }, { case: 'led', value: { shard: 0, epoch: 1n, report: false } });
  };
  const log = silentLog();
  const server = createRpcServer({ name: 'cohd', log });
  server.add(DirectoryService, { hold } as unknown as Handlers<typeof DirectoryService>);
  const address = await server.listen('127.0.0.1:0');
  ends.push(() => server.drain(0));
  return { address, say: (...events: DirectoryEventInit[]) => write(...events) };
}

async function start() {
  const { address, say } = await replica();
  const told: string[] = [];
  const about = { node: 'node1', incarnation: 1n, shards: 1, transferAddress: '127.0.0.1:1' };
  const directories = new Directories({ ...about, log: silentLog() }, (action) => {
    if (action.type === 'page') told.push(action.event.type);
    else if (action.type !== 'deadline') told.push(action.type);
  });
  ends.push(async () => directories.close());
  directories.connectTo([address]);
  await vi.waitFor(() => expect(told).toEqual(['led']));
  told.length = 0;
  const grant = { run: PAGE, state: PageState.MODIFIED, version: 1n, epoch: 1n };
  return { directories, say, told, grant: { case: 'grant', value: grant } as const };
}

const renewed = () => ({ case: 'renewed', value: { sentMs: BigInt(monotonicMs()) } }) as const;

test('what came between the end of a lease and its renewal is asked for anew, whatever the timer is late', async () => {
  const { directories, say, told, grant } = await start();
  say(grant, renewed());
  await vi.waitFor(() => expect(told).toEqual(['grant', 'confirmed']));
  told.length = 0;

  clock.nowMs += LEASE_MS;
  expect(directories.usable(1n, 0)).toBe(false);
  say(grant, renewed());
  // The grant is dropped; so the shard must resume, which asks for it anew and wakes who waits.
  await vi.waitFor(() => expect(told).toContain('confirmed'));
  expect(told).toEqual(['suspend', 'confirmed', 'resume']);
  expect(directories.usable(1n, 0)).toBe(true);
});

test('access is taken away where a leader speaks after its lease has ended', async () => {
  const { directories, say, told } = await start();
  clock.nowMs += LEASE_MS;
  say({ case: 'led', value: { shard: 0, epoch: 2n, report: false } });
  await vi.waitFor(() => expect(told).toEqual(['suspend', 'led']));
  expect(directories.usable(1n, 0)).toBe(false);
  told.length = 0;
  say(renewed());
  await vi.waitFor(() => expect(told).toEqual(['confirmed', 'resume']));
  expect(directories.usable(1n, 0)).toBe(true);
});
