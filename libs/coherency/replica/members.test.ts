import { expect, test } from 'vitest';
import { expectedOf, leasedOf, Members, type Membership } from './members.ts';

const of = (entries: Record<string, Record<string, Membership>>) =>
  new Map(Object.entries(entries).map(([replica, nodes]) => [replica, new Map(Object.entries(nodes))]));
const held = (incarnation: bigint, life: bigint, heldMs?: number): Membership => ({
  incarnation,
  life,
  ...(heldMs !== undefined && { heldMs }),
});

test('who lived at the last leader is expected; his lease is held for as long as anybody noted', () => {
  const members = of({
    A: { N: held(1n, 5n), M: held(2n, 6n) },
    B: { N: held(1n, 9n, 700), M: held(3n, 8n, 900) },
  });
  expect(expectedOf(members, 'A')).toEqual(
    new Map([
      ['N', held(1n, 5n, 700)],
      ['M', held(2n, 6n)],
    ]),
  );
  expect(expectedOf(members, 'C')).toEqual(new Map());
});

test('who lives at any other replica, and is not expected, may have a lease', () => {
  const members = of({
    A: { N: held(1n, 5n) },
    B: { N: held(1n, 9n), M: held(2n, 8n) },
    C: { M: held(3n, 7n, 400), L: held(4n, 4n, 100) },
    D: { L: held(4n, 3n, 300) },
  });
  expect(leasedOf(members, expectedOf(members, 'A'))).toEqual(
    new Map([
      ['M', held(3n, 7n, 400)],
      ['L', held(4n, 3n, 300)],
    ]),
  );
});

test('a restart buries nobody, and knows whose lease was held', () => {
  const before = new Map([
    ['N', held(1n, 5n, 700)],
    ['M', held(2n, 6n)],
  ]);
  const members = new Members(3n, before);
  expect(members.takeIn('N', 1n)).toEqual({ life: 5n, noted: true, held: true });
  expect(members.takeIn('N', 1n)).toMatchObject({ noted: false, held: false });
  expect(members.takeIn('M', 9n)).toMatchObject({ noted: false, held: false });
});
