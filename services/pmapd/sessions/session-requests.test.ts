// What a virtual kernel has emptied takes a little of every turn, however much it is and however often it asks.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Code } from '@odonata/rpc/error.ts';
import { expect, test } from 'vitest';
import type { SessionNode } from './session-node.ts';
import { type AskingSession, SessionRequests } from './session-requests.ts';

const PAGES = 20_000;

/** A node whose dataspace is resident as a whole. */
function large() {
  const one = {
    isStopping: false,
    steps: 0,
    emptied: 0,
    answers: [] as { request: bigint; event: object }[],
  };
  const file = { residentSpans: (firstPage: number, pageCount: number) => [{ firstPage, pageCount }] };
  const dataspace = { file };
  const memory = {
    get: () => dataspace,
    step: ({ run }: { run: { pageCount: number } }) => {
      one.steps++;
      one.emptied += run.pageCount;
    },
  };
  const node = {
    memory,
    sessions: { limited() {}, refused() {} },
    get isStopping() {
      return one.isStopping;
    },
  };
  const session = {
    spaces: { mcontrol: () => [{ dataspace: 1n, firstPage: 0, pageCount: PAGES }] },
    send: (answer: (typeof one.answers)[0]) => one.answers.push(answer),
  };
  const requests = new SessionRequests(node as unknown as SessionNode, session as unknown as AskingSession);
  const invalidate = (request: bigint) =>
    requests.receive({ request, event: { case: 'vmspaceMcontrol', value: {} } } as Parameters<
      typeof requests.receive
    >[0]);
  return { one, requests, invalidate };
}

test('a large range, asked for many times: at most 256 pages in a turn, and each is answered', async () => {
  const { one, invalidate } = large();
  for (let request = 1n; request <= 8n; request++) invalidate(request);
  let most = 0;
  let turns = 0;
  for (let before = 0; one.answers.length < 8 && turns < 5_000; turns++) {
    await nextTurn();
    most = Math.max(most, one.emptied - before);
    before = one.emptied;
  }
  expect(one.answers.map(({ request, event }) => ({ request, event }))).toMatchObject(
    Array.from({ length: 8 }, (_, i) => ({ request: BigInt(i + 1), event: { case: 'done' } })),
  );
  expect(one.emptied).toBe(8 * PAGES);
  expect(turns).toBeGreaterThan((8 * PAGES) / 256 - 1);
  // A turn of the test may see the end of one and the beginning of the next.
  expect(most).toBeLessThanOrEqual(2 * 256);
});

test('it ends when the node stops, which is said, and when the session closes', async () => {
  const stopped = large();
  stopped.invalidate(1n);
  await nextTurn();
  stopped.one.isStopping = true;
  await expect
    .poll(() => stopped.one.answers)
    .toMatchObject([{ request: 1n, event: { case: 'failed', value: { code: Code.Unavailable } } }]);
  expect(stopped.one.emptied).toBeLessThan(PAGES);
  const closed = large();
  closed.invalidate(1n);
  closed.invalidate(2n);
  await nextTurn();
  closed.requests.close();
  await expect.poll(() => closed.one.answers).toHaveLength(2);
  expect(closed.one.emptied).toBeLessThan(PAGES);
});
