// Input on another node: what is asked for, and when.
import { InputState } from '@odonata/proto/vkernel/v1/vkernel';
import { expect, test } from 'vitest';
import { AskedInput } from './asked-input.ts';

test('a read asks once, waits while nothing is there, and asks again when something is', async () => {
  const asks: number[] = [];
  const input = new AskedInput((maxBytes) => asks.push(maxBytes));
  expect(asks).toEqual([]);
  const both = Promise.all([input.request(10), input.request(20)]);
  expect(asks).toEqual([10]);
  input.said(InputState.WAITS);
  await both;
  await input.request(10);
  expect({ asks, isReady: input.isReady }).toEqual({ asks: [10], isReady: false });
  const ready = input.whenReadable(-1);
  input.said(InputState.READY);
  await ready;
  await input.request(0);
  const read = input.request(10);
  expect(asks).toEqual([10, 10]);
  input.push(Buffer.from('ab'));
  await read;
  expect(Buffer.from(input.take(1)).toString()).toBe('a');
  // What is there is not asked for; what is left at the end goes back.
  await input.request(10);
  expect(asks).toEqual([10, 10]);
  expect(input.leave().map(String)).toEqual(['b']);
});

test('a read gets nothing, once or for good', async () => {
  const input = new AskedInput(() => {});
  const read = input.request(10);
  input.said(InputState.END_ONCE);
  await read;
  expect({ readable: input.readable, ended: input.ended }).toEqual({ readable: true, ended: false });
  expect(input.take(10)).toHaveLength(0);
  const last = input.request(10);
  input.end();
  await last;
  expect(input.ended).toBe(true);
});
