import { Code } from '@odonata/rpc/error.ts';
import { expect, test } from 'vitest';
import { Errno } from './errno.ts';
import { errnoOf, errnoOfSync } from './wasi-errno.ts';

test('what is exhausted is memory, and of a sync the disk', () => {
  expect(errnoOf(Code.ResourceExhausted)).toBe(Errno.nomem);
  expect(errnoOfSync(Code.ResourceExhausted)).toBe(Errno.nospc);
  expect(errnoOfSync(Code.Unavailable)).toBe(errnoOf(Code.Unavailable));
});
