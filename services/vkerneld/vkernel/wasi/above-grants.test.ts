// What is above the grants: it lists what leads to them, leads into them, and has nothing else.
import { openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { entriesAbove, grantsOf, placeAt, placeOf } from './above-grants.ts';
import { DescriptorTable } from './descriptor-table.ts';
import { aboveGrants, addGrant, addNowhere } from './directory-calls.ts';
import { Errno, WasiError } from './errno.ts';

const table = new DescriptorTable();
const grants = ['/work', '/usr/lib/x', 'relative', '/usr/lib/ä'].map((guestPath) => ({
  descriptor: openSync('/tmp', 'r'),
  guestPath,
  readOnly: false,
}));
for (const grant of grants) addGrant(table, grant);
addNowhere(table, grants);
const root = grants.length;

function errnoOf(path: string, above = ''): number | undefined {
  try {
    placeOf(aboveGrants(above), path, grantsOf(table.all()));
    return undefined;
  } catch (error) {
    return (error as WasiError).errno;
  }
}
const preopenAt = (path: string) => {
  const place = placeAt(table, root, 0n, path);
  return !('directory' in place)
    ? place
    : { grant: Buffer.from(place.directory.preopen!).toString(), path: place.path };
};
const listed = (above: string) =>
  entriesAbove(aboveGrants(above), grantsOf(table.all())).map(({ name }) => Buffer.from(name).toString());

test('it leads into a grant, and to what is between', () => {
  expect(preopenAt('.')).toEqual({ above: '' });
  expect(preopenAt('usr/./lib/')).toEqual({ above: 'usr/lib' });
  expect(preopenAt('usr/lib/../..')).toEqual({ above: '' });
  expect(preopenAt('..')).toEqual({ above: '' });
  expect(preopenAt('work')).toEqual({ grant: '/work', path: '.' });
  expect(preopenAt('work/a/../b/')).toEqual({ grant: '/work', path: 'a/../b/' });
  expect(preopenAt('relative/a')).toEqual({ grant: 'relative', path: 'a' });
  expect(preopenAt('usr/lib/x/y')).toEqual({ grant: '/usr/lib/x', path: 'y' });
});

test('nothing else is there', () => {
  for (const path of ['', 'etc', 'usr/bin', 'wor', 'works', 'usr/lib/z', 'a\0b'])
    expect(errnoOf(path)).toBe(Errno.noent);
  expect(errnoOf('/work')).toBe(Errno.notcapable);
});

test('it lists what leads to the grants, once each, with a number', () => {
  expect(listed('')).toEqual(['.', '..', 'work', 'usr', 'relative']);
  expect(listed('usr')).toEqual(['.', '..', 'lib']);
  expect(listed('usr/lib')).toEqual(['.', '..', 'x', 'ä']);
  for (const { inode } of entriesAbove(aboveGrants('usr/lib'), grantsOf(table.all())))
    expect(inode).toBeGreaterThan(0n);
});

test('a grant that the program closed is not there any more, and rights that it gave away are gone', () => {
  table.close(0);
  expect(() => placeAt(table, root, 0n, 'work')).toThrow(WasiError);
  expect(listed('')).not.toContain('work');
  (table.get(1) as { lost?: bigint }).lost = 4n;
  expect(() => placeAt(table, root, 4n, 'usr/lib/x')).toThrow(WasiError);
});
