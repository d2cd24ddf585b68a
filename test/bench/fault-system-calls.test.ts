import { expect, test } from 'vitest';
import { callsOf } from './fault-system-calls.ts';

test('what strace counts is read, with errors and without', () => {
  const text = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000120           1       400           ioctl
 40.00    0.000080           1       600        12 read
  0.00    0.000000           0         2           close
------ ----------- ----------- --------- --------- ----------------
100.00    0.000200           1      1002        12 total
`;
  expect(callsOf(text, 200)).toEqual([
    { name: 'read', count: 3 },
    { name: 'ioctl', count: 2 },
    { name: 'close', count: 0.01 },
  ]);
});
