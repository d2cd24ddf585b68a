// Vmspaces from outside: made by hand on two nodes over one dataspace, and those of programs that run.
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { EventKind } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster, until } from './cluster.ts';

const PAGE = 4_096n;
const BASE = 16n * PAGE;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 2 });
});
afterAll(async () => await cluster?.down());

const on = (node: string) => cluster.connection.vmspaces(node);
const codeOf = (call: Promise<unknown>): Promise<Code | undefined> =>
  call.then(
    () => undefined,
    (error: RpcError) => error.code,
  );

async function mapped(node: string, dataspace: string, lengthBytes: bigint): Promise<bigint> {
  const { vmspace } = await on(node).vmspaceCreate({});
  await on(node).vmspaceMmap({ vmspace, address: BASE, lengthBytes, dataspace, writable: true });
  return vmspace;
}

/** The vmspace of a program. */
async function ofProcess(node: string, pid: bigint): Promise<bigint> {
  let found: bigint | undefined;
  await until('the process has a vmspace that maps something', async () => {
    const { vmspaces } = await on(node).listVmspaces({ pageSize: 1_000 });
    found = vmspaces.find((each) => each.pid === pid && each.entries > 0)?.vmspace;
    return found !== undefined;
  });
  return found!;
}

describe('two nodes', () => {
  it('what is written in one vmspace is read in the other, whoever has the page', async () => {
    const bytes = 4 * Number(PAGE);
    await cluster.connection.dataspaces('node1').create({ name: 'both', sizeBytes: BigInt(bytes) });
    const nodes = ['node1', 'node2'] as const;
    const vmspaces = await Promise.all(nodes.map((node) => mapped(node, 'both', BigInt(bytes))));
    const model = Buffer.alloc(bytes);
    // Within one page all or nothing of a write is seen.
    const write = fc.record({
      node: fc.nat(1),
      page: fc.nat(3),
      at: fc.nat(4_000),
      length: fc.integer({ min: 1, max: 96 }),
    });
    const pwrite = async ({
      node,
      page,
      at,
      length,
    }: {
      node: number;
      page: number;
      at: number;
      length: number;
    }) => {
      const data = randomBytes(length);
      const offset = page * Number(PAGE) + at;
      await on(nodes[node]!).vmspacePwrite({
        vmspace: vmspaces[node]!,
        address: BASE + BigInt(offset),
        data,
      });
      return { data, offset };
    };
    const pread = async (node: number) => {
      const about = { vmspace: vmspaces[node]!, address: BASE, length: bytes };
      return Buffer.from((await on(nodes[node]!).vmspacePread(about)).data);
    };
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(write, write), { minLength: 2, maxLength: 6 }), async (pairs) => {
        for (const pair of pairs) {
          const [first, second] = await Promise.all(pair.map(pwrite));
          const orders = [
            [first!, second!],
            [second!, first!],
          ].map((order) => {
            const copy = Buffer.from(model);
            for (const { data, offset } of order) copy.set(data, offset);
            return copy;
          });
          const seen = await pread(pair[0].node);
          expect(orders.some((order) => order.equals(seen))).toBe(true);
          expect((await pread(1 - pair[0].node)).equals(seen)).toBe(true);
          model.set(seen);
        }
      }),
      { numRuns: 10 },
    );
  });
});

describe('the vmspace of a program', () => {
  it('is read, written, listed and watched, and its pmap is emptied, while it runs', async () => {
    const program = await cluster.start('node1', 'peek', ['seen', '0', '--size', '16384', '--every-ms', '5']);
    const pid = await program.pid;
    const vmspace = await ofProcess('node1', pid);
    const { entries } = await on('node1').listMapEntries({ vmspace });
    expect(entries).toMatchObject([
      { dataspace: 'seen', lengthBytes: 16_384n, offsetBytes: 0n, writable: false },
    ]);
    const { address } = entries[0]!;
    await cluster.output('node2', 'peek', ['seen', '0', '--write', '7', '8']);
    const read = async () => {
      const { data } = await on('node1').vmspacePread({ vmspace, address, length: 8 });
      return [...new Uint32Array(Uint8Array.from(data).buffer)];
    };
    expect(await read()).toEqual([7, 8]);
    await program.wrote(/"words":\[7/);
    // It mapped it for reading.
    const denied = on('node1').vmspacePwrite({ vmspace, address, data: new Uint8Array(4) });
    expect(await codeOf(denied)).toBe(Code.PermissionDenied);
    const runs = (await on('node1').listResidentPages({ vmspace })).runs;
    const shared = runs.filter(({ dataspace }) => dataspace !== '');
    expect(shared).toMatchObject([{ address, dataspace: 'seen', firstPage: 0n }]);
    expect(runs.length).toBeGreaterThan(shared.length);
    for (const change of [
      () => on('node1').vmspaceDestroy({ vmspace }),
      () => on('node1').vmspaceMmap({ vmspace, address: PAGE, lengthBytes: PAGE }),
      () => on('node1').vmspaceMunmap({ vmspace, address, lengthBytes: PAGE }),
      () => on('node1').vmspaceMcontrol({ vmspace, address: 0n, lengthBytes: PAGE, advice: 8 }),
    ])
      expect(await codeOf(change())).toBe(Code.FailedPrecondition);
    const kinds: EventKind[] = [];
    const names = new Set<string>();
    const watching = (async () => {
      for await (const { event } of on('node1').watchVmspace({ vmspace })) {
        if (event === undefined) continue;
        kinds.push(event.kind);
        names.add(event.name);
      }
    })();
    await until('faults, system calls and timeouts were told', async () => {
      const { vmspaces } = await on('node1').flushPmaps({ whose: { case: 'pid', value: pid } });
      expect(vmspaces).toBe(1);
      return [EventKind.FAULT, EventKind.SYSCALL, EventKind.TIMEOUT].every((kind) => kinds.includes(kind));
    });
    expect([...names]).toEqual(expect.arrayContaining(['fd_write', 'poll_oneoff', 'seen']));
    await cluster.connection.vkerneld('node1').kill({ pid, signal: 'SIGKILL' });
    await program.ended;
    // The stream ends with the vmspace.
    await watching;
    expect(kinds).toContain(EventKind.SIGNAL);
    expect(await codeOf(on('node1').listMapEntries({ vmspace }))).toBe(Code.NotFound);
  });

  it('has no page tables after vkctl pmap flush, and its frames still', async () => {
    const program = await cluster.start('node1', 'hog', ['private', '32', '600000']);
    const pid = await program.pid;
    await program.wrote(/"done"/);
    const { vmspaces } = await on('node1').listVmspaces({ pageSize: 1_000 });
    const { vmspace, privatePages } = vmspaces.find((each) => each.pid === pid)!;
    expect(Number(privatePages)).toBeGreaterThan(8_192);
    expect(mappedKib(vmspace)).toBeGreaterThan(32_768);
    const { runs } = await on('node1').listResidentPages({ vmspace, pageSize: 1_000 });
    expect(runs.reduce((sum, { pages }) => sum + pages, 0)).toBe(Number(privatePages));
    const { code, stdout } = await cluster.vkctl(['pmap', 'flush', `${pid}`]);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `node1: emptied the page tables of 1 process: ${privatePages} private and 0 shared pages\n`,
    });
    await until('its page tables are empty', () => mappedKib(vmspace) < 1_024);
    const after = (await on('node1').listVmspaces({ pageSize: 1_000 })).vmspaces;
    expect(after.find((each) => each.pid === pid)!.privatePages).toBe(privatePages);
    await cluster.connection.vkerneld('node1').kill({ pid, signal: 'SIGKILL' });
    await program.ended;
    const usage = await cluster.vkctl(['pmap', 'flush']);
    expect(usage).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('give pids, or --vkernel, or --node'),
    });
    const nobody = await cluster.vkctl(['pmap', 'flush', '--vkernel', 'nobody']);
    expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining('no virtual kernel "nobody"') });
  });
});

describe('a virtual kernel that does not answer', () => {
  it('holds up no flush, and its programs go on with the right bytes', async () => {
    const program = await cluster.start('node2', 'peek', ['kept', '0', '--size', '16384', '--every-ms', '5']);
    const pid = await program.pid;
    await ofProcess('node2', pid);
    const offered = async (...words: string[]) =>
      (await cluster.vkctl(['complete', '--', 'pmap', 'flush', ...words])).stdout;
    expect(await offered('')).toContain(`${pid}\tnode2 `);
    expect(await offered('--vkernel', '')).toMatch(/(^|\/)default\t/m);
    await cluster.output('node1', 'peek', ['kept', '0', '--write', '5', '6']);
    await program.wrote(/"words":\[5/);
    const { vkernels } = await cluster.connection.vkerneld('node2').listVkernels({});
    const { hostPid } = vkernels.find(({ name }) => name === 'default' || name.endsWith('/default'))!;
    process.kill(Number(hostPid), 'SIGSTOP');
    try {
      for (let i = 0; i < 20; i++) {
        const flushed = await on('node2').flushPmaps(
          { whose: { case: 'node', value: true } },
          { deadlineMs: 2_000 },
        );
        expect(flushed.vmspaces).toBeGreaterThan(0);
      }
    } finally {
      process.kill(Number(hostPid), 'SIGCONT');
    }
    await cluster.output('node1', 'peek', ['kept', '0', '--write', '9', '6']);
    await program.wrote(/"words":\[9/);
    process.kill(Number(hostPid), 'SIGKILL');
    await on('node2').flushPmaps({ whose: { case: 'node', value: true } }, { deadlineMs: 2_000 });
    await program.ended;
    const after = await on('node2').flushPmaps({ whose: { case: 'node', value: true } });
    expect(after).toMatchObject({ sharedPages: 0n, privatePages: 0n });
  });
});

/** What the page tables of processes of this machine have of the private memory of a vmspace. */
function mappedKib(vmspace: bigint): number {
  const file = `${cluster.paths.memoryDir}/node1/anonymous-${vmspace}-`;
  let kib = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    let maps = '';
    try {
      if (!readFileSync(`/proc/${pid}/maps`, 'utf8').includes(`anonymous-${vmspace}-`)) continue;
      maps = readFileSync(`/proc/${pid}/smaps`, 'utf8');
    } catch {
      continue; // It has ended, or is none of ours.
    }
    for (const mapping of maps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m))
      if (mapping.includes(file)) kib += Number(/^Rss:\s+(\d+) kB/m.exec(mapping)?.[1] ?? 0);
  }
  return kib;
}
