import { expect, test } from 'vitest';
import { InOrder } from './in-order.ts';

test('work of one key runs one after another, also after a failure; other keys do not wait', async () => {
  const order = new InOrder<string>();
  const said: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = order.run('a', async () => {
    await gate.promise;
    said.push('a1');
    throw new Error('a1 fails');
  });
  const second = order.run('a', async () => said.push('a2'));
  await order.run('b', async () => said.push('b1'));
  expect(said).toEqual(['b1']);
  gate.resolve();
  await expect(first).rejects.toThrow('a1 fails');
  expect(await second).toBe(3);
  expect(said).toEqual(['b1', 'a1', 'a2']);
});
