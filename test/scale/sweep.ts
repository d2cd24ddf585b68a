// Measures a service at each number of replicas. Places run side by side where they can, and rounds go around among
// them: what disturbs this machine for a while disturbs all of them.
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { sum } from '../bench/directory/cpu.ts';
import { latencyOf, median } from '../bench/samples.ts';
import type { Costs } from './projection/costs.ts';
import type { Pattern, Place, ScaledService, Setting, Usage } from './scaled-service.ts';

const ROUNDS = 7;
const STANDING_MS = 3000;
const QUICK_STANDING_MS = 200;
/** Rounds that are looked at to see whether the cost still falls. */
const STEADY_ROUNDS = 3;
const STEADY_SHARE = 0.97;

/** A service at one number of replicas, under one pattern of load. */
export interface Row {
  pattern: string;
  operation: string;
  replicas: number;
  /** Of a round. */
  operations: number;
  perS: number;
  p50Us: number;
  p99Us: number;
  /** Processor time of all replicas for one operation, without `standingUs`. */
  cpuUs: number;
  /** What the replicas use in the time of one operation anyway, also without a load. */
  standingUs: number;
  /** Processor time of others that work for it. */
  besideUs: number;
  /** Operations between two sleeps of a replica. */
  perSleep: number | undefined;
  /** Of the busiest replica beside an even share: by its counter, and by its processor time. */
  workShare: number | undefined;
  cpuShare: number;
  residentMib: number;
  /** Cores in use, by whom. */
  cores: { replicas: number; busiest: number; beside: number; neighbours: number; machine: number };
}

interface Measured {
  usage: Usage;
  samplesNs: number[];
  wallS: number;
  neighboursUs: number;
  machineUs: number;
}

export interface Sweep {
  rows: Row[];
  /** What a replica uses without a load, in cores, by the number of replicas. */
  standing: { replicas: number; cores: number }[];
  /** Costs that are no operation's. */
  moreCosts: Partial<Costs>;
}

/** @param apart each place alone, one after another: there is only one of it */
export async function sweep(
  setting: Setting,
  service: ScaledService,
  counts: readonly number[],
  { apart = false } = {},
): Promise<Sweep> {
  const of = (some: readonly number[]): Promise<Sweep> =>
    withPlaces(setting, service, some, [], (places) => measure(setting, service, places));
  if (!apart) return await of(counts);
  const each: Sweep[] = [];
  for (const count of counts) each.push(await of([count]));
  return {
    // As if side by side: by pattern, then by replicas.
    rows: service.patterns.flatMap(({ name }) =>
      each.flatMap(({ rows }) => rows.filter(({ pattern }) => pattern === name)),
    ),
    standing: each.flatMap(({ standing }) => standing),
    moreCosts: each[0]!.moreCosts,
  };
}

async function withPlaces<T>(
  setting: Setting,
  service: ScaledService,
  counts: readonly number[],
  places: Place[],
  use: (places: Place[]) => Promise<T>,
): Promise<T> {
  const [count, ...rest] = counts;
  if (count === undefined) return await use(places);
  return await service.withPlace(setting, count, (place) =>
    withPlaces(setting, service, rest, [...places, place], use),
  );
}

async function measure(setting: Setting, service: ScaledService, places: Place[]): Promise<Sweep> {
  const { progress, quick, signal } = setting;
  const measured = new Map<Pattern, Measured[][]>();
  for (const pattern of service.patterns) {
    for (const place of places) await warmUp(setting, place, pattern);
    const ofPlaces: Measured[][] = places.map(() => []);
    for (let i = 0; i < (quick ? 1 : ROUNDS); i++) {
      progress(`${pattern.name}: round ${i + 1}`);
      for (const [p, place] of places.entries()) ofPlaces[p]!.push(await round(place, pattern.name));
    }
    measured.set(pattern, ofPlaces);
  }
  // Now everything is compiled: before, they would seem to use more.
  const standing: number[] = [];
  for (const place of places) {
    progress(`${place.replicas} replicas without a load`);
    const ms = quick ? QUICK_STANDING_MS : STANDING_MS;
    const { replicas } = await place.meter.during(() => sleep(ms, undefined, { signal }));
    standing.push(sum(replicas.map(({ cpuUs }) => cpuUs)) / (ms / 1e3));
  }
  const rows: Row[] = [];
  for (const [pattern, ofPlaces] of measured) {
    for (const [p, place] of places.entries())
      rows.push(await rowOf(place, pattern, ofPlaces[p]!, standing[p]!));
  }
  progress('costs for the projection');
  return {
    rows,
    standing: places.map(({ replicas }, p) => ({ replicas, cores: standing[p]! / 1e6 / replicas })),
    moreCosts: (await places[0]!.moreCosts?.()) ?? {},
  };
}

/** Rounds until their cost does not fall any more: what runs for the first times is not compiled. */
async function warmUp({ progress, quick }: Setting, place: Place, pattern: Pattern): Promise<void> {
  const costs: number[] = [];
  const most = quick ? 1 : pattern.warmUpsMost * place.replicas;
  while (costs.length < most) {
    progress(`${pattern.name}: warming up ${place.replicas}, round ${costs.length + 1}`);
    const { usage } = await round(place, pattern.name);
    costs.push(sum(usage.replicas.map(({ cpuUs }) => cpuUs)));
    const last = costs.slice(-STEADY_ROUNDS * place.replicas);
    const before = costs.slice(-2 * STEADY_ROUNDS * place.replicas, -STEADY_ROUNDS * place.replicas);
    if (before.length === last.length && median(last) > STEADY_SHARE * median(before)) return;
  }
}

async function round(place: Place, pattern: string): Promise<Measured> {
  const ready = await place.ready(pattern);
  let samplesNs: number[] = [];
  let wallS = 0;
  let neighboursUs = 0;
  let machineUs = 0;
  const usage = await place.meter.during(async () => {
    const startMs = performance.now();
    const ownBefore = process.cpuUsage();
    const machineBefore = machineBusyUs();
    samplesNs = await ready.run();
    wallS = (performance.now() - startMs) / 1e3;
    const own = process.cpuUsage(ownBefore);
    neighboursUs = own.user + own.system;
    machineUs = machineBusyUs() - machineBefore;
  });
  await ready.end();
  return { usage, samplesNs, wallS, neighboursUs, machineUs };
}

function machineBusyUs(): number {
  const times = cpus().map(({ times: { user, nice, sys, irq } }) => user + nice + sys + irq);
  return sum(times) * 1e3;
}

async function rowOf(
  place: Place,
  { name, operation }: Pattern,
  rounds: Measured[],
  standingUsPerS: number,
): Promise<Row> {
  const { replicas } = place;
  const cpuOf = ({ usage }: Measured): number => sum(usage.replicas.map(({ cpuUs }) => cpuUs));
  const total = (of: (round: Measured) => number): number => sum(rounds.map(of));
  const operations = rounds[0]!.samplesNs.length;
  const wallS = total((round) => round.wallS);
  const each = (of: (replica: number) => number[]): number[] =>
    Array.from({ length: replicas }, (_, r) => sum(of(r)));
  const useOf = (r: number) => rounds.map(({ usage }) => usage.replicas[r]!);
  const cpu = each((r) => useOf(r).map(({ cpuUs }) => cpuUs));
  const counts = rounds.every(({ usage }) => usage.replicas.every(({ work }) => work !== undefined));
  const sleepsKnown = rounds.every(({ usage }) => usage.replicas.every(({ sleeps }) => sleeps !== undefined));
  const done = operations * rounds.length;
  const { p50Us, p99Us } = latencyOf(rounds.flatMap(({ samplesNs }) => samplesNs));
  const resident = await place.meter.residentBytes();
  return {
    ...{ pattern: name, operation, replicas, operations, p50Us, p99Us },
    perS: median(rounds.map((one) => one.samplesNs.length / one.wallS)),
    cpuUs: median(
      rounds.map((one) => Math.max(0, cpuOf(one) - standingUsPerS * one.wallS) / one.samplesNs.length),
    ),
    standingUs: (standingUsPerS * wallS) / done,
    besideUs: total(({ usage }) => usage.besideUs) / done,
    perSleep: sleepsKnown ? done / sum(each((r) => useOf(r).map(({ sleeps = 0 }) => sleeps))) : undefined,
    workShare: counts ? busiest(each((r) => useOf(r).map(({ work = 0 }) => work))) : undefined,
    cpuShare: busiest(cpu),
    residentMib: sum(resident) / resident.length / 2 ** 20,
    cores: {
      replicas: sum(cpu) / 1e6 / wallS,
      busiest: Math.max(...cpu) / 1e6 / wallS,
      beside: total(({ usage }) => usage.besideUs) / 1e6 / wallS,
      neighbours: total(({ neighboursUs }) => neighboursUs) / 1e6 / wallS,
      machine: total(({ machineUs }) => machineUs) / 1e6 / wallS,
    },
  };
}

const busiest = (shares: number[]): number => (Math.max(...shares) * shares.length) / sum(shares);
