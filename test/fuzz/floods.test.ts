/**
 * HTTP/2 against itself: frames that are allowed and of no use, by hand, from somebody with a right certificate, at the listener
 * of each service. Its memory stays, whoever floods is told of, and others are served all the while.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EventService } from '@odonata/proto/event/v1/event';
import { createClient } from '@odonata/rpc/client.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestCluster } from '../cluster/cluster.ts';
import { identityIn } from '../cluster/identities.ts';
import { LONG } from '../long.ts';
import { footprintOf } from './footprint.ts';
import { FLOODS, flood } from './http2-floods.ts';

const SERVICES = ['syslinkd', 'cohd', 'node1/pmapd', 'node1/vkerneld'] as const;
/** What is sent of each, if the connection does not end before. */
const BYTES = (LONG ? 256 : 6) << 20;
/** Of some hundred MiB that are sent in all. */
const GROWTH_MIB = 48;
/** These end the stream, or nothing: a frame that is read is done. */
const HARMLESS = [
  'headers of thousands of fields',
  'a field in the table, and a thousand bytes that mean it',
  'one field that is huge',
  'pseudo headers without end',
  'data of nothing',
  'windows that grow by one',
];
/** To others: machines of tests do much else. */
const ANSWER_MS = 30_000;
let cluster: TestCluster;
let mallory: TlsFolder;
let alice: TlsFolder;

beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 1 });
  mallory = await identityIn(cluster.record.plan, 'user/mallory');
  alice = await identityIn(cluster.record.plan, 'viewer/alice');
});
afterAll(async () => await cluster?.down());

it.each(SERVICES)('%s keeps its memory, tells, and serves others', { timeout: 600_000 }, async (name) => {
  const { ports } = cluster.record.plan;
  const port = ports[name.split('/').at(-1) as 'cohd'][0]!;
  const { pid } = cluster.service(name).process!;
  const client = createClient(EventService, `127.0.0.1:${port}`, { folder: alice });
  let served = 0;
  let over = false;
  const neighbour = async (): Promise<void> => {
    for (; !over; served++) {
      await client.listEvents({}, { deadlineMs: ANSWER_MS });
      await sleep(20);
    }
  };
  await client.listEvents({}, { deadlineMs: ANSWER_MS });
  const going = neighbour().catch((error: unknown) => error);
  const before = footprintOf(pid);
  const went: string[] = [];
  for (const [what, turnOf] of Object.entries(FLOODS)) {
    const { ended } = await flood(port, mallory, turnOf, BYTES);
    if (!ended) went.push(what);
  }
  over = true;
  expect(await going).toBeUndefined();
  expect(went.filter((what) => !HARMLESS.includes(what))).toEqual([]);
  const now = footprintOf(pid);
  expect(now.residentMib - before.residentMib, JSON.stringify({ before, now })).toBeLessThan(GROWTH_MIB);
  expect(cluster.service(name).process!.pid).toBe(pid);
  expect(served).toBeGreaterThan(2);
  const { events } = await client.listEvents({}, { deadlineMs: ANSWER_MS });
  client.close();
  const told = events.filter(
    ({ kind, text }) => kind === 'security' && /frames that nobody sends/.test(text),
  );
  expect(told.length).toBeGreaterThan(0);
  expect(told.map(({ text }) => text).join('\n')).toContain('/user/mallory');
});
