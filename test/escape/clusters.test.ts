// Two clusters on one machine, a virtual kernel in each, as they run: nothing of the one is within reach of the other, nor of
// what is beside them.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestCluster } from '../cluster/cluster.ts';
import { host } from './look.ts';

const isRoot = process.getuid!() === 0;
const inNamespaces = host.tools !== undefined;
const KINDS = ['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'];

const namespacesOf = (pid: number | 'self'): string[] =>
  KINDS.map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`));
const statusOf = (pid: number, name: string): string =>
  new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;

describe.runIf(inNamespaces)('two clusters of one machine', () => {
  const clusters: TestCluster[] = [];
  const pids: number[] = [];
  beforeAll(async () => {
    for (let i = 0; i < 2; i++) {
      const cluster = await TestCluster.up({ nodes: 1 });
      clusters.push(cluster);
      await cluster.output('node1', 'hello');
      const { vkernels } = await cluster.connection.vkerneld('node1').listVkernels({});
      pids.push(vkernels[0]!.hostPid);
    }
  });
  afterAll(async () => {
    for (const cluster of clusters) await cluster.down();
  });

  it('each virtual kernel has all its namespaces for itself', () => {
    const all = [...pids.map(namespacesOf), namespacesOf('self')];
    for (const [i, kind] of KINDS.entries()) {
      const different = new Set(all.map((each) => each[i]));
      // Where root cannot make one of its users, doctor says so.
      if (kind !== 'user' || host.userNamespace) expect(different.size, kind).toBe(3);
    }
  });

  it.runIf(isRoot)('each has a uid of its own', () => {
    const uids = pids.map((pid) => statusOf(pid, 'Uid').split('\t'));
    for (const each of uids) expect(new Set(each).size).toBe(1);
    expect(new Set([...uids.flat(), '0']).size).toBe(3);
  });

  it('each is confined all the way', () => {
    for (const pid of pids) {
      expect(statusOf(pid, 'CapEff')).toBe('0000000000000000');
      expect(statusOf(pid, 'NoNewPrivs')).toBe('1');
      // That of the start, and that of the run.
      expect(statusOf(pid, 'Seccomp_filters')).toBe('2');
    }
  });

  it('of files each sees the runtime and the sockets of its own node', () => {
    for (const [i, pid] of pids.entries()) {
      const { runtimeDir, stateDir, memoryDir } = clusters[i]!.paths;
      const other = clusters[1 - i]!.paths;
      expect(readdirSync(`/proc/${pid}/root/${runtimeDir}`)).toEqual(['node1']);
      expect(readdirSync(`/proc/${pid}/root/${runtimeDir}/node1`)).toEqual(['vkernels']);
      for (const path of [
        stateDir,
        memoryDir,
        other.runtimeDir,
        other.stateDir,
        other.memoryDir,
        '/etc',
        '/home',
      ])
        expect(() => readdirSync(`/proc/${pid}/root/${path}`), path).toThrow(/ENOENT/);
    }
  });

  it('no secret stands in its environment or its command line', () => {
    for (const [i, pid] of pids.entries()) {
      const environ = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean);
      const { runtimeDir } = clusters[i]!.paths;
      expect(environ).toContain(`ODONATA_VKERNEL_CONTROL=unix:${runtimeDir}/node1/vkernels/vkerneld.sock`);
      expect(environ).toHaveLength(6);
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toMatch(/eyJ|token|Bearer/i);
    }
  });

  it('it ends with its cluster', async () => {
    await clusters[0]!.down();
    expect(() => namespacesOf(pids[0]!)).toThrow(/ENOENT/);
    expect(namespacesOf(pids[1]!)).toHaveLength(KINDS.length);
    clusters.shift();
  });
});
