import { Code } from '@odonata/rpc/error.ts';
import { expect, test } from 'vitest';
import { Errno } from './errno.ts';
import { codeOf, errnoOf, errnoOfSync } from './wasi-errno.ts';

test('what is exhausted is memory, and of a sync the disk', () => {
  expect(errnoOf(Code.ResourceExhausted)).toBe(Errno.nomem);
  expect(errnoOfSync(Code.ResourceExhausted)).toBe(Errno.nospc);
  expect(errnoOfSync(Code.Unavailable)).toBe(errnoOf(Code.Unavailable));
});

test('an error of a service is the same as an errno and back', () => {
  for (const code of [
    Code.NotFound,
    Code.AlreadyExists,
    Code.PermissionDenied,
    Code.DeadlineExceeded,
    Code.Cancelled,
  ])
    expect(codeOf(errnoOf(code))).toBe(code);
  expect(codeOf(Errno.notsock)).toBe(Code.Unknown);
});
