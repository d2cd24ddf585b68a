// Syslink: what routers cost. Real routers and endpoints as processes of their own, beside plain grpc-js between two.
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { columns, type Part, type Setting } from './part.ts';
import { rawEcho, rawStream, withRawServer } from './raw-line.ts';
import { latencyOf, median } from './samples.ts';
import {
  cpuWhile,
  type Memory,
  PEER,
  RAW_PEER,
  type RunningRouter,
  told,
  withEcho,
  withRouters,
  withRunning,
} from './syslink/running.ts';
import { BETWEEN_ENDS, throughGateways } from './syslink/two-owners.ts';

const MIB = 2 ** 20;
const PIECE_BYTES = 64 * 1024;
const ECHO_BYTES = 64;
const UNDER_WAY = 64;
/** Beside raw grpc-js, by the number of routers between. */
const TRIP_MOST = [1.3, 2.5, 3.7];
const GATEWAY_TRIP_MOST = 4;
const STALLED_CIRCUITS = 8;
const CIRCUIT_BYTES_MOST = 4096;
const FLAT_MOST = 1.15;

const FULL = {
  rounds: 3,
  trips: 3_000,
  messages: 30_000,
  mib: 128,
  circuits: 10_000,
  crowds: [10, 100, 1_000, 10_000],
  asked: 3_000,
};
const QUICK = { rounds: 1, trips: 50, messages: 500, mib: 4, circuits: 100, crowds: [10, 100], asked: 300 };
type Size = typeof FULL;

export const syslink: Part = {
  title: 'Syslink: what routers cost',
  nodes: () => 1,
  async run(setting) {
    const size = setting.quick ? QUICK : FULL;
    const trips = await roundTrips(setting, size);
    const messages = await messagesACore(setting, size);
    const throughput = await circuitThroughput(setting, size);
    const crowds = await endpoints(setting, size);
    const idle = await idleCircuits(setting, size);
    const stalled = await stalledReaders(setting, size);
    const figures = [
      ...trips.routers.map(({ routers, ratio }) =>
        judge(`round trip through ${routers} routers, beside raw grpc-js`, ratio, 'x', {
          most: TRIP_MOST[routers]!,
        }),
      ),
      judge('round trip through a gateway, beside raw grpc-js', trips.gateways.ratio, 'x', {
        most: GATEWAY_TRIP_MOST,
      }),
      judge('messages a second a core of a router, share of raw grpc-js', messages.ratio, 'x', {
        least: 0.4,
      }),
      judge('bytes over a circuit through a router, share of raw grpc-js', throughput.ratio, 'x', {
        least: 0.6,
      }),
      judge(
        `processor time a message with ${crowds.at(-1)!.endpoints} endpoints, beside ${crowds[0]!.endpoints}`,
        crowds.at(-1)!.ratio,
        'x',
        { most: FLAT_MOST },
      ),
      judge('KiB of a router for an idle circuit', idle.bytesEach / 1024, '', {
        most: CIRCUIT_BYTES_MOST / 1024,
      }),
      judge('round trip beside circuits that nobody reads', stalled.ratio, 'x', { most: FLAT_MOST }),
    ];
    return {
      figures,
      tables: [
        {
          title: syslink.title,
          columns: columns('WHAT', '>FIGURE', 'TARGET', 'VERDICT'),
          rows: figures.map(row),
          notes: NOTES,
        },
        {
          title: 'Syslink: what the figures are made of',
          columns: columns('WHAT', '>VALUE', 'UNIT'),
          rows: [
            ['raw grpc-js: a round trip, p50', round(trips.rawUs), 'us'],
            ...trips.routers.map(({ routers, us }) => [
              `through ${routers} routers: a round trip, p50`,
              round(us),
              'us',
            ]),
            ...trips.routers.slice(1).flatMap(({ routers, pipedUs, piped }) => [
              [`raw grpc-js piped through ${routers}, no routing: a round trip, p50`, round(pipedUs), 'us'],
              ['of these, beside raw grpc-js', round(piped), 'x'],
            ]),
            ['through the gateways of two clusters: a round trip, p50', round(trips.gateways.us), 'us'],
            [
              `raw grpc-js piped through ${BETWEEN_ENDS}, no routing: a round trip, p50`,
              round(trips.gateways.pipedUs),
              'us',
            ],
            ['of these, beside raw grpc-js', round(trips.gateways.piped), 'x'],
            ['raw grpc-js: messages a second of processor time', round(messages.raw), '1/s'],
            ['a router: the same', round(messages.router), '1/s'],
            ['raw grpc-js: bytes', round(throughput.rawMibPerS), 'MiB/s'],
            ['raw grpc-js piped through 1, no routing: bytes', round(throughput.pipedMibPerS), 'MiB/s'],
            ['of these, share of raw grpc-js', round(throughput.piped), 'x'],
            ['over a circuit', round(throughput.mibPerS), 'MiB/s'],
            ...crowds.map(({ endpoints, us }) => [
              `a message with ${endpoints} endpoints`,
              round(us),
              'us of the router',
            ]),
            [`a router with ${idle.circuits} idle circuits: memory`, round(idle.after.rss / MIB), 'MiB'],
            ['of these before: memory', round(idle.before.rss / MIB), 'MiB'],
            ['the heap alone, a circuit', round(idle.heapEach), 'bytes'],
          ],
          notes: [],
        },
      ],
      measured: { trips, messages, throughput, crowds, idle, stalled },
    };
  },
};

const NOTES = [
  'Medians of rounds that go through all of them. Through 0 routers: whoever is asked is attached to itself, so that this is what frames cost.',
  'Through a gateway: router, gateway, gateway and router between the ends, each a process of its own; mutual TLS between the gateways, and each cluster asks who one is.',
  'Piped: processes that pass raw messages of grpc-js on, each stream to another one, and look at nothing.',
  'A message of a router is one that it takes and passes on; of raw grpc-js, one that is taken and answered.',
];

const row = (figure: Figure): string[] => [figure.name, round(figure.value), ...verdictCells(figure)];

/** A way between two ends, beside raw grpc-js, and raw grpc-js that is piped through as many processes. */
interface Way {
  readonly between: number;
  readonly take: (setting: Setting, count: number) => Promise<number[]>;
  readonly us: number[];
  readonly pipedUs: number[];
}

const wayOf = ({ between, take }: Pick<Way, 'between' | 'take'>): Way => ({
  ...{ between, take, us: [], pipedUs: [] },
});

const throughRouters = (routers: number) => (setting: Setting, count: number) =>
  withEcho(routers, setting, (address) => told<number[]>([PEER, 'ask', address, count], setting));

async function roundTrips(setting: Setting, size: Size) {
  const raw: number[] = [];
  const routers = TRIP_MOST.map((_, between) => wayOf({ between, take: throughRouters(between) }));
  const gateways = wayOf({ between: BETWEEN_ENDS, take: throughGateways });
  for (let i = 0; i < size.rounds; i++) {
    setting.progress(`round trips, ${i + 1} of ${size.rounds}`);
    const rawUs = latencyOf(await rawEcho(setting, 'tcp', size.trips, ECHO_BYTES)).p50Us;
    raw.push(rawUs);
    for (const { between, take, us, pipedUs } of [...routers, gateways]) {
      const piped = between > 0 && (await rawEcho(setting, 'tcp', size.trips, ECHO_BYTES, between));
      pipedUs.push(piped ? latencyOf(piped).p50Us : rawUs);
      us.push(latencyOf(await take(setting, size.trips)).p50Us);
    }
  }
  const besideRaw = (us: readonly number[]): number => median(us.map((each, i) => each / raw[i]!));
  const made = ({ us, pipedUs }: Way) => ({
    ...{ us: median(us), ratio: besideRaw(us), pipedUs: median(pipedUs), piped: besideRaw(pipedUs) },
  });
  return {
    rawUs: median(raw),
    routers: routers.map((way) => ({ routers: way.between, ...made(way) })),
    gateways: made(gateways),
  };
}

async function messagesACore(setting: Setting, size: Size) {
  const runs: { raw: number; router: number; ratio: number }[] = [];
  for (let i = 0; i < size.rounds; i++) {
    setting.progress(`messages a core, ${i + 1} of ${size.rounds}`);
    const work = [size.messages, UNDER_WAY];
    const rawRun = await withRawServer(setting, 'tcp', ({ address, pid }) =>
      cpuWhile(pid, [RAW_PEER, 'many', address, ...work], setting),
    );
    const routerRun = await withEcho(1, setting, (address, [router]) =>
      cpuWhile(router!.child.pid!, [PEER, 'many', address, ...work], setting),
    );
    const raw = size.messages / (rawRun.cpuUs / 1e6);
    // The request and its reply.
    const router = (2 * size.messages) / (routerRun.cpuUs / 1e6);
    runs.push({ raw, router, ratio: router / raw });
  }
  const of = (key: keyof (typeof runs)[0]): number => median(runs.map((run) => run[key]));
  return { raw: of('raw'), router: of('router'), ratio: of('ratio') };
}

async function circuitThroughput(setting: Setting, size: Size) {
  const bytes = size.mib * MIB;
  const runs: { rawNs: number; pipedNs: number; ns: number }[] = [];
  for (let i = 0; i < size.rounds; i++) {
    setting.progress(`bytes over a circuit, ${i + 1} of ${size.rounds}`);
    const rawNs = await rawStream(setting, bytes, PIECE_BYTES);
    const ns = await withEcho(1, setting, (address) =>
      told<number>([PEER, 'stream', address, bytes, PIECE_BYTES], setting),
    );
    const pipedNs = await rawStream(setting, bytes, PIECE_BYTES, 1);
    runs.push({ rawNs, pipedNs, ns });
  }
  const mibPerS = (ns: number): number => size.mib / (ns / 1e9);
  return {
    rawMibPerS: mibPerS(median(runs.map(({ rawNs }) => rawNs))),
    mibPerS: mibPerS(median(runs.map(({ ns }) => ns))),
    pipedMibPerS: mibPerS(median(runs.map(({ pipedNs }) => pipedNs))),
    ratio: median(runs.map(({ rawNs, ns }) => rawNs / ns)),
    piped: median(runs.map(({ rawNs, pipedNs }) => rawNs / pipedNs)),
  };
}

async function endpoints(setting: Setting, size: Size) {
  const us = size.crowds.map(() => [] as number[]);
  for (let i = 0; i < Math.min(size.rounds, 2); i++)
    for (const [which, count] of size.crowds.entries()) {
      setting.progress(`${count} endpoints, ${i + 1}`);
      const { cpuUs } = await withRouters(1, setting, ([router]) =>
        withRunning([PEER, 'crowd', router!.address, count], setting, () =>
          cpuWhile(router!.child.pid!, [PEER, 'round', router!.address, size.asked, count], setting),
        ),
      );
      us[which]!.push(cpuUs / (2 * size.asked));
    }
  return size.crowds.map((endpoints, which) => ({
    endpoints,
    us: median(us[which]!),
    ratio: median(us[which]!.map((each, i) => each / us[0]![i]!)),
  }));
}

async function idleCircuits(setting: Setting, { circuits }: Size) {
  setting.progress(`${circuits} idle circuits`);
  return await withRouters(1, setting, async ([router]) => {
    // The endpoints themselves, and code that runs for the first times, are no part of it.
    const open = <T>(count: number, use: () => Promise<T>) =>
      withRunning([PEER, 'open', router!.address, count], setting, use);
    const before = await open(circuits / 100, () => atRest(router!));
    const after = await open(circuits, () => atRest(router!));
    const more = circuits - circuits / 100;
    const heapEach = (after.heapUsed - before.heapUsed) / more;
    // Of few, the heap's pages were there before.
    const bytesEach = Math.max(heapEach, (after.rss - before.rss) / more);
    return { ...{ circuits, before, after }, bytesEach, heapEach };
  });
}

const atRest = (router: RunningRouter): Promise<Memory> => router.memory();

async function stalledReaders(setting: Setting, size: Size) {
  const ratios: number[] = [];
  for (let i = 0; i < Math.min(size.rounds, 3); i++) {
    setting.progress(`circuits that nobody reads, ${i + 1}`);
    const trip = (address: string, circuits: number) =>
      told<number[]>([PEER, 'stalled', address, size.trips, circuits], setting).then(
        (ns) => latencyOf(ns).p50Us,
      );
    await withEcho(1, setting, async (address) => {
      const alone = await trip(address, 0);
      ratios.push((await trip(address, STALLED_CIRCUITS)) / alone);
    });
  }
  return { ratio: median(ratios) };
}
