import { expect, test } from 'vitest';
import { Failure } from './failure.ts';
import { formatSize, formatSpan, parseSize } from './size.ts';

test.each([
  ['4096', 4096],
  ['64K', 65_536],
  ['1.5GiB', 1.5 * 2 ** 30],
  ['256M', 2 ** 28],
  ['2tb', 2 ** 41],
])('%s is %d bytes', (text, bytes) => {
  expect(parseSize(text, 'size')).toBe(bytes);
});

test.each(['', '0', '-1', '12Q', 'M', '9999999T', '1 2'])('"%s" is no size', (text) => {
  expect(() => parseSize(text, '--memory')).toThrow(Failure);
});

test('sizes and spans for people', () => {
  expect([0, 17, 4096, 1536, 2 ** 30, 150.4 * 2 ** 20].map(formatSize)).toEqual([
    '0 B',
    '17 B',
    '4 KiB',
    '1.5 KiB',
    '1 GiB',
    '150 MiB',
  ]);
  expect([5, 12_000, 185_000, 7_800_000, 356_400_000].map(formatSpan)).toEqual([
    '5ms',
    '12s',
    '3m05s',
    '2h10m',
    '4d03h',
  ]);
});
