// Programs of both clusters operate on the same registers and counters for minutes while the line is cut, gateways are killed and stopped,
// and nodes die. What docs/gateways.md says of an acknowledged write holds as a whole: a page may be LOST where its table says so, and
// then whoever touches it gets an error; nobody ever sees what is older than an operation that ended, on either side, before or after.
// Takes minutes, so with ODONATA_LONG; `dataspaces.test.ts` has the short form.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { delay } from '@odonata/rpc/backoff.ts';
import { Random } from '@odonata/simulator/random.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lenderLeaseMs } from '../../libs/coherency/lease.ts';
import { endedOperations, readHistories } from '../chaos/history.ts';
import { until } from '../cluster/cluster.ts';
import { LONG } from '../long.ts';
import { HISTORY, wrongOf } from './histories.ts';
import { type Side, TwoClusters } from './two-clusters.ts';
import { type BadEnd, Workers } from './workers.ts';

const LEASE_MS = 2_000;
const LENDING_MS = lenderLeaseMs(LEASE_MS);
/** Before it, and after all is healed. */
const WORK_MS = 4_000;
const MIXED_MS = 120_000;
const SEED = Math.floor(Math.random() * 2 ** 31);

/** How programs may end: a page is LOST; their node died; what the south borrows is not there, and begins anew. */
const LOST = /^SIGBUS a page of dataspace \S+ is lost: /;
const DIED = /^SIGKILL the pmap manager of its node went away|^no line: /;
const AWAY = /^(SIGBUS .*)?dataspace history-\d+@/;

interface Fault {
  readonly what: string;
  /** How programs of a side may end; none may where nothing may be lost. */
  readonly north: readonly RegExp[];
  readonly south: readonly RegExp[];
  readonly run: (chance: Random) => Promise<void>;
}

let both: TwoClusters;
let place: string;

async function stopped(side: Side, ms: number): Promise<void> {
  side.signal('SIGSTOP');
  await delay(ms);
  side.signal('SIGCONT');
}

async function killed(side: Side, ms: number): Promise<void> {
  await side.end('SIGKILL');
  await delay(ms);
  side.serve();
}

async function cut(ms: number): Promise<void> {
  both.line.cut();
  await delay(ms);
  both.line.heal();
}

const stopMs = (chance: Random): number => LEASE_MS + chance.below(LENDING_MS);
const nodeOf = (chance: Random): string => `node${1 + chance.below(2)}`;

const FAULTS: readonly Fault[] = [
  { what: 'the line is cut for moments', north: [], south: [], run: cutForMoments },
  ofGateways('the line is cut for longer than the lease', (chance) => cut(LENDING_MS + chance.below(5_000))),
  ofGateways('the gateway of the south is killed', (chance) => killed(both.south, chance.below(3_000))),
  ofGateways('the gateway of the south is stopped', (chance) => stopped(both.south, stopMs(chance))),
  ofGateways('the gateway of the north is killed', (chance) => killed(both.north, chance.below(3_000))),
  ofGateways('the gateway of the north is stopped', (chance) => stopped(both.north, stopMs(chance))),
  {
    ...{ what: 'a node of the south is killed', north: [LOST], south: [LOST, DIED] },
    run: (chance) => both.south.cluster.kill(`${nodeOf(chance)}/pmapd`),
  },
  {
    ...{ what: 'a node of the north is killed', north: [LOST, DIED], south: [LOST] },
    run: (chance) => both.north.cluster.kill(`${nodeOf(chance)}/pmapd`),
  },
];

function ofGateways(what: string, run: Fault['run']): Fault {
  return { what, north: [LOST], south: [LOST, AWAY], run };
}

async function cutForMoments(chance: Random): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await cut(500 + chance.below(1_500));
    await delay(2_000);
  }
}

/** Each run has a dataspace of its own: what was LOST stays so. */

const names = Array.from({ length: 24 }, (_, i) => `${HISTORY.name}-${i}`);
let used = 0;

beforeAll(async () => {
  if (!LONG) return;
  place = mkdtempSync(join(tmpdir(), 'odonata-gateway-chaos-'));
  both = await TwoClusters.up(LEASE_MS, [place]);
  both.allow({ exports: ['table'], shared: names });
  both.north.serve();
  both.south.serve();
}, 180_000);

afterAll(async () => {
  if (!LONG) return;
  await both.down();
  rmSync(place, { recursive: true, force: true });
}, 120_000);

interface Told {
  readonly operations: number;
  /** As the north's directory says. */
  readonly lostPages: number;
  /** From the end of what went wrong. */
  readonly healedMs: number;
  readonly wrong: readonly string[];
  readonly badEnds: readonly BadEnd[];
}

/** Programs work before, while and after something goes wrong. */
async function through(wrong: (chance: Random) => Promise<void>, seed: number): Promise<Told> {
  const dataspace = names[used++]!;
  const folder = join(place, dataspace);
  mkdirSync(folder);
  await both.north.cluster.vkctl(['ds', 'create', dataspace, HISTORY.size, '--mode', '606']);
  // To read all of it over the line takes a minute.
  const far = `${dataspace}@${both.north.name}`;
  await until(`the south has ${far}`, async () =>
    (await both.south.cluster.vkctl(['ds', 'ls', '-q'])).stdout.split('\n').includes(far),
  );
  const workers = new Workers({ both, dataspace, folder, seed });
  let over = false;
  let healedMs = 0;
  const working = workers.run(() => over);
  try {
    await delay(WORK_MS);
    await wrong(new Random(seed));
    const atMs = performance.now();
    await healed();
    healedMs = performance.now() - atMs;
    await delay(WORK_MS);
  } finally {
    over = true;
    await working;
  }
  const histories = readHistories(folder);
  return {
    operations: endedOperations(histories),
    lostPages: await lostPagesOf(dataspace),
    healedMs,
    wrong: wrongOf(histories),
    badEnds: workers.badEnds,
  };
}

async function lostPagesOf(dataspace: string): Promise<number> {
  const { stdout } = await both.north.cluster.vkctl(['ds', 'ls', '--json']);
  const all = JSON.parse(stdout) as { name: string; lostPages: number }[];
  return Number(all.find(({ name }) => name === dataspace)!.lostPages);
}

async function healed(): Promise<void> {
  for (const side of [both.north, both.south]) {
    await side.cluster.well();
    await until(
      `the gateway of ${side.name} has its line`,
      async () => (await side.peer())?.connected === true,
    );
  }
}

/** How programs ended that did not by themselves, and how often. */
function counted(badEnds: readonly BadEnd[]): string {
  const counts = new Map<string, number>();
  for (const { of, said } of badEnds) counts.set(`${of}: ${said}`, (counts.get(`${of}: ${said}`) ?? 0) + 1);
  return [...counts].map(([said, count]) => `\n  ${count} of the ${said}`).join('');
}

const long = LONG ? test : test.skip;

/** Nobody ends for a reason that the faults do not give, and what programs of the north are told is LOST its directory calls so. */
function judge(faults: readonly Fault[], told: Told, seed: number): void {
  const { operations, lostPages, healedMs, wrong, badEnds } = told;
  const what = faults.map((each) => each.what).join(', and ');
  console.log(
    `${what}: ${operations} operations ended, ${lostPages} pages are LOST, healed after ${Math.round(healedMs)} ms; seed=${seed}${counted(badEnds)}`,
  );
  expect(wrong, `seed=${seed}`).toEqual([]);
  const may = (of: 'north' | 'south') => faults.flatMap((fault) => fault[of]);
  expect(badEnds.filter(({ of, said }) => !may(of).some((each) => each.test(said)))).toEqual([]);
  if (badEnds.some(({ of, said }) => of === 'north' && LOST.test(said))) expect(lostPages).toBeGreaterThan(0);
  if (faults.every(({ north }) => north.length === 0)) expect(lostPages).toBe(0);
}

for (const [which, fault] of FAULTS.entries())
  long(`${fault.what}: nobody sees what is older, and a loss is told`, { timeout: 300_000 }, async () => {
    const seed = SEED + which;
    judge([fault], await through(fault.run, seed), seed);
  });

long('two of these at a time, for minutes', { timeout: 600_000 }, async () => {
  const chance = new Random(SEED);
  const endMs = performance.now() + MIXED_MS;
  while (performance.now() < endMs && used < names.length) {
    const first = FAULTS[chance.below(FAULTS.length)]!;
    const others = FAULTS.filter((each) => each !== first);
    const pair = [first, others[chance.below(others.length)]!];
    const seed = chance.next();
    const run = async (own: Random): Promise<void> => {
      await Promise.all(pair.map((fault) => fault.run(own)));
    };
    judge(pair, await through(run, seed), seed);
  }
});
