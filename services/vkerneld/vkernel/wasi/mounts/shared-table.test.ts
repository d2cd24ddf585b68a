// Devices and mounted files in the table of a process of several threads: each thread sees the same.
import { expect, test } from 'vitest';
import { Filetype } from '../abi.ts';
import { ConnectionTable } from '../connection-table.ts';
import type { MountedFileDescriptor } from '../descriptor-table.ts';
import { aboveGrants } from '../directory-calls.ts';
import { utf8 } from '../guest-memory.ts';
import { SharedDescriptors } from '../shared-descriptors.ts';

const host = {
  adopt: (): number => {
    throw new Error('none of these is of the host');
  },
  close: () => {
    throw new Error('none of these is of the host');
  },
  replace: () => {},
};
const memory = SharedDescriptors.memory();
const closed: number[] = [];
const tableOf = (): SharedDescriptors => {
  const table = new SharedDescriptors(memory, new ConnectionTable(), host, [utf8('/')]);
  table.closeMounted = (handle) => closed.push(handle);
  return table;
};
const about = { flags: 1, rights: 7n, inheriting: 3n, lost: 2n };

test('a device, a mounted file with its position, a mounted folder, and /dev itself', () => {
  const [one, other] = [tableOf(), tableOf()];
  expect(one.add(aboveGrants('', utf8('/')))).toBe(0);
  expect(one.add(aboveGrants('dev/fd'))).toBe(1);
  expect(one.add({ kind: 'device', device: 'urandom', ...about })).toBe(2);
  const file = { handle: 77, filetype: Filetype.regularFile, positionBytes: 5n, ...about };
  expect(one.add({ kind: 'mounted-file', ...file })).toBe(3);
  expect(
    one.add({ kind: 'mounted-folder', handle: 78, preopen: undefined, listing: undefined, ...about }),
  ).toBe(4);
  expect(other.get(1)).toMatchObject({ kind: 'nowhere', above: 'dev/fd' });
  expect(other.get(2)).toMatchObject({ kind: 'device', device: 'urandom', flags: 1, rights: 7n });
  const mounted = other.get(3) as MountedFileDescriptor;
  expect(mounted).toMatchObject({ kind: 'mounted-file', handle: 77, filetype: Filetype.regularFile });
  const letGo = other.holdPosition(mounted);
  mounted.positionBytes += 1n;
  letGo();
  expect((one.get(3) as MountedFileDescriptor).positionBytes).toBe(6n);
  expect(other.get(4)).toMatchObject({ kind: 'mounted-folder', handle: 78 });
  expect(other.numbers()).toEqual([0, 1, 2, 3, 4]);
  one.release();
  other.release();
});

test('closed once, by whoever is the last that uses it', () => {
  const [one, other] = [tableOf(), tableOf()];
  other.get(3);
  one.close(3);
  one.close(4);
  expect(closed).toEqual([78]);
  one.release();
  other.release();
  expect(closed).toEqual([78, 77]);
  expect(one.numbers()).toEqual([0, 1, 2]);
});
