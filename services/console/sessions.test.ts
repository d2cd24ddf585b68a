import { expect, test } from 'vitest';
import { SESSIONS_A_PERSON, Sessions } from './sessions.ts';
import type { Watch } from './watch.ts';

const watchOf = (who: string) => ({ who, refused: false }) as Watch;

test('whoever logs in over and over keeps nobody else out, and ends only sessions of their own', () => {
  const ended: Watch[] = [];
  const sessions = new Sessions(60_000, (watch) => ended.push(watch));
  const [alice, mallory] = [watchOf('alice'), watchOf('mallory')];
  const hers = sessions.begin(alice, Number.POSITIVE_INFINITY, 0)!;
  const first = sessions.begin(mallory, Number.POSITIVE_INFINITY, 1)!;
  for (let i = 0; i < 1_000; i++)
    expect(sessions.begin(mallory, Number.POSITIVE_INFINITY, 2 + i)).toBeDefined();
  expect(sessions.size).toBe(1 + SESSIONS_A_PERSON);
  expect(sessions.find(first.cookie, 2_000)).toBeUndefined();
  expect(first.session.over.signal.aborted).toBe(true);
  expect(sessions.find(hers.cookie, 2_000)).toBe(hers.session);
  expect(new Set(ended)).toEqual(new Set([mallory]));
});
