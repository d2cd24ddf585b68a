// What a shell needs of children, here and on another node: files as their descriptors, and to hear that they were stopped.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster } from '../cluster/cluster.ts';
import { PosixLibrary } from '../posix/library.ts';

let cluster: TestCluster;
let library: PosixLibrary;
const programs = mkdtempSync(join(tmpdir(), 'odonata-programs-'));
const work = mkdtempSync(join(tmpdir(), 'odonata-work-'));

beforeAll(async () => {
  library = await PosixLibrary.build();
  const strict = ['-Wall', '-Wextra', '-Werror'];
  const family = await library.link('family', [join(import.meta.dirname, 'family.c')], strict);
  writeFileSync(join(programs, 'family.wasm'), family);
  cluster = await TestCluster.up({ nodes: 2 });
  // A child on the other node has them there.
  expect(await cluster.vkctl(['allow', '--node', 'node1', programs, work])).toMatchObject({ code: 0 });
  cluster.addModule('family', family);
}, 150_000);
afterAll(async () => {
  await cluster.down();
  await library.close();
  for (const folder of [programs, work]) rmSync(folder, { recursive: true });
}, 90_000);

const dirs = [
  { hostPath: programs, guestPath: '/programs', readOnly: true },
  { hostPath: work, guestPath: '/work', readOnly: false },
];

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

test.for([
  { node: 'node1', seventh: '28 bytes' },
  { node: 'node2', seventh: 'reads: Cross-device link' },
])('files, devices and a shared position, of a child on $node', async ({ node, seventh }) => {
  const lines = (await cluster.output('node1', 'family', ['files', node], { dirs })).trim().split('\n');
  expect(lines).toEqual([...before, seventh, ...after]);
  rmSync(join(work, 'err'));
});

test.for(['node1', 'node2'])('a parent hears that its child on %s was stopped, and goes on', async (node) => {
  const said = await cluster.output('node1', 'family', ['watch', node], { dirs });
  expect(said.trim().split('\n')).toEqual([
    'stopped by STOP',
    '0 more',
    'continued',
    'ended by TERM',
    'SIGCHLD each time',
  ]);
});
