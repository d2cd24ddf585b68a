// A dataspace of the north that programs of the south map, over a line of 50 ms each way: what a writer was told to be seen is seen, nobody
// reads what is older, and what the north takes back is gone.
import { delay } from '@odonata/rpc/backoff.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DELAY_MS } from '../../services/syslinkd/gateway/testdata/bad-line.ts';
import { signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { until } from '../cluster/cluster.ts';
import { HISTORY, operate, whileThey } from './histories.ts';
import { FAKE, HostileHome } from './hostile-home.ts';
import { TwoClusters } from './two-clusters.ts';

let both: TwoClusters;

beforeAll(async () => {
  both = await TwoClusters.up(2_000);
  both.allow({ exports: ['table'], shared: ['shared', HISTORY.name, 'wide'] });
  const { north, south } = both;
  await north.cluster.vkctl(['ds', 'create', 'table', '16K', '--mode', '604']);
  await north.cluster.vkctl(['ds', 'create', 'shared', '8K', '--mode', '606']);
  await north.cluster.vkctl(['ds', 'create', 'wide', '96K', '--mode', '606']);
  await north.cluster.vkctl(['ds', 'create', HISTORY.name, HISTORY.size, '--mode', '606']);
  await north.cluster.vkctl(['vkernel', 'create', 'asks', '--may-connect', `:seen@${south.name}`]);
  await south.cluster.vkctl(['vkernel', 'create', 'answers', '--may-listen', ':seen']);
  north.serve();
  south.serve();
  await both.mapped();
  await both.mapped(both.shared);
  // It has more pages than a gateway has room for.
  await until('all are there', async () => {
    const { stdout } = await south.cluster.vkctl(['ds', 'ls', '-q']);
    return [HISTORY.name, 'wide'].every((name) => stdout.includes(`${name}@`));
  });
}, 180_000);

afterAll(async () => {
  await both.down();
}, 120_000);

test('what a writer of the north was told to be seen, programs of the south see', async () => {
  const { north, south, table } = both;
  const listener = await south.cluster.start('node1', 'far', ['listen', table, ':seen'], {
    vkernel: 'answers',
  });
  const watchers = await Promise.all(
    ['node1', 'node2'].map((node) => south.cluster.start(node, 'far', ['watch', table, '8', '50000'])),
  );
  await until('somebody listens', () => listener.stdout.includes('listens'));
  await until('the name is known', async () =>
    (await north.cluster.vkctl(['name', 'ls'])).stdout.includes(`:seen@${south.name}`),
  );
  const written = await north.cluster.json(
    'node2',
    'far',
    ['write', 'table', '1', '8', '0', `:seen@${south.name}`],
    {
      vkernel: 'asks',
    },
  );
  expect(written).toMatchObject({ writes: 8 });
  for (const watcher of watchers) {
    const { code, stdout, stderr } = await watcher.end();
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout.toString())).toMatchObject({ last: 8 });
  }
  expect((await listener.end()).code).toBe(0);
  console.log(
    `a write that the south had read took ${Math.round((written['longestNs'] as number) / 1e6)} ms at most`,
  );
}, 60_000);

test('a fault over the line takes one round trip', async () => {
  const { north, south, table } = both;
  const took: number[] = [];
  for (let number = 11; number <= 15; number++) {
    await north.cluster.run('node1', 'far', ['write', 'table', `${number}`, `${number}`, '0']);
    const seen = await south.cluster.json('node1', 'far', ['look', table, 'read']);
    expect(seen['sum']).toBe(4 * number);
    took.push((seen['firstNs'] as number) / 1e6);
  }
  took.sort((a, b) => a - b);
  console.log(
    `a fault over a line of ${2 * DELAY_MS} ms there and back: ${took.map((ms) => ms.toFixed(0)).join(', ')} ms`,
  );
  expect(took[0]!).toBeGreaterThan(2 * DELAY_MS - 5);
  expect(took[0]!).toBeLessThan(4 * DELAY_MS);
}, 60_000);

test('programs of both add to the same words, and no addition is lost', async () => {
  const { north, south, shared } = both;
  const adds = (side: typeof north, node: string, name: string) =>
    side.cluster.start(node, 'far', ['add', name, '20', '5']);
  const adders = await Promise.all([
    adds(north, 'node1', 'shared'),
    adds(north, 'node2', 'shared'),
    adds(south, 'node1', shared),
    adds(south, 'node2', shared),
  ]);
  const longest: number[] = [];
  for (const adder of adders) {
    const { code, stdout, stderr } = await adder.end();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    longest.push((JSON.parse(stdout.toString()) as { longestNs: number }).longestNs / 1e6);
  }
  for (const [side, name] of [
    [north, 'shared'],
    [south, shared],
  ] as const)
    expect(await side.cluster.json('node1', 'far', ['look', name, 'read'])).toMatchObject({ sum: 2 * 80 });
  console.log(`an addition to two pages took ${longest.map((ms) => ms.toFixed(0)).join(', ')} ms at most`);
  expect(await north.peer()).toMatchObject({ lostPages: 0 });
}, 120_000);

test('registers and counters of both are linearizable, also over a line that is cut for a moment', async () => {
  const { ended, operations, wrong } = await operate(
    both,
    { operations: 60, pauseUs: 20_000, seed: 1 },
    async (isRunning) => {
      await whileThey(isRunning, 2_000);
      both.line.cut();
      await whileThey(isRunning, 1_500);
      both.line.heal();
    },
  );
  expect({ ended, wrong }).toEqual({ ended: [], wrong: [] });
  expect(operations).toBe(4 * 60);
  expect(await both.north.peer()).toMatchObject({ lostPages: 0 });
}, 120_000);

test('of a dataspace larger than the memory of the gateways the oldest pages are given back', async () => {
  const { north, south } = both;
  const wide = `wide@${north.name}`;
  for (const node of ['node1', 'node2'])
    expect(await south.cluster.json(node, 'far', ['add', wide, '1', '0'])).toMatchObject({ adds: 1 });
  const pagesOf = async (side: typeof north) =>
    (await side.peer())!.dataspaces.reduce((sum, { pages }) => sum + pages, 0);
  for (const side of [north, south]) expect(await pagesOf(side)).toBeLessThanOrEqual(16);
  expect(await north.cluster.json('node1', 'far', ['look', 'wide', 'read'])).toMatchObject({ sum: 2 * 24 });
  expect(await south.cluster.json('node1', 'far', ['look', wide, 'read'])).toMatchObject({ sum: 2 * 24 });
  for (const side of [north, south]) expect(await pagesOf(side)).toBeLessThanOrEqual(16);
  expect(await north.peer()).toMatchObject({ lostPages: 0 });
}, 120_000);

test('a gateway that ends brings what was written home, and hands over what it alone has', async () => {
  const { north, south, shared } = both;
  const before = await north.cluster.json('node1', 'far', ['look', 'shared', 'read']);
  await south.cluster.json('node1', 'far', ['add', shared, '3', '0']);
  await south.end();
  await north.end();
  const after = await north.cluster.json('node2', 'far', ['look', 'shared', 'read']);
  expect(after['sum']).toBe((before['sum'] as number) + 2 * 3);
  north.serve();
  south.serve();
  await both.mapped();
}, 120_000);

test('a gateway that is killed takes along what the south had to read, and nothing of that is lost', async () => {
  const { north, south, table } = both;
  const watcher = await south.cluster.start('node1', 'far', ['watch', table, '1000000', '60000']);
  const lent = async () => (await north.peer())!.dataspaces.find(({ name }) => name === 'table')!.pages;
  await until('pages are lent', async () => (await lent()) > 0);
  const { lostPages } = (await north.peer())!;
  await south.end('SIGKILL');
  const writer = await north.cluster.run('node1', 'far', ['write', 'table', '500', '510', '0']);
  expect(writer.code).toBe(0);
  // Its own directory takes it for dead, and whoever reads a page then is told.
  expect(await watcher.end()).toMatchObject({ signal: 'SIGBUS' });
  south.serve();
  await both.mapped();
  expect(await north.peer()).toMatchObject({ lostPages });
  expect(await lostOf(table)).toEqual([]);
}, 120_000);

// What is under way to the one before stands first on the gateway's line to the next one, which knows neither of the two.
test('a node whose pmap manager was killed reads imported pages again, of each dataspace', async () => {
  const { north, south, table, shared } = both;
  const pmapd = south.cluster.service('node2/pmapd').process!;
  const watcher = await south.cluster.start('node2', 'far', ['watch', table, '1000000', '60000']);
  const writer = await north.cluster.start('node1', 'far', ['write', 'table', '1000', '1100', '20']);
  const borrowed = async () => (await south.peer())!.borrowedPages;
  const before = await borrowed();
  await until('pages come', async () => (await borrowed()) > before);
  signalIdentity(pmapd, 'SIGSTOP');
  // Longer than pages of the north take: it is given some that it does not take.
  await delay(6 * DELAY_MS);
  await south.cluster.kill('node2/pmapd');
  await watcher.end();
  await south.cluster.well();
  expect(await south.cluster.json('node2', 'far', ['look', shared, 'read'])).toHaveProperty('sum');
  expect((await writer.end()).code).toBe(0);
  expect(await south.cluster.json('node2', 'far', ['look', table, 'read'])).toMatchObject({
    sum: 4 * 1_100,
  });
}, 120_000);

const firstOf = async (name: string): Promise<number> =>
  (await both.north.cluster.json('node1', 'far', ['count', name, '0']))['first'] as number;

test('a counter under range locks of programs of both, over a line that is cut for a moment', async () => {
  const { north, south, shared, line } = both;
  const before = await firstOf('shared');
  const counts = (side: typeof north, node: string, name: string) =>
    side.cluster.start(node, 'far', ['count', name, '15']);
  const counters = await Promise.all([
    counts(north, 'node1', 'shared'),
    counts(north, 'node2', 'shared'),
    counts(south, 'node1', shared),
    counts(south, 'node2', shared),
  ]);
  await delay(1_000);
  line.cut();
  await delay(1_500);
  line.heal();
  for (const counter of counters) {
    const { code, stderr, signal, reason } = await counter.end();
    expect({ code, stderr, signal, reason }).toMatchObject({ code: 0, stderr: '' });
  }
  expect(await firstOf('shared')).toBe(before + 4 * 15);
}, 120_000);

test('a barrier of four programs of both', async () => {
  const { north, south, shared } = both;
  const meets = (side: typeof north, node: string, name: string) =>
    side.cluster.start(node, 'far', ['meet', name, '4', '5']);
  const members = await Promise.all([
    meets(north, 'node1', 'shared'),
    meets(north, 'node2', 'shared'),
    meets(south, 'node1', shared),
    meets(south, 'node2', shared),
  ]);
  for (const member of members) expect(await member.end()).toMatchObject({ code: 0, signal: '' });
}, 120_000);

test('one of each wakes the other one, and no wake is lost', async () => {
  const { north, south, shared } = both;
  const turns = await Promise.all([
    north.cluster.start('node1', 'far', ['turns', 'shared', '0', '10']),
    south.cluster.start('node1', 'far', ['turns', shared, '1', '10']),
  ]);
  for (const each of turns) expect(await each.end()).toMatchObject({ code: 0, signal: '' });
}, 120_000);

test('it is read, and not written, nor locked', async () => {
  const { cluster } = both.south;
  expect((await cluster.run('node1', 'far', ['look', both.table, 'write'])).stderr).toMatch(
    /Permission denied/,
  );
  for (const [name, how] of [
    [both.table, 'read'],
    [both.shared, 'write'],
  ] as const)
    expect(await cluster.run('node1', 'far', ['alone', name, how])).toMatchObject({ code: 0, stderr: '' });
  const { stderr } = await cluster.vkctl(['ds', 'load', both.table, '/etc/hostname']);
  expect(stderr).toMatch(/is of another cluster, which lets it be read and not written/);
});

test('what became of lost pages is said where they are at home', async () => {
  const { cluster } = both.south;
  expect(await cluster.vkctl(['ds', 'accept-loss', both.shared])).toMatchObject({
    code: 1,
    stderr: `vkctl: dataspace ${both.shared} is of cluster "${both.north.name}": whoever owns it there says vkctl ds accept-loss shared\n`,
  });
});

test('a gateway is no node', async () => {
  for (const { cluster } of [both.north, both.south]) {
    const { stdout, code } = await cluster.vkctl(['status']);
    expect(stdout).not.toMatch(/gateway/);
    expect(code).toBe(0);
  }
});

test('what is of another cluster is not removed here, and lists say who has it by short names', async () => {
  const { north, south, table } = both;
  expect(await south.cluster.vkctl(['ds', 'rm', table])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /is of cluster ".*", and stands here as long as that exports it\. .*vkctl gateway rm/,
    ),
  });
  for (const { cluster } of [north, south])
    expect((await cluster.vkctl(['ds', 'ls'])).stdout).not.toMatch(/(lends|borrows)-\d/);
  // At home it has to be for everybody.
  const [at] = table.split('@') as [string];
  const chmod = async (mode: string) =>
    expect(await north.cluster.vkctl(['ds', 'chmod', mode, at])).toMatchObject({ code: 0 });
  await chmod('600');
  await until('its list says so', async () =>
    /is not for everybody, as what is exported has to be/.test(
      (await north.cluster.vkctl(['gateway', 'ls'])).stderr,
    ),
  );
  await chmod('604');
  await until(
    'it is lent again',
    async () =>
      (await south.cluster.vkctl(['ds', 'ls', '-q'])).stdout.includes(table) &&
      !/not for everybody/.test((await north.cluster.vkctl(['gateway', 'ls'])).stderr),
  );
});

/** What the south's events call lost of a dataspace. */
async function lostOf(dataspace: string): Promise<string[]> {
  const { stdout } = await both.south.cluster.vkctl(['events', '--json', '--kind', 'page-lost']);
  return stdout.split('\n').filter((line) => line.includes(`${dataspace} `));
}

test('what the north takes back is gone, and whoever reads it gets an error', async () => {
  const { north, south, table } = both;
  const watcher = await south.cluster.start('node1', 'far', ['watch', table, '1000000', '50000']);
  await until('pages are lent', async () => ((await north.peer())?.dataspaces[0]?.pages ?? 0) > 0);
  both.allow({ exports: [] });
  const { signal, reason } = await watcher.end();
  expect({ signal, reason }).toMatchObject({
    signal: 'SIGBUS',
    reason: expect.stringMatching(
      new RegExp(`dataspace ${table} is not here any more: its cluster took it back`),
    ),
  });
  await until(
    'nothing is left of it',
    async () => !(await south.cluster.vkctl(['ds', 'ls', '-q'])).stdout.includes(table),
  );
  expect((await south.cluster.run('node1', 'far', ['look', table, 'read'])).code).not.toBe(0);
  expect(await lostOf(table)).toEqual([]);
  expect((await south.cluster.vkctl(['gateway', 'ls'])).stderr).toContain(
    `vkctl: ${table}, ${north.name}: its cluster does not export it to us, or has none of that name\n`,
  );
}, 60_000);

test('a home that turned hostile reaches nothing but its own dataspace, and slows nobody', async () => {
  const { north, south } = both;
  await south.end();
  const fake = `${FAKE.name}@${south.name}`;
  const home = await HostileHome.open(both);
  try {
    await until('it is mapped', async () =>
      (await north.cluster.vkctl(['ds', 'ls', '-q'])).stdout.includes(fake),
    );
    const adds = () => north.cluster.json('node1', 'far', ['add', 'shared', '20', '0']);
    await adds();
    const before = await adds();
    const reader = await north.cluster.start('node2', 'far', ['look', fake, 'read']);
    await until('a page is asked for', () => home.wanted.length > 0);
    // What it lends is what its readers get; they wait for what it does not.
    const asked = home.wanted.splice(0);
    for (const page of asked) home.lend(page, 1);
    // It takes pages back that nobody has, and settles what nobody owes, as fast as it is read.
    let sent = 0;
    const flood = setInterval(() => {
      for (let i = 0; i < 200; i++) {
        const about = { pages: { dataspace: FAKE.id, firstPage: 1, pageCount: 1 }, lending: BigInt(++sent) };
        home.say({ case: 'revoked', value: about });
        home.say({ case: 'settled', value: { ...about, gone: true } });
      }
    }, 50);
    const beside = await adds().finally(() => clearInterval(flood));
    expect(beside['last']).toBe((before['last'] as number) + 20);
    console.log(
      `${2 * sent} words of a hostile home; 20 additions took ${Math.round((before['ns'] as number) / 1e6)} ms before and ${Math.round((beside['ns'] as number) / 1e6)} ms beside them`,
    );
    expect(await north.peer()).toMatchObject({ lostPages: 0 });
    // A page that nobody asked for: its line ends, and whoever waits gets an error or waits for the next one.
    for (let i = 0; i < 3; i++) home.lend(0, 2);
    await until('its line is over', async () => (await north.peer())?.connected === false);
    expect((await north.peer())?.reason).toMatch(/was not asked for|the line/);
    void reader.end().catch(() => {});
    expect((await adds())['last']).toBe((beside['last'] as number) + 20);
  } finally {
    home.end();
  }
}, 120_000);
