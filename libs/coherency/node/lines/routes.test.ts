import { expect, test } from 'vitest';
import { homeShardOf } from '../../shard.ts';
import { Relay } from '../relay/relay.ts';
import { NodeRoutes, type RoutedEvent } from './routes.ts';

const SHARDS = 2;
const AT_0 = [1n, 2n, 3n, 4n].find((id) => homeShardOf(id, SHARDS) === 0)!;

class HoldingRelay extends Relay {
  override heldDataspaces(shard: number): bigint[] {
    return shard === 0 ? [AT_0] : [];
  }
}

const routes = (asked = false) =>
  new NodeRoutes({
    shards: SHARDS,
    relay: new HoldingRelay(SHARDS),
    dataspaces: () => [{ id: AT_0, name: 'a' }],
    isAsked: () => asked,
  });

const told = (events: RoutedEvent[]): string[] => events.map(({ part, event }) => `${part} ${event.type}`);

test('what was held is voided before anything is said to the new leader', () => {
  const led = { type: 'led', shard: 0, sameLeader: false, voided: true } as const;
  expect(told(routes().of(led))).toEqual([
    'drain led-anew',
    'memory expire',
    'relay voided',
    'relay rejoined',
    'memory rejoin',
    'memory resume',
    'memory resume-all',
  ]);
});

test('over a new stream to the same leader nothing is voided, and all is said again', () => {
  const led = { type: 'led', shard: 1, sameLeader: true, voided: false } as const;
  expect(told(routes().of(led))).toEqual(['relay rejoined', 'memory rejoin', 'memory resume']);
});

const suspend = (shard: number) => ({ type: 'suspend', shard, lastEndMs: 0 }) as const;

test('with the lease of their leader all goes that is done under its locks', () => {
  expect(told(routes().of(suspend(0)))).toEqual(['memory suspend', 'memory suspend-all']);
  expect(told(routes().of(suspend(1)))).toEqual(['memory suspend']);
});

test('whoever may be let go already is told no invalidation', () => {
  const run = { dataspace: AT_0, firstPage: 0, pageCount: 1 };
  const event = { type: 'invalidate', run, version: 1, anew: false } as const;
  expect(told(routes().of({ type: 'overheard', shard: 0, event }))).toEqual(['memory invalidate']);
  expect(routes(true).of({ type: 'overheard', shard: 0, event })).toEqual([]);
});
