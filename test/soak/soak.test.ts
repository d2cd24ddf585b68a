// A short soak; `make test-long` runs it for long.
import { expect, test } from 'vitest';
import { reportText, soak } from './soak.ts';

test('what runs, floods and kills took is given back', async () => {
  const report = await soak({ minutes: 0.05, nodes: 1 });
  expect(report.grown, reportText(report)).toEqual([]);
  expect(report.done.runs).toBeGreaterThan(10);
  expect(report.done.floods).toBeGreaterThan(0);
  expect(report.done.kills).toBeGreaterThan(10);
}, 240_000);
