// Redis, by ioredis.
import assert from 'node:assert/strict';
import { Redis } from 'ioredis';
import { type Peer, RECORD } from './peer.ts';

const keyOf = (record: number): string => `record:${record}`;
const ITEMS = 'items';

export function redisPeer(address: string): Peer {
  const [host = '', port] = address.split(':');
  const redis = new Redis({ host, port: Number(port), lazyConnect: true, maxRetriesPerRequest: 0 });
  const waitFor = async (list: string): Promise<void> => {
    await redis.brpop(list, 0);
  };
  return {
    ready: () => redis.connect(),
    async read(records) {
      if (records.length === 1) {
        const value = await redis.getBuffer(keyOf(records[0]!));
        assert.equal(value?.length, RECORD.length);
        return 1;
      }
      const pipeline = redis.pipeline();
      for (const record of records) pipeline.getBuffer(keyOf(record));
      const answers = await pipeline.exec();
      for (const [error, value] of answers ?? [])
        assert.equal((value as Buffer | null)?.length, RECORD.length, error?.message);
      return records.length;
    },
    write: async (record) => void (await redis.set(keyOf(record), RECORD)),
    async add() {
      await redis.incr('counter');
      return 1;
    },
    async trip(side) {
      if (side === 'ping') await redis.lpush('ping', RECORD);
      await waitFor(side === 'ping' ? 'pong' : 'ping');
      if (side === 'pong') await redis.lpush('pong', RECORD);
    },
    put: async (count) => void (await redis.lpush(ITEMS, ...Array<Buffer>(count).fill(RECORD))),
    async take(most) {
      if (most === 1) {
        await waitFor(ITEMS);
        return 1;
      }
      const answer = await redis.blmpop(0, 1, ITEMS, 'RIGHT', 'COUNT', most);
      return answer === null ? 0 : answer[1].length;
    },
    close: async () => redis.disconnect(),
  };
}
