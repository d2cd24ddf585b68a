import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AddressMap, type AddressRange } from './address-map.ts';

const range = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 8 }))
  .map(([begin, length]) => ({ address: BigInt(begin), end: BigInt(begin + length) }));

test('says the same as a look at each of them', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 40 }), fc.array(fc.nat({ max: 39 })), (ranges, removed) => {
      const map = new AddressMap<AddressRange>();
      let plain: AddressRange[] = [];
      for (const one of ranges) {
        if (plain.some(({ address, end }) => one.address < end && address < one.end))
          expect(() => map.add(one)).toThrow('overlap');
        else {
          map.add(one);
          plain.push(one);
        }
      }
      for (const at of removed) {
        const gone = plain[at];
        if (gone === undefined) continue;
        expect(map.remove(gone)).toBe(true);
        expect(map.remove(gone)).toBe(false);
        plain = plain.filter((one) => one !== gone);
      }
      plain.sort((a, b) => Number(a.address - b.address));
      expect([...map]).toEqual(plain);
      expect(map.size).toBe(plain.length);
      for (let address = 0n; address < 70n; address++) {
        expect(map.find(address)).toBe(plain.find((one) => one.address <= address && address < one.end));
        expect(map.next(address)).toBe(plain.find((one) => address < one.address));
        for (const end of [address, address + 1n, address + 9n])
          expect(map.overlapping(address, end)).toEqual(
            end === address ? [] : plain.filter((one) => address < one.end && one.address < end),
          );
      }
    }),
    { numRuns: 200 },
  );
});

/** Counts how often the ends of a range are looked at. */
function counted(count: number): { map: AddressMap<AddressRange>; looks: () => number } {
  let looks = 0;
  const map = new AddressMap<AddressRange>();
  for (let i = 0; i < count; i++) {
    const address = BigInt(i * 3);
    map.add({
      get address() {
        looks++;
        return address;
      },
      get end() {
        looks++;
        return address + 2n;
      },
    });
  }
  looks = 0;
  return { map, looks: () => looks };
}

test('looks at some twenty of 65,536, not at half of them', () => {
  const { map, looks } = counted(65_536);
  expect(map.find(3n * 60_000n + 1n)).toBeDefined();
  expect(map.find(3n * 60_000n + 2n)).toBeUndefined();
  expect(looks()).toBeLessThan(40);
});
