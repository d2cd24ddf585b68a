import { expect, test } from 'vitest';
import { Home } from './home.ts';

const run = (firstPage: number, pageCount = 1) => ({ dataspace: 1n, firstPage, pageCount });

function homeOf({ mapped = true } = {}) {
  const done: string[] = [];
  const tables = {
    protect: (holder: number, { firstPage }: { firstPage: number }) =>
      done.push(`protect ${firstPage} of ${holder}`),
    unmap: ({ firstPage }: { firstPage: number }) => done.push(`unmap ${firstPage}`),
    isMapped: () => mapped,
  };
  const home = new Home(tables);
  home.create(1n, 64);
  return { home, done };
}

test('a writer is protected before everybody loses the page, and the next one gets it at once', () => {
  const { home, done } = homeOf();
  const [one, other] = [home.join(), home.join()];
  expect(home.takeFor(one, run(3), 'WRITE', 1, false)).toMatchObject([{ holder: one, state: 'MODIFIED' }]);
  expect(home.takeFor(other, run(3), 'WRITE', 1, false)).toMatchObject([
    { holder: other, state: 'MODIFIED' },
  ]);
  expect(done).toEqual([`protect 3 of ${one}`, 'unmap 3']);
});

test('the node takes what it needs, and keeps no claim', () => {
  const { home, done } = homeOf();
  const one = home.join();
  home.takeFor(one, run(0, 4), 'WRITE', 4, false);
  home.takeForNode(run(0, 2), 'READ');
  expect(done).toEqual([`protect 0 of ${one}`]);
  home.takeForNode(run(2, 2), 'WRITE');
  expect(done.slice(1)).toEqual([`protect 2 of ${one}`, 'unmap 2']);
  expect(home.inspect(1n, 2)).toMatchObject({ owner: 0, sharers: [] });
});

test('what nobody maps is not taken from anybody', () => {
  const { home, done } = homeOf({ mapped: false });
  home.takeFor(home.join(), run(0), 'WRITE', 1, false);
  home.takeForNode(run(0), 'WRITE');
  expect(done).toEqual([]);
});

test('a virtual kernel that left has nothing that must be taken away', () => {
  const { home, done } = homeOf();
  const [one, other] = [home.join(), home.join()];
  home.takeFor(one, run(0), 'WRITE', 1, false);
  home.leave(one);
  expect(home.has(one)).toBe(false);
  expect(home.takeFor(other, run(0), 'READ', 1, true)).toMatchObject([{ holder: other, state: 'EXCLUSIVE' }]);
  expect(done).toEqual([]);
});
