// What a shell needs of children, here and on another node: files as their descriptors, and to hear that they were stopped.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../cluster/cluster.ts';
import type { Machine } from './machine.ts';

const said = (file: string, ...lines: string[]) => lines.map((line) => `${file}| ${line}`);
const before = [
  ...said('/tmp/both', 'one out', 'one err', 'over'),
  ...said('/work/out', 'two out', 'over', 'three out', 'over'),
  ...said('/work/err', 'two err'),
  ...['two out', 'over', 'three out', 'over', 'over', 'three out', 'over', 'at 28'],
  ...said('/tmp/list', 'four out', 'over', 'five out', 'over', 'end'),
  'cat: No such file or directory',
  'cat: Not supported',
];
const after = said('/tmp/list', 'four out', 'over', 'five out', 'over', 'end', 'to the list');

export function testFiles(machine: Machine): void {
  test.for([
    { node: 'node1', seventh: '28 bytes' },
    { node: 'node2', seventh: 'reads: Cross-device link' },
  ])('files, devices and a shared position, of a child on $node', async ({ node, seventh }) => {
    const lines = (await machine.output('node1', 'files', node)).trim().split('\n');
    expect(lines).toEqual([...before, seventh, ...after]);
    rmSync(join(machine.work, 'err'));
  });

  test.for(['node1', 'node2'])(
    'a parent hears that its child on %s was stopped, and goes on',
    async (node) => {
      const said = await machine.output('node1', 'watch', node);
      expect(said.trim().split('\n')).toEqual([
        'stopped by STOP',
        '0 more',
        'continued',
        'ended by TERM',
        'SIGCHLD each time',
      ]);
    },
  );

  test('what a process has open is told on every node', async () => {
    const { cluster } = machine;
    const elsewhere = await machine.start('node2', 'sleep');
    const pid = await elsewhere.pid;
    const files = (...args: string[]) => cluster.run('node1', 'files', args);
    const names = async () =>
      String((await files('ls', `/proc/${pid}/fd`)).stdout)
        .trim()
        .split('\n');
    await until('they are told', async () => (await names()).length > 4);
    expect((await names()).slice(0, 3)).toEqual(['0', '1', '2']);
    expect(String((await files('cat', `/proc/${pid}/fd/0`, `/proc/${pid}/fd/3`)).stdout)).toBe(
      'standard stream\ngranted folder\n',
    );
    expect((await files('cat', `/proc/${pid}/fd/900`)).stderr).toContain('No such file');
    await elsewhere.signal('SIGKILL');
  });
}
