// Bounds, leases and turns.
import { expect, test } from 'vitest';
import {
  type Holder,
  inTurn,
  isName,
  mayUse,
  NAME_LEASE_MS,
  NAMES_OF_ENDPOINT,
  NAMES_OF_PERSON,
  NAMES_OF_ROUTER,
  NameTable,
} from './name-table.ts';

const claim = (name: string, more = {}) => {
  return { name, load: 0, unwell: false, everyone: false, groups: [], leaseMs: 0, ...more };
};
const who = (sysid: bigint) => ({ sysid, session: 1n, endpoint: '' });
const holder = (sysid: bigint, more: Partial<Holder> = {}): Holder => {
  const { leaseMs: _, ...said } = claim('alice:web');
  return { ...said, ...who(sysid), hops: 0, router: '', ...more };
};

test('what is a name', () => {
  expect(['alice:web', ':clock', 'a_b-1:x/y.z'].filter((name) => !isName(name))).toEqual([]);
  const none = [
    'web',
    'alice:',
    ':',
    'Alice:web',
    'alice:a b',
    'alice:a:b',
    `alice:${'x'.repeat(65)}`,
    '',
    'alice:\n',
  ];
  expect(none.filter(isName)).toEqual([]);
});

test('an endpoint and a router have so many names; those that go make room', () => {
  const table = new NameTable();
  for (let i = 0; i < NAMES_OF_ENDPOINT; i++)
    expect(table.register(who(1n), claim(`a:${i}`), 0)).toBeUndefined();
  expect(table.register(who(1n), claim('a:more'), 0)).toMatch(/an endpoint has 256/);
  expect(table.register(who(1n), claim('a:0', { load: 7 }), 0)).toBeUndefined();
  for (let i = NAMES_OF_ENDPOINT; i < NAMES_OF_ROUTER; i++)
    table.register(who(BigInt(2 + (i >> 7))), claim(`${i % 2 === 0 ? 'a' : 'b'}${i >> 8}:${i}`), 0);
  expect(table.holders()).toHaveLength(NAMES_OF_ROUTER);
  expect(table.register(who(99n), claim('a:more'), 0)).toMatch(/a router has 1024/);
  table.gone(1n);
  expect(table.holders()).toHaveLength(NAMES_OF_ROUTER - NAMES_OF_ENDPOINT);
  expect(table.register(who(99n), claim('a:more'), 0)).toBeUndefined();
});

test('one person takes no router from the others, by whatever number of endpoints', () => {
  const table = new NameTable();
  for (let i = 0; i < NAMES_OF_PERSON; i++)
    expect(table.register(who(BigInt(1 + (i >> 7))), claim(`a:${i}`), 0)).toBeUndefined();
  expect(table.register(who(98n), claim('a:more'), 0)).toMatch(/^a has 512 names at this router/);
  expect(table.register(who(1n), claim('a:0', { load: 7 }), 0)).toBeUndefined();
  expect(table.register(who(99n), claim('b:web'), 0)).toBeUndefined();
  table.gone(1n);
  expect(table.register(who(98n), claim('a:more'), 0)).toBeUndefined();
});

test('a lease ends where it is not said again; others hear of changes alone', () => {
  const table = new NameTable();
  table.register(who(1n), claim('a:x'), 0);
  const { version } = table;
  table.register(who(1n), claim('a:x'), NAME_LEASE_MS - 1);
  table.tick(NAME_LEASE_MS);
  expect([table.holders('a:x').length, table.version]).toEqual([1, version]);
  table.tick(2 * NAME_LEASE_MS);
  expect([table.holders('a:x').length, table.version > version]).toEqual([0, true]);
});

test('whose turn it is: the well, then the least load, then who has least from here, then the nearest', () => {
  const holders = [
    holder(1n, { unwell: true }),
    holder(2n, { load: 2 }),
    holder(3n, { hops: 2 }),
    holder(4n, { hops: 1 }),
    holder(5n),
  ];
  const order = inTurn(holders, (sysid) => (sysid === 5n ? 1 : 0)).map(({ sysid }) => Number(sysid));
  expect(order).toEqual([4, 3, 5, 2, 1]);
});

test('who may use it', () => {
  const asks = (user: string | undefined, groups: string[], more: Partial<Holder>) =>
    mayUse({ user, groups, all: false }, holder(1n, more));
  expect(asks('alice', [], {})).toBe(true);
  expect(asks('bob', ['chess'], {})).toBe(false);
  expect(asks('bob', ['chess'], { groups: ['go', 'chess'] })).toBe(true);
  expect(asks('bob', [], { everyone: true })).toBe(true);
  // Nobody is the owner of what is the cluster's, least of all who has no name.
  expect(asks(undefined, [], { name: ':clock' })).toBe(false);
  expect(asks('', [], { name: ':clock' })).toBe(false);
});
