import { expect, test } from 'vitest';
import { Bell, silence } from './bell.ts';
import { PollEvent, poll } from './sockets.ts';

test('rings until it is silenced, however often it was rung; nothing comes of ringing one that is closed', () => {
  const bell = new Bell();
  const look = () => poll([{ fd: bell.fd, events: PollEvent.in }], 0);
  expect(look()).toEqual([0]);
  bell.ring();
  bell.ring();
  expect(look()).toEqual([PollEvent.in]);
  silence(bell.fd);
  expect(look()).toEqual([0]);
  bell.close();
  bell.close();
  bell.ring();
});
