// What the cluster wants of a node, taken by real quotas and real folders.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '@odonata/rpc/log.ts';
import { type WantedRecord, wantedFolderKey, wantedVkernelKey } from '@odonata/services/wanted.ts';
import { afterAll, expect, it } from 'vitest';
import { AllowedDirectories } from '../allowed-directories.ts';
import { VkernelNames } from '../names/vkernel-names.ts';
import { keyOf } from '../vkernel-child.ts';
import { VkernelQuotas } from '../vkernel-quotas.ts';
import { TakenRecordFile } from './taken-record.ts';
import { WantedHere } from './wanted-here.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-wanted-'));
const [first, data, later] = ['first', 'data', 'later'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
for (const each of [first, data]) mkdirSync(each);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let sockets = 0;
function node(lodges = false, socketDir = join(folder, `s${++sockets}`)) {
  mkdirSync(socketDir, { recursive: true });
  const quotas = new VkernelQuotas([], keyOf, () => undefined);
  const names = new VkernelNames([], keyOf);
  const directories = new AllowedDirectories([first], 'node2', silentLog());
  const changed: string[] = [];
  const make = () =>
    new WantedHere({
      ...{ node: 'node2', quotas, names, directories, lodges, log: silentLog() },
      file: new TakenRecordFile(socketDir, silentLog()),
      changed: (key) => changed.push(key),
    });
  return {
    quotas,
    directories,
    changed,
    here: make(),
    make,
    paths: () => directories.list().map(({ path }) => path),
  };
}
const entry = (revision: number, record: WantedRecord) => ({
  key: record.kind === 'folder' ? wantedFolderKey(record.path) : wantedVkernelKey(record.user, record.name),
  revision,
  record,
});
const web = (only: Record<string, { quota: { processes: number } } | null>): WantedRecord => ({
  ...{ kind: 'vkernel', user: 'alice', name: 'web', all: { quota: { processes: 3 } }, only },
});
const path = (of: string, only: Record<string, 'write' | 'read' | 'none'> = {}): WantedRecord => ({
  ...{ kind: 'folder', path: of, all: 'write', only },
});

it('takes what is said of all and of itself once, and gives it up when it is said no more', async () => {
  const { here, quotas, changed, paths, make } = node();
  await here.take(5, [entry(4, web({})), entry(5, path(data))]);
  expect([quotas.of('alice/web').processes, paths()]).toEqual([3, [data, first]]);
  await here.take(5, [entry(4, web({})), entry(5, path(data))]);
  expect(changed).toEqual(['alice/web']);
  await here.take(7, [
    entry(6, web({ node2: { quota: { processes: 9 } } })),
    entry(7, path(data, { node1: 'none' })),
  ]);
  expect([quotas.of('alice/web').processes, paths()]).toEqual([9, [data, first]]);
  // A replica that is behind says nothing.
  await here.take(5, [entry(4, web({}))]);
  expect([quotas.of('alice/web').processes, paths()]).toEqual([9, [data, first]]);
  // The next supervisor knows what this one took.
  await make().take(8, []);
  expect([quotas.has('alice/web'), paths()]).toEqual([false, [first]]);
});

it('has not what is taken from it alone, also of what it was started with', async () => {
  const { here, quotas, paths } = node();
  quotas.set('alice/web', { user: 'alice', name: 'web' }, { processes: 5 }, true);
  await here.take(2, [entry(1, web({ node2: null })), entry(2, path(first, { node2: 'none' }))]);
  expect([quotas.has('alice/web'), paths()]).toEqual([false, []]);
});

it('a folder that is not there yet is taken when it is', async () => {
  const { here, paths } = node();
  await here.take(1, [entry(1, path(later))]);
  expect(paths()).toEqual([first]);
  mkdirSync(later);
  await here.take(1, [entry(1, path(later))]);
  expect(paths()).toEqual([first, later]);
});

it('on a machine of another cluster no folder is anybody’s, whatever is wanted', async () => {
  const { here, paths, quotas } = node(true);
  await here.take(2, [entry(1, path(data)), entry(2, web({}))]);
  await here.take(3, [entry(3, path(first, { node2: 'none' }))]);
  expect([paths(), quotas.has('alice/web')]).toEqual([[first], false]);
});
