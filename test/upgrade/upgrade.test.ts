// Every service is restarted in turn under work, with a later version of the code: until the last one is, both versions
// run side by side. Then one of each kind goes back.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readHistories } from '../chaos/history.ts';
import { judge } from '../chaos/report.ts';
import { historyFolder, Workers } from '../chaos/workers.ts';
import { TestCluster } from '../cluster/cluster.ts';
import { Reflection } from '../operate/reflection.ts';
import { expectCompatible, LATER_FIELD, makeLaterVersion } from './later-version.ts';

const SEED = 20_061_001;
const NOW = fileURLToPath(new URL('../../services', import.meta.url));
/** Programs end with the pmap manager, the supervisor or the router that they need; nothing else may end them. */
const EXPECTED_ENDS = /^done$|^ended by us$|stops|went away|shut down|no line: /;

let folder: string;
let later: string;
let link: string;
let cluster: TestCluster;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-upgrade-'));
  later = makeLaterVersion(join(folder, 'later'));
  mkdirSync(historyFolder(folder));
  link = join(folder, 'services');
  symlinkSync(NOW, link);
  cluster = await TestCluster.up({
    nodes: 3,
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

async function isLater(address: string): Promise<boolean> {
  const channel = new grpc.Client(address, grpc.credentials.createInsecure());
  try {
    const registry = await new Reflection(channel, 'v1').registryWith('odonata.coherency.v1.PageRun');
    return registry
      .getMessage('odonata.coherency.v1.PageRun')!
      .fields.some(({ name }) => name === LATER_FIELD);
  } finally {
    channel.close();
  }
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
    [later, names],
    [NOW, names.filter((name) => /^(cohd1|syslinkd1|node1.*)$/.test(name)).toReversed()],
  ] as const) {
    turn(version);
    for (const name of order) {
      const { code, stderr } = await cluster.vkctl(['restart', name]);
      expect({ name, code, stderr }).toEqual({ name, code: 0, stderr: '' });
    }
    for (const { name, address } of cluster.record.services)
      if (/pmapd$|^cohd/.test(name) && order.includes(name))
        expect({ name, later: await isLater(address) }).toEqual({ name, later: version === later });
  }
  over.abort();
  await working;
  const troubles = await workers.prove(30_000);
  const report = judge({
    ...{
      seed: SEED,
      minutes: 0,
      cuts: false,
      faults: [],
      amidFaults: 0,
      made: new Map(),
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
