// What programs begin with is there once: however many processes have it, until they write it, and whatever happens to page tables and
// to the pmap manager.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestCluster, until } from './cluster.ts';
import type { Program } from './program.ts';
import { snapshotCases } from './snapshot-cases.ts';

vi.setConfig({ testTimeout: 600_000 });

const PAGE = 4_096;
/** Of the image. */
const PAGES = 2_048;
const PROCESSES = process.env.ODONATA_LONG === undefined ? 12 : 200;
const FRAMES_BYTES = (process.env.ODONATA_LONG === undefined ? 96 : 400) << 20;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 2, framesBytes: FRAMES_BYTES });
}, 150_000);
afterAll(() => cluster?.down(), 90_000);

/** What processes have of their own, page by page, and what the node has of dataspaces and images. */
async function frames(): Promise<{ own: number; shared: number }> {
  const on = cluster.connection.pmapd('node1');
  const { vmspaces } = await on.listVmspaces({ pageSize: 1_000 });
  const { pagesShared } = await on.getNodeStats({});
  const own = vmspaces.reduce((sum, { privatePages }) => sum + Number(privatePages), 0);
  return { own, shared: Number(pagesShared) };
}

/** Such as have said what their memory is like. */
async function starts(count: number, ...args: string[]): Promise<Program[]> {
  const started: Program[] = [];
  // So many modules are loaded at once.
  while (started.length < count) {
    const some = Array.from({ length: Math.min(8, count - started.length) }, () =>
      cluster.start('node1', 'image', [...args, '--wait', 'go']),
    );
    for (const each of await Promise.all(some)) {
      await each.wrote(/"wrong":0/);
      started.push(each);
    }
  }
  return started;
}

async function vmspaceOf(pid: bigint): Promise<bigint> {
  const { vmspaces } = await cluster.connection.vmspaces('node1').listVmspaces({ pageSize: 1_000 });
  return vmspaces.find((each) => each.pid === pid)!.vmspace;
}

test('many processes have one copy; what each writes is its own; flushes, reads and writes from outside, and another pmap manager change nothing', async () => {
  await cluster.connection.dataspaces('node1').create({ name: 'go', sizeBytes: BigInt(PAGE) });
  const [first] = await starts(1);
  const others = await starts(PROCESSES - 1);
  const has = await frames();
  // One image, with what else the module begins with, and the page of the dataspace.
  expect(has.shared - PAGES).toBeGreaterThan(0);
  expect(has.shared - PAGES).toBeLessThan(32);
  // Of each there is its stack, its heap, and what the C library writes.
  console.log(
    `${PROCESSES} processes: an image and a page, ${has.shared} pages, and ${has.own} of their own`,
  );
  expect(has.own / PROCESSES).toBeLessThan(PAGES / 16);

  const writers = await starts(3, '--write', '256');
  const { address } = JSON.parse(first!.stdout.toString()) as { address: number };
  const on = cluster.connection.vmspaces('node1');
  const words = async (pid: bigint, page: number): Promise<number[]> => {
    const { data } = await on.vmspacePread({
      vmspace: await vmspaceOf(pid),
      address: BigInt(address + page * PAGE),
      length: 12,
    });
    return [...new Uint32Array(Uint8Array.from(data).buffer)];
  };
  const [idle, writing] = [await first!.pid, await writers[0]!.pid];
  expect(await words(writing, 512)).toEqual([513, 512, 0x5a5a5a5a]);
  expect(await words(writing, 600)).toEqual([601, 0x5a5a5a5a, 0x5a5a5a5a]);
  expect(await words(idle, 512)).toEqual([513, 0x5a5a5a5a, 0x5a5a5a5a]);

  const { code } = await cluster.vkctl(['pmap', 'flush', '--node', 'node1']);
  expect(code).toBe(0);
  // The program sees what is written from outside, and nobody else does.
  const data = new Uint8Array(new Uint32Array([7]).buffer);
  const at = BigInt(address + 1_000 * PAGE + 4);
  await on.vmspacePwrite({ vmspace: await vmspaceOf(idle), address: at, data });
  expect(await words(idle, 1_000)).toEqual([1_001, 7, 0x5a5a5a5a]);
  expect(await words(writing, 1_000)).toEqual([1_001, 0x5a5a5a5a, 0x5a5a5a5a]);

  const had = await frames();
  expect(had.own).toBeGreaterThan(has.own);
  expect((await cluster.vkctl(['restart', 'node1/pmapd'])).code).toBe(0);
  expect(await frames()).toEqual(had);
  expect(await words(writing, 512)).toEqual([513, 512, 0x5a5a5a5a]);
  expect(await words(idle, 513)).toEqual([514, 0x5a5a5a5a, 0x5a5a5a5a]);
  const [late] = await starts(1, '--write', '7');

  await cluster.output('node1', 'peek', ['go', '0', '--write', '1']);
  expect(await first!.end()).toMatchObject({ code: 0, stderr: '' });
  expect(first!.stdout.toString()).toMatch(/"wrong":0.*\n.*"wrong":1,/);
  for (const each of [...others, ...writers, late!]) {
    expect(await each.end()).toMatchObject({ code: 0, stderr: '' });
    expect(each.stdout.toString()).toMatch(/"wrong":0,.*\n.*"wrong":0,/);
  }
  await until('what they had of their own is back', async () => (await frames()).own < has.own / PROCESSES);
});

snapshotCases(() => cluster);
