// A table that three processes on three nodes read at random while one of them changes it, beside the same records in Redis and in
// the key-value store of NATS, read by as many clients.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Figure, judge, round, verdictCells } from '../figure.ts';
import { columns, type ResultTable, type Setting } from '../part.ts';
import { median } from '../samples.ts';
import { play } from '../sharing.ts';
import { perSecond, type Server, together } from './servers.ts';

const RECORDS = 100_000;
const QUICK_RECORDS = 1_000;
const RECORD_BYTES = 64;
const CLIENTS = 3;
const PIPELINED = 64;
const ROUNDS = 5;
const SECONDS = 3;
const QUICK_SECONDS = 1;
/** Writes a second, and how many times as many reads as by one-by-one GETs of as many clients. */
const LOADS = [
  { rate: 0, least: 400 },
  { rate: 100, least: 200 },
  { rate: 1000, least: 100 },
] as const;

/** Of the writes that were asked for. */
const REACHED_LEAST = 0.97;

/** Reads a second of all clients together. */
interface Reads {
  rate: number;
  odonata: number;
  /** Its writes a second. */
  odonataWrites: number;
  /** By ioredis, one by one and by 64. */
  redis: number;
  redisPipelined: number;
  nats: number;
}

type Servers = Partial<Record<'redis' | 'nats', Server>>;

export async function readMostly(setting: Setting, servers: Servers) {
  const records = setting.quick ? QUICK_RECORDS : RECORDS;
  for (const server of Object.values(servers)) {
    setting.progress(`${records} records into ${server.kind}`);
    await together(setting, server, [['fill', records]]);
  }
  const rounds: Reads[] = [];
  for (let i = 0; i < (setting.quick ? 1 : ROUNDS); i++)
    for (const { rate } of LOADS) {
      setting.progress(`${rate} writes a second, ${i + 1}`);
      const of = (server: Server | undefined, pipelined = 1) =>
        server === undefined ? 0 : readsOf(setting, server, records, rate, pipelined);
      const { reads, written } = await play(setting, { rate });
      rounds.push({
        rate,
        odonata: reads.reduce((sum, { reads_per_s }) => sum + reads_per_s, 0),
        odonataWrites: written?.writes_per_s ?? 0,
        redis: await of(servers.redis),
        redisPipelined: await of(servers.redis, PIPELINED),
        nats: await of(servers.nats),
      });
    }
  const benchmark = servers.redis && (await redisBenchmark(setting, servers.redis));
  return present(rounds, servers, benchmark);
}

async function readsOf(
  setting: Setting,
  server: Server,
  records: number,
  rate: number,
  pipelined: number,
): Promise<number> {
  const seconds = setting.quick ? QUICK_SECONDS : SECONDS;
  const readers = Array.from({ length: CLIENTS }, () => ['read', records, seconds, pipelined]);
  const writer = rate === 0 ? [] : [['write', records, seconds, rate]];
  const done = await together(setting, server, [...readers, ...writer]);
  return done.slice(0, CLIENTS).reduce((sum, each) => sum + perSecond(each), 0);
}

interface Benchmark {
  oneByOne: number;
  pipelined: number;
}

/** Redis' own client, in C: GETs a second, of nothing but that. */
async function redisBenchmark({ quick, signal }: Setting, { port }: Server): Promise<Benchmark> {
  const benchmark = async (test: 'get' | 'set', count: number, ...more: string[]): Promise<number> => {
    const args = [
      '-h',
      '127.0.0.1',
      '-p',
      String(port),
      '-t',
      test,
      '-c',
      String(CLIENTS),
      '-r',
      String(RECORDS),
    ];
    const size = ['-n', String(quick ? count / 20 : count), '-d', String(RECORD_BYTES), '--csv'];
    const { stdout } = await promisify(execFile)('redis-benchmark', [...args, ...size, ...more], { signal });
    // "test","rps",... and "GET","71000.00",...
    return Number(/"[GS]ET","([\d.]+)"/.exec(stdout)?.[1]);
  };
  const pipelined = ['-P', String(PIPELINED)];
  // Nearly all of its keys have a record then.
  await benchmark('set', 500_000, ...pipelined);
  return {
    oneByOne: await benchmark('get', 200_000),
    pipelined: await benchmark('get', 2_000_000, ...pipelined),
  };
}

function present(rounds: Reads[], servers: Servers, benchmark: Benchmark | undefined) {
  const figures: Figure[] = [];
  const rows = LOADS.flatMap(({ rate, least }) => {
    const each = rounds.filter((round) => round.rate === rate);
    const of = (key: Exclude<keyof Reads, 'rate'>): number => median(each.map((reads) => reads[key]));
    const load = rate === 0 ? 'no writes' : `${rate} writes a second`;
    // Whichever of its clients is the fastest, and without writes, too.
    const gets = Math.max(of('redis'), benchmark?.oneByOne ?? 0);
    const times = of('odonata') / gets;
    const reached = rate === 0 ? 1 : of('odonataWrites') / rate;
    const what = `peers, ${load}: reads beside GETs one by one`;
    const judged = servers.redis && judge(what, times, 'x', { least });
    // Who writes less than was asked for does not win by that.
    const figure: Figure | undefined =
      judged && reached < REACHED_LEAST
        ? { ...judged, name: `${what}, with ${round(reached)} of the writes`, verdict: 'falls short' }
        : judged;
    if (figure !== undefined) figures.push(figure);
    const row = (what: string, reads: number, judged?: Figure): string[] => [
      ...[load, what, round(reads / 1e3), gets > 0 ? round(reads / gets) : '', ...verdictCells(judged)],
    ];
    return [
      row(
        `Odonata: three programs on three nodes${rate === 0 ? '' : `, ${round(of('odonataWrites'))} writes a second`}`,
        of('odonata'),
        figure,
      ),
      ...(servers.redis
        ? [
            row('Redis: GET one by one, ioredis', of('redis')),
            row(`Redis: GET by ${PIPELINED}, ioredis`, of('redisPipelined')),
          ]
        : []),
      ...(benchmark && rate === 0
        ? [
            row('Redis: GET one by one, redis-benchmark', benchmark.oneByOne),
            row(`Redis: GET by ${PIPELINED}, redis-benchmark`, benchmark.pipelined),
          ]
        : []),
      ...(servers.nats ? [row('NATS: get of a key-value store, one by one', of('nats'))] : []),
    ];
  });
  const table: ResultTable = {
    title: `A table of ${RECORDS.toLocaleString('en')} records of ${RECORD_BYTES} bytes, read at random by three`,
    columns: columns('LOAD', 'BY', '>1,000 READS/S', '>OF ONE BY ONE', 'TARGET', 'VERDICT'),
    rows,
    notes: [
      'Reads a second of all three together, medians. OF ONE BY ONE: beside three clients that GET one record after another, by the faster of',
      'ioredis and redis-benchmark. All share the cores of this machine. A read of ours is a load and its sequence lock, and no call at all.',
    ],
  };
  return { figures, table, measured: { rounds, benchmark } };
}
