// Rates from two looks, and their lines, without a cluster and without a terminal.
import { create } from '@bufbuild/protobuf';
import type { Look } from '@odonata/client/look/look.ts';
import { topOf } from '@odonata/client/look/top.ts';
import { DataspaceSchema, DataspaceUsageSchema } from '@odonata/proto/coherency/v1/coherency';
import { GetNodeStatsResponseSchema, VmspaceSchema } from '@odonata/proto/pmap/v1/pmap';
import { EndpointSchema } from '@odonata/proto/syslink/v1/syslink';
import { ProcessSchema, ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { expect, test } from 'vitest';
import { type Chosen, linesOf, rowsOf } from './lines.ts';

const AT_MS = Date.UTC(2026, 0, 31, 12);

interface Made {
  atMs?: number;
  nodes?: number;
  processes?: number;
  /** Of what grows. */
  so?: bigint;
}

function look({ atMs = AT_MS, nodes = 2, processes = 3, so = 0n }: Made = {}): Look {
  const names = Array.from({ length: nodes }, (_, i) => `node${i + 1}`);
  return {
    cluster: 'test',
    atMs,
    nodes: names.map((name) => ({
      name,
      stats: create(GetNodeStatsResponseSchema, {
        node: name,
        framesTotal: 2n ** 20n,
        pagesIn: 100n + so,
        faultsWaiting: BigInt(name === 'node2' ? 3 : 0),
        faults: { remote: { count: 1_000n + so, p50Us: 870, p99Us: 137_000 } },
      }),
      vkernels: [],
    })),
    directory: [],
    endpoints: [create(EndpointSchema, { name: 'node1/pmapd', waitingBytes: 2_048n })],
    processes: Array.from({ length: processes }, (_, i) =>
      create(ProcessSchema, {
        ...{ pid: BigInt(100_001 + i), node: names[i % nodes]!, state: ProcessState.RUNNING },
        ...{ command: [i === 1 ? 'sort.wasm' : 'count.wasm', 'x'.repeat(200)], cpuMs: BigInt(i) * so },
      }),
    ),
    vmspaces: [create(VmspaceSchema, { pid: 100_001n, sharedPages: 9n, waits: [{ what: 'page' }] })],
    dataspaces: ['cold', 'hot'].map((name) => ({
      atMs,
      detail: {
        dataspace: create(DataspaceSchema, { name, sizeBytes: 2n ** 40n, mode: 0o600 }),
        usage: create(DataspaceUsageSchema, {
          ownedPages: { node1: 50n, node2: name === 'hot' ? 10n + so : 10n },
        }),
      },
    })),
    silent: [],
  };
}

const chosen: Chosen = { list: 'processes', sort: 'cpu', filter: '', row: 0 };

test('rates are of the time between two looks; a service that began anew counts from 0', () => {
  const top = topOf(look(), look({ atMs: AT_MS + 2_000, so: 400n }));
  expect(top.nodes[0]).toMatchObject({ pagesInPerS: 200, faults: { remote: { perS: 200, p99Us: 137_000 } } });
  expect(top.processes.map(({ cpuPercent }) => cpuPercent)).toEqual([0, 20, 40]);
  expect(top.processes[0]).toMatchObject({ sharedPages: 9n, waits: 1 });
  expect(top.dataspaces.map(({ name, movedPerS }) => [name, movedPerS])).toEqual([
    ['hot', 200],
    ['cold', 0],
  ]);
  const anew = topOf(look({ so: 10_000n }), look({ atMs: AT_MS + 1_000 }));
  expect(anew.nodes[0]).toMatchObject({ pagesInPerS: 100, faults: { remote: { perS: 1_000 } } });
  // One look has no rates.
  expect(topOf(undefined, look({ so: 7n })).nodes[0]).toMatchObject({ pagesInPerS: 0 });
});

test('a list is sorted, and filtered by what stands in it', () => {
  const top = topOf(look(), look({ atMs: AT_MS + 2_000, so: 400n }));
  const pids = (more: Partial<Chosen>) => rowsOf(top, { ...chosen, ...more }).map(({ pid }) => Number(pid));
  expect(pids({})).toEqual([100_003, 100_002, 100_001]);
  expect(pids({ sort: 'pid' })).toEqual([100_001, 100_002, 100_003]);
  expect(pids({ filter: 'SORT' })).toEqual([100_002]);
  expect(pids({ filter: 'node1' })).toEqual([100_003, 100_001]);
});

test('in any terminal there are no more lines than it has, and the selected one is among them', () => {
  const top = topOf(undefined, look({ nodes: 100, processes: 10_000 }));
  for (const rows of [14, 22, 50])
    for (const row of [0, 5_000, 9_999]) {
      const lines = linesOf(top, { ...chosen, sort: 'pid', row }, rows);
      expect(lines.length).toBeLessThanOrEqual(rows);
      expect(lines.find(({ inverse }) => inverse)?.text).toMatch(`${100_001 + row}`);
    }
});

test('80 columns are enough for all but commands and names', () => {
  const top = topOf(look(), look({ atMs: AT_MS + 1_000, so: 9_000n }));
  const wide = linesOf(top, chosen, 22).filter(({ text }) => text.length > 80);
  expect(wide.every(({ text }) => text.includes('xxx'))).toBe(true);
});

test('queues are a list as the others are, by who has something wait', () => {
  const top = topOf(undefined, look());
  expect(top.queues.map(({ name }) => name)).toEqual(['node1', 'node2', 'clients']);
  const names = (sort: string) =>
    rowsOf(top, { ...chosen, list: 'queues', sort }).map(({ cells }) => cells()[0]);
  expect(names('faults')).toEqual(['node2', 'node1', 'clients']);
  expect(names('unread')).toEqual(['node1', 'node2', 'clients']);
  const text = linesOf(top, { ...chosen, list: 'queues', sort: 'unread' }).map((line) => line.text);
  expect(text.slice(-4)).toEqual([
    expect.stringMatching(/^WAITS AT +FAULTS +OUT +ON THE WAY +CHANGING +PARKED +UNREAD$/),
    expect.stringMatching(/^node1 +0 +0 B +0 B +0 +0 +2 KiB$/),
    expect.stringMatching(/^node2 +3 /),
    expect.stringMatching(/^clients /),
  ]);
});

test('of 100 nodes everything is told where nobody bounds the lines, and fits 80 columns', () => {
  const look100 = (atMs: number, so: bigint) => look({ nodes: 100, processes: 0, atMs, so });
  const top = topOf(look100(AT_MS, 0n), look100(AT_MS + 1_000, 9_000n));
  const all = linesOf(top, { ...chosen, list: 'queues', sort: 'faults' }).map(({ text }) => text);
  expect(all.filter((text) => text.length > 80)).toEqual([]);
  for (let node = 1; node <= 100; node++)
    expect(all.filter((text) => text.startsWith(`node${node} `))).toHaveLength(3);
});
