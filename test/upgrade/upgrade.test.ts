// Every service is restarted in turn under work, with a later version of the code: until the last one is, both versions
// run side by side. Then one of each kind goes back.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RELEASE } from '@odonata/rpc/wire-version.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readHistories } from '../chaos/history.ts';
import { judge } from '../chaos/report.ts';
import { historyFolder, Workers } from '../chaos/workers.ts';
import { TestCluster } from '../cluster/cluster.ts';
import { previousRelease, takeRelease } from './earlier-release.ts';
import { expectCompatible, LATER_RELEASE, makeLaterVersion } from './later-version.ts';

const SEED = 20_061_001;
const NOW = fileURLToPath(new URL('../../services', import.meta.url));
/** Programs end with the pmap manager, the supervisor or the router that they need; nothing else may end them. */
const EXPECTED_ENDS = /^done$|^ended by us$|stops|went away|shut down|no line: /;

let folder: string;
/** The release before this one, where it has a tag in the history: that is rolled to this one. */
const previous = previousRelease();
/** What is rolled to what; that of `from` first, and some of it again in the end. */
let from: { services: string; release: string };
let to: { services: string; release: string };
let link: string;
let cluster: TestCluster;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-upgrade-'));
  const now = { services: NOW, release: RELEASE };
  const later = { services: makeLaterVersion(join(folder, 'later')), release: LATER_RELEASE };
  [from, to] =
    previous === undefined
      ? [now, later]
      : [{ services: takeRelease(previous, join(folder, 'earlier')), release: previous.slice(1) }, now];
  mkdirSync(historyFolder(folder));
  link = join(folder, 'services');
  symlinkSync(from.services, link);
  cluster = await TestCluster.up({
    nodes: 2,
    directories: 2,
    routers: 2,
    servicesDir: link,
    allowDirs: [folder],
  });
}, 150_000);
afterAll(async () => {
  await cluster?.down();
  rmSync(folder, { recursive: true, force: true });
}, 90_000);

function turn(to: string): void {
  unlinkSync(link);
  symlinkSync(to, link);
}

/** What a service says that it is; undefined: it is not asked. */
/** What the directory says of holders that went: a node whose lease ended is no fault of a restart. */
const buried = (): string =>
  cluster.record.services
    .filter(({ name }) => /cohd|pmapd/.test(name))
    .flatMap(({ name, logFile }) =>
      readFileSync(logFile, 'utf8')
        .split('\n')
        .filter((line) => /"level":"(warn|error)"/.test(line))
        .map((line) => `${name} ${line}`),
    )
    .join('\n');

async function releaseOf(name: string): Promise<string | undefined> {
  const to = cluster.connection;
  if (/^cohd/.test(name)) return (await to.cohd(name).getDirectoryStats({})).wire?.release;
  if (/\/pmapd$/.test(name)) return (await to.pmapd(name.split('/')[0]!).getNodeStats({})).wire?.release;
  return undefined;
}

test('the later version may run beside this one', () => {
  expectCompatible(join(folder, 'later'));
});

test('all services in turn, forth and back, under work: nothing is wrong, nothing is lost', {
  timeout: 180_000,
}, async () => {
  const names = cluster.record.services.map(({ name }) => name).filter((name) => name !== 'nats');
  const nodes = cluster.record.plan.nodes.map(({ name }) => name);
  const histories = historyFolder(folder);
  const workers = await Workers.create({
    to: cluster.connection,
    nodes,
    perNode: 2,
    folder: histories,
    seed: SEED,
  });
  const over = new AbortController();
  const working = workers.run(over.signal);
  for (const [version, order] of [
    [to, names],
    [from, names.filter((name) => /^(cohd1|syslinkd1|node1.*)$/.test(name)).toReversed()],
  ] as const) {
    turn(version.services);
    for (const name of order) {
      const { code, stderr } = await cluster.vkctl(['restart', name]);
      expect({ name, code, stderr }, buried()).toEqual({ name, code: 0, stderr: '' });
    }
    for (const name of order) {
      const release = await releaseOf(name);
      if (release !== undefined) expect({ name, release }).toEqual({ name, release: version.release });
    }
  }
  over.abort();
  await working;
  const troubles = await workers.prove(30_000);
  const report = judge({
    ...{
      seed: SEED,
      minutes: 0,
      cuts: false,
      pmapFlushes: 0,
      faults: [],
      amidFaults: 0,
      made: new Map(),
      logins: new Map(),
      wrong: [],
      ends: workers.ends,
      troubles,
    },
    histories: readHistories(histories),
  });
  expect(report).toMatchObject({ violations: [], undecided: [], troubles: [] });
  for (const { logFile } of cluster.record.services)
    expect(
      readFileSync(logFile, 'utf8')
        .split('\n')
        .filter((line) => /could not hand everything over|"level":"fatal"/.test(line)),
    ).toEqual([]);
  expect(report.operations).toBeGreaterThan(1_000);
  expect(Object.keys(report.ends).filter((end) => !EXPECTED_ENDS.test(end))).toEqual([]);
  // A restart that lost pages would have begun new objects.
  expect(new Set([...readHistories(histories).keys()].map((key) => key.split(' ')[0]))).toEqual(
    new Set(['chaos-0', 'chaos-1']),
  );
});
