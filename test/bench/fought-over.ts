// Pages that several nodes write: what a policy for those that are read must not make worse. One page is bounced between two
// nodes, three nodes add to words of their own in one page, and three add to the same word.
import { Failure } from '../../services/vkctl/failure.ts';
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { runGuest, startGuest } from './guest-run.ts';
import { columns, type ResultTable, type Setting } from './part.ts';
import { median } from './samples.ts';
import { freshName, removeDataspace } from './shared-memory.ts';

const NODES = ['node1', 'node2', 'node3'] as const;
const ROUNDS = 5;
const SECONDS = 3;
const QUICK_SECONDS = 1;
const TRIPS = 400;
const QUICK_TRIPS = 50;
/** There and back the page moves twice; who waits reads it before and after it is written. */
const TRIP_FAULTS_MOST = 4.5;

/** `adds`: a word of its own for each node, or one for all. */
const SCENES = ['one page there and back', 'a word each, in one page', 'one word for all'] as const;
type Scene = (typeof SCENES)[number];

interface Fought {
  /** Round trips, or additions. */
  count: number;
  seconds: number;
  faults: number;
}

/** @returns figures, and a table of what was fought over */
export async function foughtOver(
  setting: Setting,
): Promise<{ figures: Figure[]; table: ResultTable; measured: [Scene, Fought[]][] }> {
  const measured = SCENES.map((scene): [Scene, Fought[]] => [scene, []]);
  for (let i = 0; i < (setting.quick ? 1 : ROUNDS); i++)
    for (const [scene, each] of measured) {
      setting.progress(`${scene}, ${i + 1}`);
      each.push(await play(setting, scene));
    }
  const figures: Figure[] = [];
  const rows = measured.map(([scene, each]) => {
    const of = (value: (fought: Fought) => number): string => round(median(each.map(value)));
    const faultsEach = median(each.map(({ faults, count }) => faults / count));
    const isTrip = scene === SCENES[0];
    const judged =
      isTrip && judge('sharing: faults of a round trip', faultsEach, '', { most: TRIP_FAULTS_MOST });
    if (judged) figures.push(judged);
    return [
      scene,
      of(({ count, seconds }) => count / seconds),
      of(({ faults, seconds }) => faults / seconds),
      isTrip ? round(faultsEach) : '',
      of(({ seconds, faults }) => (1e6 * seconds) / faults),
      ...verdictCells(judged || undefined),
    ];
  });
  const heads = ['WHAT', '>A SECOND', '>FAULTS/S', '>FAULTS EACH', '>us BETWEEN FAULTS', 'TARGET', 'VERDICT'];
  const table = {
    title: 'Pages that several nodes write',
    columns: columns(...heads),
    rows,
    notes: [
      'Round trips of two nodes, then additions of three. FAULTS: those that another node had to serve.',
    ],
  };
  return { figures, table, measured };
}

async function play(setting: Setting, scene: Scene): Promise<Fought> {
  const name = freshName('fought');
  const before = await farFaults(setting);
  const fought = scene === SCENES[0] ? await trips(setting, name) : await adds(setting, name, scene);
  const faults = (await farFaults(setting)) - before;
  await removeDataspace(setting, NODES[0], name);
  return { ...fought, faults };
}

async function trips(setting: Setting, name: string): Promise<{ count: number; seconds: number }> {
  const rounds = setting.quick ? QUICK_TRIPS : TRIPS;
  const sides = await Promise.all(
    [0, 1].map((role) => startGuest(setting, NODES[role]!, 'pingpong', [name, role, rounds])),
  );
  const { round_trip_ns: ns } = await sides[0]!.line<{ round_trip_ns: { mean: number } }>();
  for (const side of sides) await side.end();
  return { count: rounds, seconds: (rounds * ns.mean) / 1e9 };
}

async function adds(
  setting: Setting,
  name: string,
  scene: Scene,
): Promise<{ count: number; seconds: number }> {
  const seconds = setting.quick ? QUICK_SECONDS : SECONDS;
  const guests = await Promise.all(
    NODES.map((node, i) =>
      startGuest(setting, node, 'fought', [name, scene === SCENES[1] ? i : 0, seconds, '--wait']),
    ),
  );
  for (const guest of guests) await guest.line(); // It is ready.
  for (const guest of guests) await guest.go();
  let count = 0;
  for (const guest of guests) count += (await guest.line<{ adds: number }>()).adds;
  for (const guest of guests) await guest.end();
  const { sum } = await runGuest<{ sum: number }>(setting, NODES[0], 'fought', [name, 'sum']);
  if (sum !== count) throw new Failure(`${scene}: ${count} additions came to ${sum}: something was lost`);
  return { count, seconds };
}

async function farFaults({ to }: Setting): Promise<number> {
  const stats = await Promise.all(NODES.map((node) => to.pmapd(node).getNodeStats({})));
  return stats.reduce(
    (sum, { faults: { remote, upgrade } }) =>
      sum + Number(remote?.count ?? 0n) + Number(upgrade?.count ?? 0n),
    0,
  );
}
