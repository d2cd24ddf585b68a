import { expect, test } from 'vitest';
import { Holder } from './holder.ts';

test('access to each page of a run is taken away before the page is sent', () => {
  const holder = new Holder();
  const run = { dataspace: 1n, firstPage: 0, pageCount: 2 };
  holder.step({ type: 'open', dataspace: 1n, pageCount: 2, whole: false });
  // The first page was given to read already; the second one is written here.
  const grant = { type: 'grant', version: 1, zero: true, restore: false, stored: false } as const;
  holder.step({ ...grant, run: { ...run, pageCount: 1 }, state: 'MASTER' });
  holder.step({ ...grant, run: { ...run, firstPage: 1, pageCount: 1 }, state: 'MODIFIED' });
  const actions = holder.step({
    type: 'recall',
    run,
    mode: 'READ',
    version: 1,
    receiver: 2,
    receiverIdentity: 2n,
    receiverState: 'SLAVE',
  });
  expect(actions).toMatchObject([
    { type: 'send', run: { firstPage: 0, pageCount: 1 } },
    { type: 'revoke', run: { firstPage: 1, pageCount: 1 }, keep: 'READ' },
    { type: 'send', run: { firstPage: 1, pageCount: 1 } },
  ]);
});

const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };

function opened(): Holder {
  const holder = new Holder();
  holder.step({ type: 'open', dataspace: 1n, pageCount: 1, whole: false });
  holder.step({ type: 'want', run, mode: 'WRITE', neededPages: 1 });
  return holder;
}

test('a page whose grant was lost with a stream is sent on, not called absent', () => {
  const holder = opened();
  holder.step({ type: 'data', run, state: 'INVALID', version: 4, zero: false });
  const recall = {
    type: 'recall',
    run,
    mode: 'WRITE',
    version: 5,
    receiver: 2,
    receiverIdentity: 2n,
  } as const;
  const actions = holder.step({ ...recall, receiverState: 'MODIFIED' });
  expect(actions).toMatchObject([
    { type: 'ready' },
    { type: 'revoke' },
    { type: 'send', version: 5 },
    { type: 'drop' },
  ]);
});

test('a page that a new directory gave back is there, though the message was lost', () => {
  const holder = opened();
  holder.step({
    type: 'grant',
    run,
    state: 'MODIFIED',
    version: 4,
    zero: true,
    restore: false,
    stored: false,
  });
  holder.step({
    type: 'recall',
    run,
    mode: 'WRITE',
    version: 5,
    receiver: 2,
    receiverIdentity: 2n,
    receiverState: 'MODIFIED',
  });
  expect(holder.step({ type: 'rejoin', sameDirectory: false })).toMatchObject([
    { type: 'report', held: [{ state: 'MASTER', version: 4, kept: true }] },
  ]);
  const recall = {
    type: 'recall',
    run,
    mode: 'READ',
    version: 4,
    receiver: 3,
    receiverIdentity: 3n,
  } as const;
  expect(holder.step({ ...recall, receiverState: 'SLAVE' })).toMatchObject([
    { type: 'restore', version: 5 },
    { type: 'ready' },
    { type: 'send', version: 4, state: 'SLAVE' },
  ]);
});

test('data that is sent again with its permission makes up for a grant that was lost', () => {
  const holder = opened();
  holder.step({ type: 'data', run, state: 'INVALID', version: 4, zero: false });
  expect(holder.state(1n, 0)).toBe('INVALID');
  const actions = holder.step({ type: 'data', run, state: 'MODIFIED', version: 4, zero: false });
  expect(actions).toMatchObject([{ type: 'ack', kind: 'RECEIVED' }, { type: 'ready' }]);
  expect(holder.state(1n, 0)).toBe('MODIFIED');
});
