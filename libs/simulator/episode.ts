// One cluster from its start to its end: rounds of faults, each followed by a time without, in which all that is under way
// must end and everybody must see the same.
import { FEW_HOLDERS } from '@odonata/coherency/replica/shard/shard-leader.ts';
import { untilQuiet } from './checkers/liveness.ts';
import { Nemesis } from './nemesis.ts';
import type { Process } from './process.ts';
import type { Profile } from './profiles.ts';
import { Random } from './random.ts';
import { Violation } from './violation.ts';
import type { Duties, Machines } from './world/machines.ts';
import { World } from './world/world.ts';

/** Steps with faults in a round. */
const ROUND_STEPS = 3_000;
const ROUNDS = 2;
/** A wake reaches who sleeps within this time. */
const WOKEN_MS = 1_000;

export interface EpisodeOptions {
  seed: number;
  profile: Profile;
  nodes?: number | undefined;
  pages?: number | undefined;
  shards?: number | undefined;
  few?: number | undefined;
  /** In a lease, where they are others than as ever: of services of before. */
  renewals?: number | undefined;
  /** Processes that meet at barriers, besides the others. */
  barriers?: boolean | undefined;
  machines?: Partial<Machines> | undefined;
  duties?: Partial<Duties> | undefined;
  trace?: ((line: string) => void) | undefined;
}

export interface Counts {
  steps: number;
  simulatedMs: number;
  reads: number;
  writes: number;
  locks: number;
  syncs: number;
  /** Generations that processes passed, and barriers that broke for one. */
  barriers: number;
  broken: number;
  /** Lost pages that came back from the store. */
  restored: number;
  /** Accesses that ended as errors: their page was lost. */
  lost: number;
  directories: number;
}

export interface Failure {
  seed: number;
  step: number;
  property: string;
  message: string;
  /** Of the page concerned. */
  lastEvents: string[];
}

/** The same options give the same steps. */
export function runEpisode(options: EpisodeOptions): { counts: Counts; failure: Failure | undefined } {
  const { seed, profile } = options;
  const choice = new Random(seed ^ 0x5eed);
  const nodes = options.nodes ?? profile.nodes.min + choice.below(profile.nodes.max - profile.nodes.min + 1);
  const pages = options.pages ?? profile.pages.min + choice.below(profile.pages.max - profile.pages.min + 1);
  const shards =
    options.shards ?? profile.shards.min + choice.below(profile.shards.max - profile.shards.min + 1);
  // By streams alone, by the bus alone, and some of both.
  const some = seed % 2 === 0 ? FEW_HOLDERS : 2;
  const few = options.few ?? (choice.oneIn(2) ? some : 0);
  const { machines, duties, trace, barriers } = options;
  const world = new World({
    seed,
    nodes,
    pages,
    shards,
    few,
    renewals: options.renewals,
    profile,
    barriers,
    ...(machines && { machines }),
    ...(duties && { duties }),
    trace,
  });
  let failure: Failure | undefined;
  try {
    const nemesis = new Nemesis(world);
    for (let round = 0; round < ROUNDS; round++) runRound(world, nemesis);
  } catch (error) {
    failure = describe(world, seed, error);
  }
  return { counts: count(world), failure };
}

function runRound(world: World, nemesis: Nemesis): void {
  const end = world.steps + ROUND_STEPS;
  while (world.steps < end) world.step();
  nemesis.end();
  world.quiet = true;
  untilQuiet(world);
  for (let page = 0; page < world.layout.pages; page++) wakeSleepers(world, page);
  readAll(world);
  world.durability.verifyAll();
  world.quiet = false;
  nemesis.resume();
}

function processes(world: World): Process[] {
  return [...world.vkernels].flatMap((vkernel) => vkernel.processes);
}

function wakeSleepers(world: World, page: number): void {
  if (!processes(world).some((p) => p.sleepsOn === page)) return;
  const waker = processes(world).find((p) => p.doing === undefined);
  if (waker === undefined) return;
  const [before, anew] = [world.latest.latest(page), world.latest.timesAnew(page)];
  waker.changeNow(page);
  untilQuiet(world);
  const untilMs = world.nowMs + WOKEN_MS;
  const sleeping = () => processes(world).find((p) => p.sleepsOn === page);
  while (sleeping() !== undefined && world.nowMs < untilMs) world.step();
  untilQuiet(world);
  const sleeper = sleeping();
  // The waker may have found the page lost, and changed nothing; or the page is what it was before the change.
  if (sleeper === undefined || world.latest.latest(page) === before) return;
  if (world.latest.timesAnew(page) !== anew) return;
  throw new Violation(
    'liveness',
    page,
    `${sleeper.name} sleeps on page ${page}, which was changed and woken`,
  );
}

function readAll(world: World): void {
  for (let page = 0; page < world.layout.pages; page++) {
    for (const node of world.nodes) {
      const reader = node.vkernels[0]?.processes.find((p) => p.doing === undefined);
      reader?.readNow(page);
    }
    untilQuiet(world);
  }
}

function count(world: World): Counts {
  return {
    steps: world.steps,
    simulatedMs: Math.round(world.nowMs),
    reads: world.latest.reads,
    writes: world.latest.writes,
    locks: world.locks.granted,
    syncs: world.durability.syncs,
    barriers: world.barriers.passed,
    broken: world.barriers.broken,
    restored: world.durability.restored,
    lost: world.losses.errors,
    directories: world.cluster.taken,
  };
}

function describe(world: World, seed: number, error: unknown): Failure {
  const violation = error instanceof Violation ? error : undefined;
  if (violation === undefined && !(error instanceof Error)) throw error;
  const where = violation === undefined ? ((error as Error).stack ?? '') : (error as Error).message;
  return {
    seed,
    step: world.steps,
    property: violation?.property ?? 'assertion',
    message: where,
    lastEvents: world.history.lines(violation?.page),
  };
}
