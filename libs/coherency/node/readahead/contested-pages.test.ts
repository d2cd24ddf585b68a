import { expect, test } from 'vitest';
import { ContestedPages } from './contested-pages.ts';

test('the last ones are remembered, also of a run that is longer than that', () => {
  const contested = new ContestedPages();
  contested.note(7);
  expect([contested.has(7), contested.has(8)]).toEqual([true, false]);
  contested.note(100, 1_000_000);
  expect([contested.has(7), contested.has(100), contested.has(1_000_099)]).toEqual([false, false, true]);
  contested.note(7);
  expect(contested.has(7)).toBe(true);
});
