// A short soak; `make test-long` runs it for long.
import { expect, test } from 'vitest';
import { reportText, soak } from './soak.ts';

test('what runs, floods and kills took is given back', async () => {
  const report = await soak({ minutes: 0.05, nodes: 1 });
  expect(report.grown, reportText(report)).toEqual([]);
  // How often in the time is the machine's matter.
  expect(report.done.runs).toBeGreaterThan(2);
  expect(report.done.floods).toBeGreaterThan(0);
  expect(report.done.kills).toBeGreaterThan(2);
}, 240_000);
