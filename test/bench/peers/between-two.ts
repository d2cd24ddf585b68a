// What two nodes do with one thing: a number that both add to, an item there and back, a queue. Here messages are good, and a page
// that goes to and fro is not always better.

import { round } from '../figure.ts';
import { type RunningGuest, startGuest } from '../guest-run.ts';
import { columns, type ResultTable, type Setting } from '../part.ts';
import { median } from '../samples.ts';
import { freshName, removeDataspace } from '../shared-memory.ts';
import { perSecond, type Server, together } from './servers.ts';

const NODES = ['node1', 'node2'] as const;
const ROUNDS = 5;
const SIZES = { seconds: 3, trips: 2_000, items: 400_000, oneByOne: 20_000 };
const QUICK_SIZES = { seconds: 1, trips: 100, items: 6_400, oneByOne: 500 };
const BATCH = 64;

type Servers = Partial<Record<'redis' | 'nats', Server>>;

interface Way {
  what: string;
  by: string;
  /** A second. */
  of: () => Promise<number>;
}

export async function betweenTwo(setting: Setting, servers: Servers) {
  const sizes = setting.quick ? QUICK_SIZES : SIZES;
  const ways: Way[] = [
    { what: 'additions to one number', by: 'Odonata', of: () => adds(setting, sizes.seconds) },
    {
      what: 'items there and back',
      by: 'Odonata: they sleep',
      of: () => trips(setting, sizes.trips, '--wait'),
    },
    {
      what: 'items there and back',
      by: 'Odonata: they look all the time',
      of: () => trips(setting, sizes.trips),
    },
    { what: 'items through a queue', by: 'Odonata', of: () => queue(setting, sizes.items) },
  ];
  const { redis, nats } = servers;
  if (redis !== undefined) {
    const both = (a: (string | number)[], b: (string | number)[]) => together(setting, redis, [a, b]);
    const counters = async () =>
      (await both(['count', sizes.seconds], ['count', sizes.seconds])).reduce(
        (sum, each) => sum + perSecond(each),
        0,
      );
    const there = async () => perSecond((await both(['ping', sizes.trips], ['pong', sizes.trips]))[0]!);
    const through = (count: number, batch: number) => async () =>
      perSecond((await both(['put', count, batch], ['take', count, batch]))[1]!);
    ways.push(
      { what: 'additions to one number', by: 'Redis: INCR', of: counters },
      { what: 'items there and back', by: 'Redis: LPUSH and BRPOP', of: there },
      { what: 'items through a queue', by: 'Redis: LPUSH and BRPOP', of: through(sizes.oneByOne, 1) },
      { what: 'items through a queue', by: `Redis: by ${BATCH}`, of: through(sizes.items, BATCH) },
    );
  }
  if (nats !== undefined)
    ways.push({
      ...{ what: 'items there and back', by: 'NATS: messages' },
      of: async () =>
        perSecond(
          (
            await together(setting, nats, [
              ['ping', sizes.trips],
              ['pong', sizes.trips],
            ])
          )[0]!,
        ),
    });
  const measured = ways.map(({ what, by }) => ({ what, by, perSecond: [] as number[] }));
  for (let i = 0; i < (setting.quick ? 1 : ROUNDS); i++)
    for (const [which, { what, by, of }] of ways.entries()) {
      setting.progress(`${what}, ${by}, ${i + 1}`);
      measured[which]!.perSecond.push(await of());
    }
  return { table: tableOf(measured), measured };
}

function tableOf(measured: { what: string; by: string; perSecond: number[] }[]): ResultTable {
  const whats = [...new Set(measured.map(({ what }) => what))];
  const rows = whats.flatMap((what) => {
    const each = measured
      .filter((way) => way.what === what)
      .map((way) => ({ ...way, value: median(way.perSecond) }));
    const best = Math.max(...each.map(({ value }) => value));
    return each.map(({ by, value }) => [what, by, round(value), value === best ? 'fastest' : '']);
  });
  return {
    title: 'One thing between two nodes',
    columns: columns('WHAT', 'BY', '>A SECOND', 'WHICH'),
    rows,
    notes: [
      'Medians. An addition of ours is an atomic instruction on a page that moves; a queue is a ring of 64-byte items in a dataspace.',
    ],
  };
}

async function adds(setting: Setting, seconds: number): Promise<number> {
  const name = freshName('adds');
  const guests: RunningGuest[] = [];
  for (const node of NODES)
    guests.push(await startGuest(setting, node, 'fought', [name, 0, seconds, '--wait']));
  for (const guest of guests) await guest.line();
  for (const guest of guests) await guest.go();
  let sum = 0;
  for (const guest of guests) sum += (await guest.line<{ adds: number }>()).adds;
  for (const guest of guests) await guest.end();
  await removeDataspace(setting, NODES[0], name);
  return sum / seconds;
}

async function trips(setting: Setting, count: number, ...more: string[]): Promise<number> {
  const name = freshName('trips');
  const sides = await Promise.all(
    NODES.map((node, role) => startGuest(setting, node, 'pingpong', [name, role, count, ...more])),
  );
  const { round_trip_ns: ns } = await sides[0]!.line<{ round_trip_ns: { mean: number } }>();
  for (const side of sides) await side.end();
  await removeDataspace(setting, NODES[0], name);
  return 1e9 / ns.mean;
}

async function queue(setting: Setting, count: number): Promise<number> {
  const name = freshName('queue');
  const sides = await Promise.all(
    (['put', 'take'] as const).map((side, i) => startGuest(setting, NODES[i]!, 'queue', [name, side, count])),
  );
  for (const side of sides) await side.line();
  for (const side of sides) await side.go();
  const [, taken] = [await sides[0]!.line(), await sides[1]!.line<{ count: number; ns: number }>()];
  for (const side of sides) await side.end();
  await removeDataspace(setting, NODES[0], name);
  return perSecond(taken);
}
