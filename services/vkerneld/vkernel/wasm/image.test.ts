// With its image laid under it a module finds the memory that it would have written itself.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assemble } from '../testdata/programs.ts';
import { IMAGE_PAGES_MIN, IMAGE_SPANS_MAX, PAGE_BYTES } from './image.ts';
import { prepareModule } from './module.ts';

const MEMORY_BYTES = 20 * 65_536;

interface Written {
  readonly address: number;
  readonly bytes: Uint8Array;
}

const text = (bytes: Uint8Array): string =>
  `"${[...bytes].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('')}"`;

/** @param passive where it is written when it is asked for, and not before */
const moduleOf = (segments: readonly Written[], passive: Uint8Array): Uint8Array<ArrayBuffer> =>
  assemble(`(module
    (memory (export "memory") ${MEMORY_BYTES / 65_536})
    ${segments.map(({ address, bytes }) => `(data (i32.const ${address | 0}) ${text(bytes)})`).join('\n')}
    (data $late ${text(passive)})
    (func (export "late") (memory.init $late (i32.const 5000) (i32.const 0) (i32.const ${passive.length})))
    (func (export "_start")))`);

function memoryOf(bytes: Uint8Array<ArrayBuffer>): { memory: Uint8Array; imagePages: number } {
  const prepared = prepareModule(bytes, () => true);
  const { initialPages: initial, maximumPages: maximum, image } = prepared;
  const memory = new WebAssembly.Memory({ initial, maximum, shared: true });
  const seen = new Uint8Array(memory.buffer);
  for (const { firstPage, pageCount, imagePage } of image?.spans ?? []) {
    const from = imagePage * PAGE_BYTES;
    seen.set(image!.bytes.subarray(from, from + pageCount * PAGE_BYTES), firstPage * PAGE_BYTES);
  }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(prepared.bytes), {
    odonata_vkernel: { memory },
  });
  (exports.late as () => void)();
  return { memory: seen, imagePages: (image?.bytes.length ?? 0) / PAGE_BYTES };
}

function plainMemoryOf(bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  (exports.late as () => void)();
  return new Uint8Array((exports.memory as WebAssembly.Memory).buffer);
}

const some = (length: number, value: number): Uint8Array => Uint8Array.from({ length }, (_, i) => value + i);

const segment = fc
  .record({
    address: fc.integer({ min: 0, max: MEMORY_BYTES - 1 }),
    length: fc.oneof(fc.nat(20), fc.nat(9_000), fc.integer({ min: 200_000, max: 280_000 })),
    value: fc.oneof(fc.constant(0), fc.nat(255)),
  })
  .map(({ address, length, value }) => ({
    address,
    bytes:
      value === 0
        ? new Uint8Array(Math.min(length, MEMORY_BYTES - address))
        : some(Math.min(length, MEMORY_BYTES - address), value),
  }));

test('whatever segments it has, over each other, of zeros, and such as are written late', () => {
  let withImage = 0;
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
      const bytes = moduleOf(segments, some(300, 7));
      const { memory, imagePages } = memoryOf(bytes);
      expect(Buffer.compare(memory, plainMemoryOf(bytes))).toBe(0);
      if (imagePages > 0) withImage += 1;
    }),
    { numRuns: 5, examples: [[[{ address: 100, bytes: some(300_000, 1) }]]] },
  );
  expect(withImage).toBeGreaterThan(0);
});

test('little is no image, zeros are in none, and what does not fit is left to V8', () => {
  const pages = (bytes: Uint8Array, address = 65_536): number =>
    memoryOf(moduleOf([{ address, bytes }], some(1, 1))).imagePages;
  expect(pages(some((IMAGE_PAGES_MIN - 1) * PAGE_BYTES, 1))).toBe(0);
  expect(pages(some(IMAGE_PAGES_MIN * PAGE_BYTES, 1))).toBe(IMAGE_PAGES_MIN);
  expect(pages(new Uint8Array(500_000))).toBe(0);
  const holed = some(900_000, 1);
  holed.fill(0, 100_000, 700_000);
  expect(pages(holed)).toBeLessThan(80);
  const beyond = moduleOf([{ address: MEMORY_BYTES - 1, bytes: some(300_000, 1) }], some(1, 1));
  expect(prepareModule(beyond, () => true).image).toBeUndefined();
});

test('more places than there may be become fewer, where not more zeros come along than bytes', () => {
  const places = 100;
  const held = 20;
  const image = (apartPages: number) => {
    // A byte of each page.
    const segments = Array.from({ length: places * held }, (_, i) => ({
      address: (Math.floor(i / held) * (held + apartPages) + (i % held)) * PAGE_BYTES + i,
      bytes: Uint8Array.of((i % 255) + 1),
    }));
    const module = assemble(`(module (memory 1000)
      ${segments.map(({ address, bytes }) => `(data (i32.const ${address}) ${text(bytes)})`).join('\n')}
      (func (export "_start")))`);
    return { segments, image: prepareModule(module, () => true).image };
  };
  const { segments, image: made } = image(18);
  expect(made!.spans.length).toBeLessThanOrEqual(IMAGE_SPANS_MAX);
  expect(made!.bytes.length / PAGE_BYTES).toBeLessThanOrEqual(2 * places * held);
  const seen = new Uint8Array(1_000 * 65_536);
  for (const { firstPage, pageCount, imagePage } of made!.spans)
    seen.set(
      made!.bytes.subarray(imagePage * PAGE_BYTES, (imagePage + pageCount) * PAGE_BYTES),
      firstPage * PAGE_BYTES,
    );
  const wanted = new Uint8Array(seen.length);
  for (const { address, bytes } of segments) wanted.set(bytes, address);
  expect(Buffer.compare(seen, wanted)).toBe(0);
  expect(image(60).image).toBeUndefined();
});
