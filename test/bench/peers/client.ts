// A process that uses a peer as one of ours uses shared memory: each is a client of its own, as on a node of its own.
//
//   node client.ts redis|nats ADDRESS fill COUNT             so many records of 64 bytes
//   … read COUNT SECONDS PIPELINED                           of records at random: how many, with so many asked for at once
//   … write COUNT SECONDS RATE                               records at random, so many a second, by the clock
//   … count SECONDS                                          adds one, over and over
//   … ping|pong ROUNDS                                       an item there and back
//   … put|take COUNT BATCH                                   items of 64 bytes through a queue
//
// It prints a line when it is connected, begins at a line on its standard input, and prints {"count","ns"}.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { natsPeer } from './nats-peer.ts';
import type { Peer } from './peer.ts';
import { redisPeer } from './redis-peer.ts';

/** Written at once where records are made. */
const FILLED_AT_ONCE = 500;

const random = (count: number): number => Math.floor(Math.random() * count);

async function until(endMs: number, step: () => Promise<number>): Promise<number> {
  let count = 0;
  while (performance.now() < endMs) count += await step();
  return count;
}

/** By the clock: who is late catches up. */
async function paced(peer: Peer, records: number, seconds: number, rate: number): Promise<number> {
  const beginMs = performance.now();
  for (let done = 0; ; done++) {
    const dueMs = beginMs + (done * 1000) / rate;
    const now = performance.now();
    if (now - beginMs >= seconds * 1000) return done;
    if (now < dueMs) await sleep(dueMs - now);
    await peer.write(random(records));
  }
}

async function fill(peer: Peer, count: number): Promise<number> {
  for (let at = 0; at < count; at += FILLED_AT_ONCE) {
    const records = Array.from({ length: Math.min(FILLED_AT_ONCE, count - at) }, (_, i) => at + i);
    await Promise.all(records.map((record) => peer.write(record)));
  }
  return count;
}

const ROLES: Record<string, (peer: Peer, a: number, b: number, c: number) => Promise<number>> = {
  fill,
  read: (peer, records, seconds, pipelined) => {
    const some = () => Array.from({ length: pipelined }, () => random(records));
    return until(performance.now() + seconds * 1000, () => peer.read(some()));
  },
  write: paced,
  count: (peer, seconds) => until(performance.now() + seconds * 1000, () => peer.add()),
  ping: async (peer, rounds) => {
    for (let i = 0; i < rounds; i++) await peer.trip('ping');
    return rounds;
  },
  pong: async (peer, rounds) => {
    for (let i = 0; i < rounds; i++) await peer.trip('pong');
    return rounds;
  },
  put: async (peer, count, batch) => {
    for (let at = 0; at < count; at += batch) await peer.put(Math.min(batch, count - at));
    return count;
  },
  take: async (peer, count, batch) => {
    for (let taken = 0; taken < count; ) taken += await peer.take(Math.min(batch, count - taken));
    return count;
  },
};

const [kind, address = '', role = '', ...numbers] = process.argv.slice(2);
const run = ROLES[role];
if (run === undefined) throw new Error(`no role ${role}`);
const peer = kind === 'redis' ? redisPeer(address) : await natsPeer(address);
await peer.ready();
console.log('{}');
// Whoever started it is gone.
process.stdin.on('end', () => process.exit(1));
await once(process.stdin, 'data');
process.stdin.resume();
const begin = process.hrtime.bigint();
const [a = 0, b = 0, c = 0] = numbers.map(Number);
const count = await run(peer, a, b, c);
console.log(JSON.stringify({ count, ns: Number(process.hrtime.bigint() - begin) }));
await peer.close();
process.exit(0);
