// What CI has time for: configurations that hold, and mutants.
import { expect, test } from 'vitest';
import { CONFIGURATIONS, MUTANTS, OPEN } from './configurations.ts';
import { check } from './spin.ts';

test.each(CONFIGURATIONS.filter((c) => !c.long))('$name holds', async (configuration) => {
  expect(await check(configuration)).toMatchObject({ verdict: 'HOLDS', violation: '' });
});

test.each([...MUTANTS, ...OPEN].filter((c) => !c.long))('$name is refuted', async (configuration) => {
  expect(await check(configuration)).toMatchObject({ verdict: 'REFUTED' });
});
