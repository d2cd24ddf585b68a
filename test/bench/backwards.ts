// Pages that are gone through from the last one to the first, beside the same from the first one on: what backward-runs.ts is for.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { columns, type ResultTable, type Setting } from './part.ts';
import { median } from './samples.ts';
import { freshName, removeDataspace } from './shared-memory.ts';

const [OWNER, OTHER] = ['node1', 'node2'];
const ROUNDS = 7;
const QUICK_ROUNDS = 1;
const PAGES = 4_096;
const RATIO_MOST = 2;

type Access = 'read' | 'write';

interface Gone {
  tookMs: number;
  farFaults: number;
}

interface Round {
  forth: Gone;
  back: Gone;
}

/** @returns figures, and a table of what it cost */
export async function backwards(
  setting: Setting,
): Promise<{ figures: Figure[]; table: ResultTable; measured: Record<Access, Round[]> }> {
  const measured: Record<Access, Round[]> = { read: [], write: [] };
  const rounds = setting.quick ? QUICK_ROUNDS : ROUNDS;
  for (let i = 0; i < rounds; i++)
    for (const access of ['read', 'write'] as const) {
      setting.progress(`from the last page to the first, ${i + 1} of ${rounds}`);
      const forth = await go(setting, access, 'seq');
      measured[access].push({ forth, back: await go(setting, access, 'back') });
    }
  const lines = (['read', 'write'] as const).map((access) => line(access, measured[access]));
  return {
    figures: lines.map(({ figure }) => figure),
    table: {
      title: `From the last page to the first: ${PAGES} pages that another node wrote`,
      columns: columns(
        'ACCESS',
        '>ms FORWARD',
        '>ms BACK',
        '>RATIO',
        '>FAR FAULTS',
        '>BACK',
        'TARGET',
        'VERDICT',
      ),
      rows: lines.map(({ cells }) => cells),
      notes: [
        'Medians; a program touches a word of each page. Before backward-runs.ts each page took a fault.',
      ],
    },
    measured,
  };
}

function line(access: Access, rounds: Round[]): { figure: Figure; cells: string[] } {
  const of = (value: (each: Round) => number): number => median(rounds.map(value));
  const ratio = of(({ forth, back }) => back.tookMs / forth.tookMs);
  const figure = judge(`sequential: ${access} from the last page to the first, beside forward`, ratio, 'x', {
    most: RATIO_MOST,
  });
  const cells = [
    access,
    ...[
      of(({ forth }) => forth.tookMs),
      of(({ back }) => back.tookMs),
      ratio,
      of(({ forth }) => forth.farFaults),
      of(({ back }) => back.farFaults),
    ].map(round),
    ...verdictCells(figure),
  ];
  return { figure, cells };
}

async function go(setting: Setting, access: Access, order: 'seq' | 'back'): Promise<Gone> {
  const name = freshName('backwards');
  const touch = (node: string, ...how: string[]) =>
    runGuest<{ access_ns: { mean: number } }>(setting, node, 'touch', [name, PAGES, ...how]);
  const farFaults = async (): Promise<number> => {
    const { faults } = await setting.to.pmapd(OTHER!).getNodeStats({});
    return Number((faults.remote?.count ?? 0n) + (faults.upgrade?.count ?? 0n));
  };
  await touch(OWNER!, 'write', 'seq', '--size', String(PAGES * PAGE_BYTES));
  const before = await farFaults();
  const { access_ns: each } = await touch(OTHER!, access, order);
  const gone = { tookMs: (each.mean * PAGES) / 1e6, farFaults: (await farFaults()) - before };
  await removeDataspace(setting, OWNER!, name);
  return gone;
}
