// Walls: what the confinement of virtual kernels costs. A cluster with and one without, side by side; each round goes through
// both, one right after the other, and the other way round in the next. `--without cgroup` leaves out that one wall only.
import { LAYERS } from '@odonata/userfault/sandbox/layer-names.ts';
import { withCluster } from './cluster.ts';
import { play, scenes } from './fault-scenes.ts';
import { judge, round, verdictCells } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { columns, type Part, type Setting } from './part.ts';
import { median } from './samples.ts';

const ROUNDS = 8;
const QUICK_ROUNDS = 1;
const WARM_UP_ROUNDS = 1;
const ACCESSES = 600;
const QUICK_ACCESSES = 100;
const NODE = 'node1';
const FAULTS_MOST = 1.05;
const START_MOST_MS = 30;

interface Measure {
  name: string;
  unit: 'us' | 'ms';
  /** The most that the difference, or the ratio, may be. */
  most?: { ratio: number } | { moreMs: number };
  of(setting: Setting): Promise<number>;
}

interface Pair {
  measure: Measure;
  without: number[];
  with: number[];
}

export const walls: Part = {
  title: 'Walls: virtual kernels that are confined, beside some without walls, or without those of --without',
  nodes: () => 2,
  run: (setting) =>
    withCluster(
      { ...setting, nodes: 2, suffix: '-bare', unconfined: setting.without ?? LAYERS },
      async (to) => await compare(setting, { ...setting, to }),
    ),
};

let lastName = 0;

function measures({ quick }: Setting): Measure[] {
  const fault = (kind: string, most?: Measure['most']): Measure => ({
    ...{ name: `fault, ${kind}, p50`, unit: 'us', ...(most && { most }) },
    async of(setting) {
      const scene = scenes(setting, { accesses: quick ? QUICK_ACCESSES : ACCESSES }).find(
        ({ kind: { name } }) => name === kind,
      )!;
      return (await play(setting, scene, ['node1', 'node2'])).guest.p50Us;
    },
  });
  return [
    {
      ...{ name: 'start of a virtual kernel and a program', unit: 'ms', most: { moreMs: START_MOST_MS } },
      of: (setting) => startOf(setting, `w${++lastName}`),
    },
    { name: 'start of a program', unit: 'ms', of: (setting) => startOf(setting, 'warm') },
    fault('from another node, clean', { ratio: FAULTS_MOST }),
    fault('write upgrade, 1 sharer', { ratio: FAULTS_MOST }),
  ];
}

/** Until its exit code is back here. */
async function startOf(setting: Setting, vkernel: string): Promise<number> {
  const sentMs = performance.now();
  await runGuest(setting, NODE, 'hello', [], vkernel);
  return performance.now() - sentMs;
}

async function compare(confined: Setting, bare: Setting) {
  const { quick, progress } = confined;
  const pairs = measures(confined).map((measure): Pair => ({ measure, without: [], with: [] }));
  const warmUps = quick ? 0 : WARM_UP_ROUNDS;
  const rounds = quick ? QUICK_ROUNDS : ROUNDS;
  for (let i = 0; i < warmUps + rounds; i++) {
    for (const pair of pairs) {
      progress(
        `${i < warmUps ? 'warming up' : `round ${i - warmUps + 1} of ${rounds}`}: ${pair.measure.name}`,
      );
      const sides = [
        ['with', confined],
        ['without', bare],
      ] as const;
      for (const [side, setting] of i % 2 === 0 ? sides : sides.toReversed()) {
        const value = await pair.measure.of(setting);
        if (i >= warmUps) pair[side].push(value);
      }
    }
  }
  return present(pairs);
}

function present(pairs: Pair[]) {
  const rows = pairs.map(({ measure, without, with: samples }) => {
    const ratio = median(samples.map((value, i) => value / without[i]!));
    const more = median(samples.map((value, i) => value - without[i]!));
    const { most } = measure;
    const figure =
      most === undefined
        ? undefined
        : 'ratio' in most
          ? judge(`walls, ${measure.name}`, ratio, 'x', { most: most.ratio })
          : judge(`walls, ${measure.name}, more`, more, 'ms', { most: most.moreMs });
    return { measure, without, with: samples, ratio, more, figure };
  });
  return {
    figures: rows.flatMap(({ figure }) => (figure === undefined ? [] : [figure])),
    tables: [
      {
        title: walls.title,
        columns: columns('WHAT', '>WITHOUT', '>WITH', '>MORE', '>RATIO', 'TARGET', 'VERDICT'),
        rows: rows.map(({ measure, ratio, more, figure, ...samples }) => [
          `${measure.name}, ${measure.unit}`,
          round(median(samples.without)),
          round(median(samples.with)),
          round(more),
          ratio.toFixed(3),
          ...verdictCells(figure),
        ]),
        notes: [
          'Medians of the rounds; MORE and RATIO are the medians of the differences and ratios of neighbours in time.',
          'A resident access is the same machine code on the same pages in both: see compute for what that costs.',
        ],
      },
    ],
    measured: {
      rows: rows.map(({ measure: { name, unit }, ratio, more, ...rest }) => ({
        name,
        unit,
        ratio,
        more,
        without: rest.without,
        with: rest.with,
      })),
    },
  };
}
