import { expect, it } from 'vitest';
import { silentLog } from './log.ts';
import { RefusalLog } from './refusal-log.ts';

it('a flood of refused calls is some lines a second, and their number', () => {
  const lines: object[] = [];
  const log = Object.assign(silentLog(), { info: (line: object) => lines.push(line) });
  let nowMs = 0;
  const refusals = new RefusalLog(log, () => nowMs);
  const refusal = { method: '/a/b', peer: 'p', reason: 'r' };
  for (let i = 0; i < 1_000; i++) refusals.add(refusal);
  expect(lines).toEqual(Array.from({ length: 10 }, () => refusal));
  nowMs = 1_000;
  refusals.add(refusal);
  refusals.add(refusal);
  expect(lines.slice(10)).toEqual([{ ...refusal, leftOut: 990 }, refusal]);
});
