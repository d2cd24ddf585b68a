import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PageRun } from '../page.ts';
import { ADOPT_PAGES_MAX, type DrainAction, type DrainEvent, NodeDrain } from './drain.ts';

const run = (firstPage: number, pageCount: number, dataspace = 1n): PageRun => ({
  dataspace,
  firstPage,
  pageCount,
});

class World {
  running = true;
  owned: PageRun[] = [];
  plain: PageRun[] = [];
  led = new Set([0, 1]);
  epoch = 3n;
  connected = true;
  readonly retired: number[] = [];
  readonly drain = new NodeDrain(
    {
      processesRun: () => this.running,
      ownedRuns: () => this.owned,
      plainRuns: () => this.plain,
      retire: (shard) => {
        this.retired.push(shard);
        return this.led.has(shard);
      },
      isEpochOf: (_, epoch) => epoch === this.epoch,
      isConnected: () => this.connected,
    },
    2,
  );

  step(event: DrainEvent, nowMs = 0): DrainAction[] {
    return this.drain.step(event, nowMs);
  }

  /** Up to where others fetch pages. */
  begin(others: string[]): DrainAction[] {
    this.running = false;
    this.step({ type: 'start', drainMs: 8_000 });
    return this.step({ type: 'others', others });
  }

  letGo(shard: number, nowMs = 0): DrainAction[] {
    return this.step({ type: 'retired', shard, epoch: this.epoch, remaining: [] }, nowMs);
  }
}

const requestOf = (action: DrainAction | undefined): number => {
  if (action?.type !== 'adopt') throw new Error(`not adopt: ${action?.type}`);
  return action.request;
};

test('processes end first, and those that do not are left behind after a quarter of the time', () => {
  const world = new World();
  expect(world.step({ type: 'start', drainMs: 8_000 })).toEqual([{ type: 'end-processes' }]);
  expect(world.drain.nextMs).toBe(10);
  expect(world.drain.tick(1_999)).toEqual([]);
  expect(world.drain.tick(2_000)).toEqual([{ type: 'close-sessions' }, { type: 'list-others' }]);
});

test('what is owned, then what is plain, then each shard; at last goodbye, and nothing is lost', () => {
  const world = new World();
  world.owned = [run(0, 2)];
  world.plain = [run(8, 1)];
  const owned = world.begin(['a']);
  expect(owned).toMatchObject([
    { type: 'adopt', other: 'a', dataspace: 1n, runs: [run(0, 2)], deadlineMs: 8_000 },
  ]);
  const plain = world.step({ type: 'adopted', request: requestOf(owned[0]) });
  expect(plain).toMatchObject([{ type: 'adopt', runs: [run(8, 1)] }]);
  expect(world.step({ type: 'adopted', request: requestOf(plain[0]) })).toEqual([]);
  expect(world.retired).toEqual([0, 1]);
  expect(world.letGo(0)).toEqual([{ type: 'expire', shard: 0 }]);
  expect(world.drain.isAsked(0)).toBe(false);
  expect(world.drain.isAsked(1)).toBe(true);
  expect(world.letGo(1)).toEqual([{ type: 'expire', shard: 1 }, { type: 'goodbye' }]);
  expect(world.drain.tick(10)).toEqual([]);
  world.connected = false;
  expect(world.drain.tick(20)).toEqual([{ type: 'over', tookMs: 20, lostPages: 0 }]);
  expect(world.drain.nextMs).toBeUndefined();
});

test('what a leader says is only here still others fetch, and then it is asked again', () => {
  const world = new World();
  world.begin(['a', 'b']);
  world.letGo(0);
  const fetch = world.step({ type: 'retired', shard: 1, epoch: 3n, remaining: [run(5, 1)] });
  expect(fetch).toMatchObject([{ type: 'adopt', runs: [run(5, 1)] }]);
  world.step({ type: 'adopted', request: requestOf(fetch[0]) });
  expect(world.retired).toEqual([0, 1, 1]);
});

test('an earlier leader does not let go; where another took its place, what it may have let go is not trusted', () => {
  const world = new World();
  world.begin(['a']);
  world.epoch = 4n;
  expect(world.step({ type: 'retired', shard: 0, epoch: 3n, remaining: [] })).toEqual([]);
  expect(world.step({ type: 'led-anew', shard: 0 })).toEqual([{ type: 'expire', shard: 0 }]);
  expect(world.step({ type: 'led-anew', shard: 0 })).toEqual([]);
  expect(world.drain.leftShards).toBe(0);
});

test('a retire that is not answered is said again, and a shard without a leader is not asked', () => {
  const world = new World();
  world.led.delete(1);
  world.begin(['a']);
  expect(world.drain.isAsked(1)).toBe(false);
  expect(world.drain.tick(249)).toEqual([]);
  world.led.add(1);
  world.drain.tick(250);
  expect(world.retired).toEqual([0, 1, 0, 1]);
  expect(world.drain.isAsked(1)).toBe(true);
});

test('a node that takes nothing is not asked again; when none does, what is owned is lost', () => {
  const world = new World();
  world.owned = [run(0, 3)];
  const first = world.begin(['a', 'b']);
  const second = world.step({ type: 'not-adopted', request: requestOf(first[0]), reason: 'full' });
  expect(second).toMatchObject([{ type: 'adopt', other: 'b', runs: [run(0, 3)] }]);
  expect(world.step({ type: 'not-adopted', request: requestOf(second[0]), reason: 'full, too' }, 7)).toEqual([
    { type: 'over', tookMs: 7, reason: 'full, too', lostPages: 3 },
  ]);
});

test('alone it stores what is durable, and says what it loses', () => {
  const world = new World();
  world.owned = [run(0, 3)];
  expect(world.begin([])).toEqual([{ type: 'store-durable' }]);
  expect(world.step({ type: 'stored' })).toMatchObject([
    { type: 'over', reason: 'there is no other node to take pages', lostPages: 3 },
  ]);
});

test('large runs go in requests of so many pages, each of one dataspace, four at a time', () => {
  const world = new World();
  world.owned = [run(0, 6 * ADOPT_PAGES_MAX), run(0, 10, 2n)];
  const actions = world.begin(['a']);
  expect(actions).toHaveLength(4);
  let pages = 0;
  for (const queue = [...actions]; queue.length > 0; ) {
    const action = queue.shift()!;
    if (action.type !== 'adopt') continue;
    const inRequest = action.runs.reduce((sum, { pageCount }) => sum + pageCount, 0);
    expect(inRequest).toBeLessThanOrEqual(ADOPT_PAGES_MAX);
    expect(action.runs.every(({ dataspace }) => dataspace === action.dataspace)).toBe(true);
    pages += inRequest;
    queue.push(...world.step({ type: 'adopted', request: action.request }));
  }
  expect(pages).toBe(6 * ADOPT_PAGES_MAX + 10);
});

// Whatever comes, in whatever order, late or twice: it ends in time, once, and nothing is said to be safe unless every
// shard let this node go under the epoch that it was asked at.
test('it comes to an end in time, and says that nothing is lost only when every shard let it go', () => {
  const script = fc.array(fc.tuple(fc.nat({ max: 8 }), fc.nat({ max: 7 }), fc.boolean()), { maxLength: 60 });
  fc.assert(
    fc.property(script, (steps) => {
      const world = new World();
      world.owned = [run(0, 2), run(4, 1, 2n)];
      const overs: DrainAction[] = [];
      const letGo = new Set<number>();
      const hear = (actions: DrainAction[]) => overs.push(...actions.filter(({ type }) => type === 'over'));
      let nowMs = 0;
      hear(world.step({ type: 'start', drainMs: 1_000 }, nowMs));
      for (const [what, which, flag] of steps) {
        nowMs += which * 10;
        const shard = which % 2;
        if (what === 0) world.running = false;
        else if (what === 1) hear(world.step({ type: 'others', others: flag ? ['a', 'b'] : [] }, nowMs));
        else if (what === 2) hear(world.step({ type: 'adopted', request: which }, nowMs));
        else if (what === 3) hear(world.step({ type: 'not-adopted', request: which, reason: 'no' }, nowMs));
        else if (what === 4) {
          const epoch = flag ? world.epoch : world.epoch - 1n;
          const remaining = which > 5 ? [run(0, 1)] : [];
          if (flag && remaining.length === 0) letGo.add(shard);
          hear(world.step({ type: 'retired', shard, epoch, remaining }, nowMs));
        } else if (what === 5) hear(world.step({ type: 'led-anew', shard }, nowMs));
        else if (what === 6) hear(world.step({ type: 'failed', reason: 'x' }, nowMs));
        else if (what === 7) world.connected = flag;
        hear(world.drain.tick(nowMs));
      }
      for (let i = 0; world.drain.nextMs !== undefined; i++) {
        expect(i).toBeLessThan(1_000);
        nowMs = Math.max(nowMs + 1, world.drain.nextMs);
        hear(world.drain.tick(nowMs));
      }
      expect(overs).toHaveLength(1);
      const [over] = overs;
      if (over?.type === 'over' && over.reason === undefined) expect(letGo.size).toBe(2);
    }),
  );
});
