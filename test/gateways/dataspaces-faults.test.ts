// The same where things fail: the line is cut for ten seconds, gateways are killed and stopped, and a hostile one borrows and gives nothing
// back. Nobody reads what is older, and a writer of the north waits no longer than the leases last. Takes minutes, so with ODONATA_LONG.
import { randomBytes } from 'node:crypto';
import { delay } from '@odonata/rpc/backoff.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lenderLeaseMs } from '../../libs/coherency/lease.ts';
import { PATIENCE_MS } from '../../libs/coherency/lending/lender.ts';
import { until } from '../cluster/cluster.ts';
import { LONG } from '../long.ts';
import { TwoClusters } from './two-clusters.ts';

const LEASE_MS = 1_500;
/** A writer waits for so long at most where another cluster is silent; and some more on a busy machine. */
const WAIT_MS = lenderLeaseMs(LEASE_MS) + PATIENCE_MS + 2_000;

let both: TwoClusters;
let written = 0;
const waited: Record<string, number> = {};

beforeAll(async () => {
  if (!LONG) return;
  both = await TwoClusters.up(LEASE_MS);
  both.allow({ exports: ['table'] });
  await both.north.cluster.vkctl(['ds', 'create', 'table', '8K', '--mode', '604']);
  both.north.serve();
  both.south.serve();
  await both.mapped();
}, 180_000);

afterAll(async () => {
  if (!LONG) return;
  console.log(`the longest that a writer of the north waited: ${JSON.stringify(waited)} ms`);
  await both.down();
}, 120_000);

/** Numbers are written, some two a second, while something goes wrong. @returns how the readers in the south ended */
async function through(
  what: string,
  seconds: number,
  wrong: () => Promise<void>,
  mayEnd = false,
): Promise<void> {
  const { north, south, table } = both;
  const from = written + 1;
  written += seconds * 2;
  const watching = ['watch', table, String(written), String(170_000)];
  const watchers = await Promise.all(
    ['node1', 'node2'].map((node) => south.cluster.start(node, 'far', watching)),
  );
  const writer = await north.cluster.start('node2', 'far', [
    'write',
    'table',
    String(from),
    String(written),
    '300',
  ]);
  await until('pages are lent', async () => ((await north.peer())?.dataspaces[0]?.pages ?? 0) > 0);
  await wrong();
  const { code, stdout, stderr } = await writer.end();
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { longestNs } = JSON.parse(stdout.toString()) as { longestNs: number };
  waited[what] = Math.round(longestNs / 1e6);
  expect(waited[what]).toBeLessThan(WAIT_MS);
  for (const watcher of watchers) {
    const end = await watcher.end();
    const isLost = end.signal === 'SIGBUS' && end.reason.includes(table);
    if (!(mayEnd && isLost))
      expect({ ...end, stdout: `${end.stdout}` }).toMatchObject({
        ...{ code: 0, stderr: '' },
        stdout: expect.stringContaining(`"last":${written}}`),
      });
  }
}

const long = LONG ? test : test.skip;

long('a line that is cut for ten seconds heals, and readers go on', { timeout: 180_000 }, async () => {
  await through('cut for 10 s', 25, async () => {
    both.line.cut();
    await delay(10_000);
    both.line.heal();
  });
});

long('a gateway of the south that is killed takes what it borrowed along', { timeout: 180_000 }, async () => {
  await through(
    'the other gateway killed',
    15,
    async () => {
      await both.south.end('SIGKILL');
    },
    true,
  );
  both.south.serve();
  await both.mapped();
});

long('one that is stopped for a while, too', { timeout: 180_000 }, async () => {
  await through(
    'the other gateway stopped',
    25,
    async () => {
      both.south.signal('SIGSTOP');
      await delay(12_000);
      both.south.signal('SIGCONT');
    },
    true,
  );
  await both.mapped();
});

// Its own cluster has buried it, and the lease of the other one lasts.
long(
  'so does one that is stopped for longer than the lease of its own directory alone',
  { timeout: 180_000 },
  async () => {
    await through(
      'the other gateway stopped for a moment',
      15,
      async () => {
        both.south.signal('SIGSTOP');
        await delay(3_500);
        both.south.signal('SIGCONT');
      },
      true,
    );
    await both.mapped();
  },
);

long('the gateway of the north is killed, and comes back', { timeout: 180_000 }, async () => {
  await through('its own gateway killed', 25, async () => {
    await both.north.end('SIGKILL');
    both.north.serve();
  });
});

long(
  'who borrows pages, renews, and gives nothing back, costs a writer that much, and no more',
  {
    timeout: 180_000,
  },
  async () => {
    const { north, south } = both;
    await south.end();
    const hostile = await both.rawLine();
    const who = { cluster: south.name, gateway: 'gateway', epoch: BigInt(Date.now()), session: 1n };
    hostile.send(
      frame({ case: 'gatewayHello', value: { ...who, nonce: randomBytes(16), wire: wireSpoken() } }),
    );
    await until('it is greeted', () => hostile.heard.length > 0);
    const [first] = hostile.heard;
    if (first?.case !== 'gatewayHello') throw new Error(`${first?.case}`);
    hostile.send(frame({ case: 'gatewayConfirm', value: { echo: first.value.nonce } }));
    const words = () =>
      hostile.heard.flatMap((each) => (each.case === 'gatewayMemory' ? [each.value.word] : []));
    await until('it is offered', () =>
      words().some((word) => word.case === 'offer' && word.value.dataspaces.length > 0),
    );
    const offer = words().find((word) => word.case === 'offer')!.value as { dataspaces: { id: bigint }[] };
    const dataspace = offer.dataspaces[0]!.id;
    const say = (word: Parameters<typeof memoryFrame>[0]): void => void hostile.send(memoryFrame(word));
    const renewing = setInterval(() => say({ case: 'renew', value: { sentMs: 1n } }), 200);
    say({ case: 'renew', value: { sentMs: 1n } });
    const wanted = (id: bigint, firstPage: number): void =>
      say({ case: 'wanted', value: { pages: { dataspace: id, firstPage, pageCount: 1 } } });
    // What is not exported, and past its end; and what is.
    wanted(dataspace + 1n, 0);
    wanted(dataspace, 2);
    wanted(dataspace, 0);
    await until('a page is lent', () => words().some((word) => word.case === 'lent'));
    expect(words().filter((word) => word.case === 'lent')).toHaveLength(1);
    await until(
      'the others are refused',
      () => words().filter((word) => word.case === 'refused').length === 2,
    );
    const atMs = monotonicMs();
    const { code, stdout } = await north.cluster.run('node2', 'far', ['write', 'table', '9001', '9001', '0']);
    clearInterval(renewing);
    expect(code).toBe(0);
    waited['a hostile one'] = Math.round(
      (JSON.parse(stdout.toString()) as { longestNs: number }).longestNs / 1e6,
    );
    expect(monotonicMs() - atMs).toBeGreaterThan(LEASE_MS);
    expect(waited['a hostile one']).toBeLessThan(WAIT_MS);
    expect((await north.peer())?.overduePages).toBeGreaterThan(0);
    // Bytes of a page that nobody asked for.
    const pages = { dataspace, firstPage: 0, pageCount: 1 };
    say({ case: 'lent', value: { pages, data: new Uint8Array(4096), lending: 1n } });
    hostile.end();
  },
);

const memoryFrame = (
  word:
    | { case: 'renew'; value: { sentMs: bigint } }
    | { case: 'wanted'; value: { pages: { dataspace: bigint; firstPage: number; pageCount: number } } }
    | {
        case: 'lent';
        value: {
          pages: { dataspace: bigint; firstPage: number; pageCount: number };
          data: Uint8Array;
          lending: bigint;
        };
      },
) => frame({ case: 'gatewayMemory', value: { word } });
