// Locks: three nodes lock regions at random, change each page of them, and unlock them. Beside the time of such a section: how
// many faults it waited in.
import { Failure } from '../../services/vkctl/failure.ts';
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { runGuest, startGuest } from './guest-run.ts';
import { columns, type Part, type Setting } from './part.ts';
import { median } from './samples.ts';
import { freshName, removeDataspace } from './shared-memory.ts';

const NODES = ['node1', 'node2', 'node3'] as const;
const ROUNDS = 7;
const SECONDS = 3;
const QUICK_SECONDS = 1;

/** `free`: more regions than nodes that want one. */
const LOADS = [
  { name: '1 page, free', pages: 1, regions: 64 },
  { name: '4 pages, free', pages: 4, regions: 64 },
  { name: '16 pages, free', pages: 16, regions: 64 },
  { name: '1 page, contended', pages: 1, regions: 1 },
  { name: '16 pages, contended', pages: 16, regions: 1 },
] as const;
type Load = (typeof LOADS)[number];

/** However many pages: they come with the lock, in one round trip. */
const FAULTS_MOST = 1.2;
const SIXTEEN_MOST = 2;

interface Sections {
  sections: number;
  p50_us: number;
  p99_us: number;
}

interface Run {
  nodes: Sections[];
  faultsPerSection: number;
}

export const locks: Part = {
  title: 'Locks: a section locks a region, writes its pages and unlocks it, on three nodes',
  nodes: () => NODES.length,
  async run(setting) {
    const rounds = setting.quick ? 1 : ROUNDS;
    const runs = new Map<Load, Run[]>(LOADS.map((load) => [load, []]));
    if (!setting.quick) await play(setting, LOADS[1]);
    for (let i = 0; i < rounds; i++)
      for (const load of LOADS) {
        setting.progress(`${load.name}, ${i + 1} of ${rounds}`);
        runs.get(load)!.push(await play(setting, load));
      }
    return present(runs);
  },
};

async function play(setting: Setting, { pages, regions }: Load): Promise<Run> {
  const seconds = setting.quick ? QUICK_SECONDS : SECONDS;
  const name = freshName('sections');
  const guests = await Promise.all(
    NODES.map((node) => startGuest(setting, node, 'sections', [name, pages, regions, seconds, '--wait'])),
  );
  for (const guest of guests) await guest.line(); // It is ready.
  const before = await faultsOf(setting);
  for (const guest of guests) await guest.go();
  const nodes = await Promise.all(guests.map((guest) => guest.line<Sections>()));
  const after = await faultsOf(setting);
  for (const guest of guests) await guest.end();
  const { sum } = await runGuest<{ sum: number }>(setting, NODES[0], 'sections', [
    name,
    pages,
    regions,
    'sum',
  ]);
  const sections = nodes.reduce((all, each) => all + each.sections, 0);
  if (sum !== sections * pages)
    throw new Failure(`${sections} sections of ${pages} pages came to ${sum}: something was lost`);
  await removeDataspace(setting, NODES[0], name);
  return { nodes, faultsPerSection: (after - before) / sections };
}

/** Faults that waited for another node. */
async function faultsOf({ to }: Setting): Promise<number> {
  const stats = await Promise.all(NODES.map((node) => to.pmapd(node).getNodeStats({})));
  return stats.reduce((sum, { faults }) => {
    return sum + Number((faults.remote?.count ?? 0n) + (faults.upgrade?.count ?? 0n));
  }, 0);
}

function present(runs: ReadonlyMap<Load, Run[]>) {
  const figures: Figure[] = [];
  const rows: string[][] = [];
  const p50Us = new Map<string, number>();
  for (const [{ name }, each] of runs) {
    const of = (value: (run: Run) => number): number => median(each.map(value));
    const ofNodes = (value: (sections: Sections) => number) => of(({ nodes }) => median(nodes.map(value)));
    p50Us.set(
      name,
      ofNodes((sections) => sections.p50_us),
    );
    const faults = judge(
      `locks, ${name}: faults a section`,
      of((run) => run.faultsPerSection),
      '',
      { most: FAULTS_MOST },
    );
    figures.push(faults);
    rows.push([
      name,
      round(p50Us.get(name)!),
      round(ofNodes((sections) => sections.p99_us)),
      round(of(({ nodes }) => nodes.reduce((sum, { sections }) => sum + sections, 0))),
      round(faults.value),
      ...verdictCells(faults),
    ]);
  }
  const ratio = judge(
    'locks: a section of 16 pages beside one of 1',
    p50Us.get('16 pages, free')! / p50Us.get('1 page, free')!,
    'x',
    { most: SIXTEEN_MOST },
  );
  figures.push(ratio);
  rows.push(['16 pages beside 1, free', '', '', '', `${round(ratio.value)}x`, ...verdictCells(ratio)]);
  return {
    figures,
    tables: [
      {
        title: locks.title,
        columns: columns('LOAD', '>p50 us', '>p99 us', '>SECTIONS', '>FAULTS A SECTION', 'TARGET', 'VERDICT'),
        rows,
        notes: [
          'Medians of the rounds and nodes. FAULTS: that waited for another node. The words are added up at the end: none is lost.',
        ],
      },
    ],
    measured: { runs: [...runs].map(([{ name }, each]) => ({ load: name, runs: each })) },
  };
}
