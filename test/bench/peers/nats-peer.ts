// NATS: its key-value store for records, in memory; its messages for what goes there and back.
import assert from 'node:assert/strict';
import { connect, type KV, StorageType } from 'nats';
import { type Peer, RECORD } from './peer.ts';

const keyOf = (record: number): string => `record.${record}`;

export async function natsPeer(address: string): Promise<Peer> {
  const connection = await connect({ servers: address });
  const jetstream = connection.jetstream();
  const records: KV = await jetstream.views.kv('table', { storage: StorageType.Memory, history: 1 });
  const came = (subject: string) => connection.subscribe(subject)[Symbol.asyncIterator]();
  const trips = { ping: came('ping'), pong: came('pong') };
  const next = async (of: 'ping' | 'pong'): Promise<void> => {
    await trips[of].next();
  };
  return {
    ready: () => connection.flush(),
    async read(wanted) {
      const entries = await Promise.all(wanted.map((record) => records.get(keyOf(record))));
      for (const entry of entries) assert.equal(entry?.value.length, RECORD.length);
      return wanted.length;
    },
    write: async (record) => void (await records.put(keyOf(record), RECORD)),
    add: () => Promise.reject(new Error('the key-value store of NATS adds nothing')),
    async trip(side) {
      if (side === 'ping') connection.publish('ping', RECORD);
      await next(side === 'ping' ? 'pong' : 'ping');
      if (side === 'pong') connection.publish('pong', RECORD);
    },
    put: () => Promise.reject(new Error('not measured')),
    take: () => Promise.reject(new Error('not measured')),
    close: () => connection.close(),
  };
}
