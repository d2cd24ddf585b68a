import { Role } from '@odonata/proto/auth/v1/access';
import type { CallContext } from '@odonata/rpc/service.ts';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { DATASPACES_MAX, HotPages, PAGES_MAX, type Touch, USERS_MAX, WINDOW_MS } from './hot-pages.ts';
import { hotPagesWire } from './hot-pages-wire.ts';
import {
  DATASPACES_MAX as NAMED_MAX,
  PAGE_NAMES_MAX,
  PEOPLE_MAX,
  RANGES_MAX,
  RangeNames,
} from './range-names.ts';

const touch = (about: Partial<Touch> = {}): Touch => ({
  ...{ pid: 1n, owner: 'alice', vkernel: 'alice/default', write: true, offset: 0, waitedNs: 1e6 },
  ...about,
});

let nowMs: number;
let hot: HotPages;
beforeEach(() => {
  nowMs = 1_000;
  hot = new HotPages(() => nowMs);
});
const pagesOf = (dataspace = 1n) => hot.of(dataspace, PAGES_MAX).pages;

describe('names of ranges', () => {
  it('are told of each page that they lie on', () => {
    const names = new RangeNames();
    expect(names.set('alice', 1n, 4096n, 8192n, 'second')).toBe(true);
    names.set('alice', 1n, 4090n, 4097n, 'across');
    names.set('alice', 1n, 0n, 1n, 'first');
    names.set('alice', 1n, 0n, 1n, 'begin');
    expect(names.ofPage(1n, 0)).toEqual(['begin', 'across']);
    expect(names.ofPage(1n, 1)).toEqual(['across', 'second']);
    expect(names.ofPage(1n, 2)).toEqual([]);
    expect(names.ofPage(2n, 0)).toEqual([]);
    names.set('alice', 1n, 4090n, 4097n, '');
    expect(names.ofPage(1n, 0)).toEqual(['begin']);
  });

  it('are bounded: of a dataspace by refusal, of all by giving way', () => {
    const names = new RangeNames();
    for (let i = 0n; i < BigInt(RANGES_MAX); i++)
      expect(names.set('alice', 1n, i, i + 1n, `${i}`)).toBe(true);
    expect(names.set('alice', 1n, 5000n, 5001n, 'more')).toBe(false);
    expect(names.ofPage(1n, 0)).toHaveLength(PAGE_NAMES_MAX);
    for (let id = 2n; id <= BigInt(NAMED_MAX); id++) names.set('alice', id, 0n, 1n, 'x');
    expect(names.ofPage(1n, 0)).not.toEqual([]);
    names.set('alice', 1_000n, 0n, 1n, 'x');
    expect(names.ofPage(1n, 0)).toEqual([]);
  });
});

describe('people with names', () => {
  it('do not take names from each other', () => {
    const names = new RangeNames();
    names.set('alice', 1n, 0n, 64n, 'hers');
    for (let id = 1n; id < 200n; id++) names.set('mallory', id, 0n, 64n, 'other');
    names.set('mallory', 1n, 0n, 64n, '');
    expect(names.ofPage(1n, 0)).toEqual(['hers']);
    for (let i = 0; i < PEOPLE_MAX; i++) names.set(`p${i}`, 9n, 0n, 1n, 'x');
    expect(names.set('late', 9n, 0n, 1n, 'x')).toBe(false);
    names.forget(9n);
    expect(names.ofPage(9n, 0)).toEqual([]);
    expect(names.set('late', 9n, 0n, 1n, 'x')).toBe(true);
  });
});

describe('whoever asks', () => {
  const caller = (user: string) =>
    ({ scope: 'own', caller: { role: Role.USER, name: user, user: '' } }) as unknown as CallContext;
  const seenBy = (user: string) => {
    const pages = new HotPages(() => 0);
    pages.record(1n, 0, touch({ pid: 1n, owner: 'alice', offset: 0 }));
    pages.record(1n, 0, touch({ pid: 2n, owner: 'bob', offset: 8 }));
    pages.record(1n, 0, touch({ pid: 3n, owner: 'bob', offset: 16 }));
    const about = { ...pages.of(1n, 9), owner: 'alice', namesOf: () => [] };
    return hotPagesWire(about, caller(user)).pages![0]!.users!.map(
      ({ pid, other, vkernel, faults, words }) => ({
        ...{ pid: pid ?? 0n, other: other ?? 0, vkernel: vkernel ?? '', faults },
        word: words?.[0] ?? 0,
      }),
    );
  };

  it('sees processes of others together, and not their bytes', () => {
    expect(seenBy('carol')).toEqual([{ pid: 0n, other: 0, vkernel: '', faults: 3n, word: 0 }]);
    expect(seenBy('bob')).toEqual([
      { pid: 2n, other: 0, vkernel: 'alice/default', faults: 1n, word: 2 },
      { pid: 3n, other: 0, vkernel: 'alice/default', faults: 1n, word: 4 },
      { pid: 0n, other: 0, vkernel: '', faults: 1n, word: 0 },
    ]);
  });

  it('sees the bytes where the dataspace is theirs, and not which processes these are', () => {
    expect(seenBy('alice')).toEqual([
      { pid: 1n, other: 0, vkernel: 'alice/default', faults: 1n, word: 1 },
      { pid: 0n, other: 1, vkernel: '', faults: 1n, word: 2 },
      { pid: 0n, other: 2, vkernel: '', faults: 1n, word: 4 },
    ]);
  });
});

describe('pages that nodes take from each other', () => {
  it('are told with who wanted them, and which words', () => {
    hot.record(1n, 7, touch({ offset: 0 }));
    hot.record(1n, 7, touch({ offset: 4095 }));
    hot.record(1n, 7, touch({ pid: 2n, write: false, offset: 71, waitedNs: 5e6 }));
    hot.record(1n, 3, touch({ offset: undefined }));
    const [first, second] = pagesOf();
    expect(first).toMatchObject({ page: 7, faults: 3, waitedNs: 7e6, otherFaults: 0 });
    const [writer, reader] = first!.users;
    expect(writer).toMatchObject({ pid: 1n, write: true, faults: 2 });
    expect([writer!.words[0], writer!.words[63]]).toEqual([1, 0x80]);
    expect(reader).toMatchObject({ pid: 2n, write: false, faults: 1, waitedNs: 5e6 });
    expect(reader!.words[1]).toBe(1);
    expect(second).toMatchObject({ page: 3, faults: 1 });
    expect(second!.users[0]!.words).toEqual(new Uint8Array(64));
    expect(pagesOf(2n)).toEqual([]);
  });

  it('are those of the last half to whole minute', () => {
    hot.record(1n, 1, touch());
    nowMs += WINDOW_MS;
    hot.record(1n, 2, touch());
    nowMs += 5_000;
    expect(hot.of(1n, 9)).toMatchObject({ spanMs: WINDOW_MS + 5_000, pages: [{ page: 1 }, { page: 2 }] });
    nowMs += WINDOW_MS;
    expect(pagesOf().map(({ page }) => page)).toEqual([2]);
    nowMs += 10 * WINDOW_MS;
    expect(hot.of(1n, 9)).toMatchObject({ spanMs: WINDOW_MS, pages: [] });
  });

  it('have bounds, and the hottest is never missing', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4 * PAGES_MAX), { maxLength: 6 * PAGES_MAX }), (cold) => {
        const pages = new HotPages(() => 0);
        // One fault in four is for the hot page.
        cold.forEach((page, i) => {
          pages.record(1n, page + 1, touch({ pid: BigInt(page) }));
          if (i % 3 === 0) pages.record(1n, 0, touch({ pid: BigInt(i) }));
        });
        const kept = pages.of(1n, 10_000).pages;
        expect(kept.length).toBeLessThanOrEqual(PAGES_MAX);
        const found = kept.find(({ page }) => page === 0);
        expect(found?.faults ?? 0).toBeGreaterThanOrEqual(Math.ceil(cold.length / 3));
        for (const { users, faults, otherFaults } of kept) {
          expect(users.length).toBeLessThanOrEqual(USERS_MAX);
          expect(users.reduce((sum, user) => sum + user.faults, otherFaults)).toBe(faults);
        }
      }),
      { numRuns: 50 },
    );
    for (let i = 0; i < 9; i++) hot.record(1_000n, 7, touch());
    for (let id = 0n; id < 100n; id++) hot.record(id, 1, touch());
    expect(hot.size).toBe(DATASPACES_MAX);
    expect(pagesOf(1_000n)).toMatchObject([{ page: 7, faults: 9 }]);
    // One that comes when all have some has its place as soon as it is hotter.
    for (let i = 0; i < 9; i++) hot.record(2_000n, 3, touch());
    expect(pagesOf(2_000n)).toMatchObject([{ page: 3 }]);
  });
});
