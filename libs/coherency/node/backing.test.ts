import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type BackingAction, NodeBacking, STORE_WAIT_MS, SYNCS_MAX, TRIES_MAX } from './backing.ts';

type Captured = { holds: boolean };
type Action = BackingAction<Captured, string, string>;

const backing = () =>
  new NodeBacking<Captured, string, string>({ chunkPages: 4, holds: ({ holds }) => holds });
const run = (firstPage: number, pageCount: number) => ({ dataspace: 1n, firstPage, pageCount });
const attemptOf = (actions: Action[]): number => {
  const [action] = actions;
  if (action?.type !== 'capture') throw new Error(`not a capture: ${action?.type}`);
  return action.attempt;
};
const getOf = (actions: Action[]): number => {
  const action = actions.find(({ type }) => type === 'get');
  if (action?.type !== 'get') throw new Error('no get');
  return action.get;
};

test('a sync is cut into chunks, each captured, stored, and then the next', () => {
  const core = backing();
  const captured = { holds: true };
  let actions = core.step({ type: 'sync', sync: 7, run: run(2, 5) }, 0);
  expect(actions).toMatchObject([{ type: 'capture', run: run(2, 2) }]);
  const attempt = attemptOf(actions);
  expect(core.step({ type: 'captured', attempt, captured }, 0)).toMatchObject([
    { type: 'put', attempt, captured },
  ]);
  // Said twice: nothing is stored twice, and nothing is answered early.
  expect(core.step({ type: 'captured', attempt, captured }, 0)).toEqual([]);
  actions = core.step({ type: 'stored', attempt }, 0);
  expect(actions).toMatchObject([{ type: 'capture', run: run(4, 3) }]);
  expect(core.step({ type: 'stored', attempt }, 0)).toEqual([]);
  const last = attemptOf(actions);
  expect(core.step({ type: 'stored', attempt: last }, 0)).toEqual([]);
  core.step({ type: 'captured', attempt: last, captured }, 0);
  expect(core.step({ type: 'stored', attempt: last }, 0)).toEqual([
    { type: 'synced', sync: 7, dataspace: 1n, recovered: false },
  ]);
  expect(core.syncsOf(1n)).toBe(0);
});

test('syncs of one dataspace come one after the other, also after one that failed; another dataspace does not wait', () => {
  const core = backing();
  const first = attemptOf(core.step({ type: 'sync', sync: 1, run: run(0, 1) }, 0));
  expect(core.step({ type: 'sync', sync: 2, run: run(0, 1) }, 0)).toEqual([]);
  expect(core.step({ type: 'sync', sync: 3, run: { ...run(0, 1), dataspace: 2n } }, 0)).toHaveLength(1);
  const failed = core.step({ type: 'failed', attempt: first, error: 'full' }, 0);
  expect(failed).toMatchObject([
    { type: 'not-synced', sync: 1, failure: { why: 'FAILED', error: 'full' }, first: true },
    { type: 'capture', run: run(0, 1) },
  ]);
  const second = attemptOf(failed.slice(1));
  expect(core.step({ type: 'failed', attempt: second, error: 'full' }, 0)).toMatchObject([{ first: false }]);
  const third = attemptOf(core.step({ type: 'sync', sync: 4, run: run(0, 1) }, 0));
  core.step({ type: 'captured', attempt: third, captured: { holds: true } }, 0);
  expect(core.step({ type: 'stored', attempt: third }, 0)).toMatchObject([
    { type: 'synced', recovered: true },
  ]);
});

test('what may have begun anew while it was stored is stored again, and not for ever', () => {
  const core = backing();
  let actions = core.step({ type: 'sync', sync: 1, run: run(0, 4) }, 0);
  for (let i = 0; i < TRIES_MAX; i++) {
    const attempt = attemptOf(actions);
    core.step({ type: 'captured', attempt, captured: { holds: false } }, 0);
    actions = core.step({ type: 'stored', attempt }, 0);
  }
  expect(actions).toMatchObject([
    { type: 'not-synced', failure: { why: 'LOST_AGAIN', pages: { firstPage: 0, pageCount: 4 } } },
  ]);
});

test('the queue has a bound', () => {
  const core = backing();
  for (let sync = 0; sync < SYNCS_MAX; sync++) core.step({ type: 'sync', sync, run: run(0, 1) }, 0);
  expect(core.step({ type: 'sync', sync: -1, run: run(0, 1) }, 0)).toMatchObject([
    { failure: { why: 'BUSY' } },
  ]);
});

test('lost pages: one read a chunk and loss, an answer for each page', () => {
  const core = backing();
  const fetch = { type: 'fetch', dataspace: 1n, name: 'd', run: run(2, 4), lostVersion: 3 } as const;
  const actions = core.step(fetch, 0);
  expect(actions).toMatchObject([
    { type: 'get', run: run(2, 2) },
    { type: 'get', run: run(4, 2) },
  ]);
  expect(core.step(fetch, 0)).toEqual([]);
  // Lost once more: what was read before is no answer.
  expect(core.step({ ...fetch, run: run(2, 1), lostVersion: 4 }, 0)).toMatchObject([
    { type: 'get', run: run(2, 1) },
  ]);
  expect(core.isFetching(1n, 3)).toBe(true);
  const get = getOf(actions);
  const pages = [
    { page: 2, state: 'INTACT', version: 9, bytes: 'b' },
    { page: 3, state: 'CORRUPT' },
  ] as const;
  expect(core.step({ type: 'read', get, pages }, 0)).toMatchObject([
    { type: 'found', page: 2, version: 9, lostVersion: 3, bytes: 'b' },
    { type: 'log', text: 'a stored page fails its checksum' },
    { type: 'not-found', page: 3, lostVersion: 3, reason: expect.stringContaining('corrupt') },
  ]);
  expect(core.step({ type: 'read', get, pages }, 0)).toEqual([]);
  expect(core.isFetching(1n, 3)).toBe(false);
});

test('a store that does not answer is asked again, ever more seldom, for a minute', () => {
  const core = backing();
  const fetch = { type: 'fetch', dataspace: 1n, name: 'd', run: run(0, 1), lostVersion: 3 } as const;
  let get = getOf(core.step(fetch, 0));
  const asked: number[] = [];
  let ended: Action[] = [];
  while (ended.length === 0) {
    core.step({ type: 'unread', get, passes: true, reason: 'away' }, asked.at(-1) ?? 0);
    const nextMs = core.nextMs!;
    expect(core.tick(nextMs - 1)).toEqual([]);
    const actions = core.tick(nextMs);
    if (actions[0]?.type === 'get') get = getOf(actions);
    else ended = actions;
    asked.push(nextMs);
  }
  expect(asked.slice(0, 6)).toEqual([50, 150, 350, 750, 1550, 2550]);
  expect(asked.at(-1)).toBe(STORE_WAIT_MS);
  expect(ended).toMatchObject([{ type: 'not-found', page: 0, lostVersion: 3 }]);
  expect(core.nextMs).toBeUndefined();
  // It answers too late: nobody waits.
  expect(core.step({ type: 'read', get, pages: [] }, STORE_WAIT_MS)).toEqual([]);
});

test('what does not pass is an error at once', () => {
  const core = backing();
  const fetch = { type: 'fetch', dataspace: 1n, name: 'd', run: run(0, 1), lostVersion: 3 } as const;
  const get = getOf(core.step(fetch, 0));
  expect(core.step({ type: 'unread', get, passes: false, reason: 'wrong key' }, 0)).toMatchObject([
    { type: 'not-found', reason: 'page 0 of dataspace d cannot be read back: wrong key' },
  ]);
});

// Completions late, twice, in any order and of what is over: each sync ends once, and never `synced` unless each of its
// chunks was stored and held after it was asked for.
test('each sync ends once, and is synced only when all of it is stored and holds', () => {
  const script = fc.array(fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 30 }), fc.boolean()), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(script, (steps) => {
      const core = backing();
      const ended = new Set<number>();
      const stored = new Map<number, Set<number>>();
      const attempts = new Map<number, { first: number; holds: boolean; put: boolean }>();
      const order = new Map<bigint, number[]>();
      let syncs = 0;
      const perform = (actions: Action[]): void => {
        for (const action of actions) {
          if (action.type === 'capture')
            attempts.set(action.attempt, { first: action.run.firstPage, holds: true, put: false });
          else if (action.type === 'put') attempts.get(action.attempt)!.put = true;
          else if (action.type === 'synced' || action.type === 'not-synced') {
            expect(ended.has(action.sync)).toBe(false);
            ended.add(action.sync);
            expect(order.get(action.dataspace)!.shift()).toBe(action.sync);
            if (action.type === 'synced') expect([...stored.get(action.sync)!].sort()).toEqual([0, 4]);
          }
        }
      };
      for (const [what, which, holds] of steps) {
        const attempt = 1 + which;
        const known = attempts.get(attempt);
        if (what === 0) {
          const dataspace = BigInt(which % 2);
          const sync = ++syncs;
          stored.set(sync, new Set());
          order.set(dataspace, [...(order.get(dataspace) ?? []), sync]);
          perform(core.step({ type: 'sync', sync, run: { dataspace, firstPage: 0, pageCount: 8 } }, 0));
        } else if (what < 3) {
          if (known === undefined) continue;
          perform(core.step({ type: 'captured', attempt, captured: known }, 0));
        } else if (what < 5) {
          if (known === undefined) continue;
          known.holds = holds;
          // Only the first completion of what was put counts; whose it is the order says.
          if (known.put && holds && !('done' in known))
            for (const [sync, chunks] of stored) if (!ended.has(sync)) chunks.add(known.first);
          Object.assign(known, known.put ? { done: true } : {});
          perform(core.step({ type: 'stored', attempt }, 0));
        } else perform(core.step({ type: 'failed', attempt, error: 'x' }, 0));
      }
    }),
  );
});
