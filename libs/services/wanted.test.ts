import { expect, it } from 'vitest';
import {
  folderOn,
  vkernelOn,
  type WantedFolder,
  wantedIn,
  withFolder,
  withoutVkernel,
  withVkernel,
} from './wanted.ts';

const web = { user: 'alice', name: 'web' };
const of = (node = '') => ({ ...web, node });
const folder = (
  before: WantedFolder | undefined,
  wish: 'read' | 'write' | 'none',
  node = '',
  away: string[] = [],
) => withFolder(before, { path: '/data', node, away }, wish);

it('what is said of all nodes holds for later ones, and what is said of one goes before it there', () => {
  const all = withVkernel(undefined, of(), { quota: { processes: 3, cpuWeight: 10 } });
  const one = withVkernel(all, of('node2'), { quota: { processes: 5 } });
  expect(vkernelOn(one, 'node9')).toEqual({ quota: { processes: 3, cpuWeight: 10 } });
  expect(vkernelOn(one, 'node2')).toEqual({ quota: { processes: 5, cpuWeight: 10 } });
  // Of all again: what is named changes everywhere, and nothing else does.
  const names = { listen: [], connect: ['bob:db'], none: false };
  const again = withVkernel(one, of(), { quota: { cpuWeight: 20 }, names });
  expect(vkernelOn(again, 'node2')).toEqual({ quota: { processes: 5, cpuWeight: 20 }, names });
  expect(vkernelOn(again, 'constructor')).toEqual({ quota: { processes: 3, cpuWeight: 20 }, names });
  expect(wantedIn(JSON.stringify(again))).toEqual(again);
});

it('what is forgotten of one node stays for the others; the last that goes takes the record along', () => {
  const all = withVkernel(undefined, of(), { quota: { processes: 3 } });
  const without = withoutVkernel(all, 'node2')!;
  expect([vkernelOn(without, 'node2'), vkernelOn(without, 'node1')]).toEqual([undefined, all.all]);
  expect(withoutVkernel(without, '')).toBeUndefined();
  expect(withoutVkernel(withVkernel(undefined, of('node2'), { quota: {} }), 'node2')).toBeUndefined();
  const more = withVkernel(without, of(), { quota: { processes: 4 } });
  expect([vkernelOn(more, 'node2'), vkernelOn(more, 'node1')]).toEqual([
    undefined,
    { quota: { processes: 4 } },
  ]);
});

it('a folder is allowed on all, on one, or no more, also for nodes that did not hear it', () => {
  const all = folder(undefined, 'write')!;
  const read = folder(all, 'read', 'node2')!;
  expect([folderOn(read, 'node1'), folderOn(read, 'node2')]).toEqual(['write', 'read']);
  const none = folder(read, 'none', 'node3')!;
  expect([folderOn(none, 'node3'), folderOn(none, 'node4')]).toEqual(['none', 'write']);
  expect(folderOn(folder(none, 'read')!, 'node3')).toBe('read');
  expect(folder(none, 'none')).toBeUndefined();
  const away = folder(none, 'none', '', ['node3'])!;
  expect([folderOn(away, 'node3'), folderOn(away, 'node1')]).toEqual(['none', undefined]);
});

it.each(['', '{', '{"kind":"folder"}', '{"kind":"service"}', 'null', '[]'])(
  '%j is no such record',
  (text) => {
    expect(wantedIn(text)).toBeUndefined();
  },
);
