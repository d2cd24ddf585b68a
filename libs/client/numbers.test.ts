import { Code, RpcError } from '@odonata/rpc/error.ts';
import { expect, test } from 'vitest';
import { bytesOf, countOf, placeOf, timeoutOf } from './numbers.ts';

const refusal = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (RpcError.is(error, Code.InvalidArgument)) return error.details;
    throw error;
  }
  return '';
};

test('times are whole milliseconds, never less than was asked, or for ever', () => {
  expect([undefined, Number.POSITIVE_INFINITY, 0, 0.2, 1.5, 1e300].map(timeoutOf)).toEqual([
    ...[-1n, -1n, 0n, 1n, 2n, BigInt(Number.MAX_SAFE_INTEGER)],
  ]);
});

test('what is no such number is refused in one line', () => {
  expect([bytesOf('x', 4096), placeOf('x', -1), countOf('x', 2 ** 40)]).toEqual([4096n, -1n, 0x7fff_ffff]);
  for (const bad of [Number.NaN, 0.5, 2 ** 53, Number.NEGATIVE_INFINITY]) {
    expect(refusal(() => bytesOf('length', bad))).toBe(
      `length: a whole number of bytes from 0 on, not ${bad}`,
    );
    expect(refusal(() => placeOf('offset', bad))).toBe(`offset: a whole number, not ${bad}`);
  }
  expect(refusal(() => bytesOf('offset', -4096))).not.toBe('');
  expect(refusal(() => countOf('count', -1))).not.toBe('');
  for (const bad of [-1, Number.NaN]) expect(refusal(() => timeoutOf(bad))).toContain(`not ${bad}`);
});
