// Where children run whose node nobody names: apart from each other, beside the pages of a dataspace, spread.
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { Machine } from './machine.ts';

export function testPlaces(machine: Machine): void {
  beforeAll(async () => {
    await machine.cluster.vkctl(['ds', 'create', 'table', '64K', '--node', 'node3']);
  });
  const lines = async (node: string, ...args: string[]) =>
    (await machine.cluster.output(node, 'places', args, { dirs: machine.dirs })).trim().split('\n');
  const nodeOf = async (...args: string[]) => {
    const { code, stdout, stderr } = await machine.cluster.vkctl([
      'run',
      '-d',
      '--json',
      ...args,
      join(machine.programs, 'places.wasm'),
      'sleep',
    ]);
    if (code !== 0) throw new Error(stderr);
    return (JSON.parse(stdout) as { node: string }).node;
  };

  test('a child goes where most pages of a dataspace are; of none that may be read it is said', async () => {
    expect(await lines('node1', 'near', 'table')).toEqual(['node3']);
    expect(await lines('node3', 'near', 'table')).toEqual(['node3']);
    expect(await lines('node1', 'near', 'no-such')).toEqual(['No such file or directory']);
  });

  test('children that are to be apart are, until there is no node', async () => {
    const places = await lines('node1', 'apart', '3');
    expect(places.slice(0, 2).sort()).toEqual(['node2', 'node3']);
    expect(places[2]).toBe('Host is unreachable');
    expect(await lines('node3', 'apart', '2', 'table')).toEqual(['node1', 'node2']);
  });

  test('vkctl run: near, apart and spread', async () => {
    expect(await nodeOf('--near', 'table')).toBe('node3');
    expect(await nodeOf('--near', 'table', '--apart-from', 'node3', '--apart-from', '100001')).toBe('node2');
    const spread = [];
    for (let i = 0; i < 3; i++) spread.push(await nodeOf('--vkernel', 'web', '--spread'));
    expect(spread.sort()).toEqual(['node1', 'node2', 'node3']);
    const nowhere = ['--apart-from', 'node1', '--apart-from', 'node2', '--apart-from', 'node3'];
    await expect(nodeOf(...nowhere)).rejects.toThrow('but node1, node2, node3 takes programs now');
    await expect(nodeOf('--near', 'nothing')).rejects.toThrow('nothing');
    await expect(nodeOf('--node', 'node1', '--spread')).rejects.toThrow('cannot be used with');
  });
}
