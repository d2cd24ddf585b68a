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
