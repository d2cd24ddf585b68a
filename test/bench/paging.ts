// Paging: a working set of private memory of four times what its node has, with a local swap file beside neighbours' memory, in one run;
// and the same where the node has room for it. And how often pages came back, beside the least that any choice of pages to leave could have had.

import { leastRefaults, lruRefaults } from './belady.ts';
import { withCluster } from './cluster.ts';
import { judge, round, verdictCells } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { hereAndThere } from './here-and-there.ts';
import { columns, type Part, type Setting } from './part.ts';

const MIB = 2 ** 20;
const PAGE_BYTES = 4_096;
const NODE_MIB = 8;
const SET_MIB = 4 * NODE_MIB;
const PATTERNS = ['mix', 'random', 'loop', 'scan', 'phases'] as const;
/** Of those pages that were written; every eighth never is, and is zeros again when it comes back. */
const isKept = (page: number): boolean => page % 8 !== 7;
/** Of the pattern that most programs are like: what comes back beside the least. */
const BESIDE_LEAST = 1.5;
/** Between the marks at which pages begin and end to leave (services/pmapd/pageout/pageout.ts): so many frames are in use. */
const USED_PART = 29 / 32;

interface Run {
  ns: number;
  wrong_pages: number;
  log: number[];
}

interface Way {
  name: 'swap file' | 'neighbours' | 'resident';
  setting: Setting;
  node: string;
}

interface Measured {
  pattern: string;
  way: Way['name'];
  seconds: number;
  /** Pages that came back. */
  ins: number;
  /** The least that could have: with all frames of the node, and with those that are in use. */
  least: number;
  leastUsed: number;
  /** By one who sees every use, and lets those leave that were used longest ago. */
  lru: number;
}

export const paging: Part = {
  title: 'Paging: four times the memory of a node',
  nodes: () => 1,
  async run(setting) {
    const { quick, signal, progress } = setting;
    const about = { signal, progress };
    const swapping = {
      ...about,
      suffix: '-swap',
      nodes: 1,
      framesBytes: NODE_MIB * MIB,
      swapBytes: 256 * MIB,
    };
    const pooled = { ...about, suffix: '-pool', nodes: 3, framesBytes: 48 * MIB, node1Bytes: NODE_MIB * MIB };
    return await withCluster(swapping, (swap) =>
      withCluster(pooled, async (pool) => {
        const ways: Way[] = [
          { name: 'swap file', setting: { ...setting, to: swap }, node: 'node1' },
          { name: 'neighbours', setting: { ...setting, to: pool }, node: 'node1' },
          { name: 'resident', setting: { ...setting, to: pool }, node: 'node2' },
        ];
        const measured: Measured[] = [];
        const patterns = quick ? PATTERNS.slice(0, 1) : PATTERNS;
        const accesses = quick ? 1_000 : 20_000;
        for (const pattern of patterns)
          for (const way of ways) {
            progress(`${pattern}, ${way.name}`);
            measured.push(await measure(way, pattern, accesses));
          }
        const sparse = await hereAndThere({ ...setting, to: pool }, ['node1', 'node2']);
        const result = present(measured, patterns, accesses);
        return {
          ...result,
          figures: [...result.figures, ...sparse.figures],
          tables: [...result.tables, sparse.table],
        };
      }),
    );
  },
};

async function measure(
  { name: way, setting, node }: Way,
  pattern: string,
  accesses: number,
): Promise<Measured> {
  const ins = async (): Promise<number> => {
    const { pageout, pool } = await setting.to.pmapd(node).getNodeStats({});
    return Number((pageout?.swapIns ?? 0n) + (pool?.neighbourIns ?? 0n));
  };
  const before = await ins();
  const {
    ns,
    wrong_pages: wrong,
    log,
  } = await runGuest<Run>(setting, node, 'paging', [SET_MIB, accesses, `${pattern}+log`, 1]);
  if (wrong > 0) throw new Error(`${pattern}, ${way}: ${wrong} pages are wrong`);
  const pages = Array.from({ length: (SET_MIB * MIB) / PAGE_BYTES }, (_, page) => page);
  const uses = [...pages.filter(isKept), ...log, ...pages];
  const frames = (NODE_MIB * MIB) / PAGE_BYTES;
  const least = way === 'resident' ? 0 : leastRefaults(uses, frames, isKept);
  const leastUsed = way === 'resident' ? 0 : leastRefaults(uses, frames * USED_PART, isKept);
  const lru = way === 'resident' ? 0 : lruRefaults(uses, frames, isKept);
  return { pattern, way, seconds: ns / 1e9, ins: (await ins()) - before, least, leastUsed, lru };
}

function present(measured: readonly Measured[], patterns: readonly string[], accesses: number) {
  const of = (pattern: string, way: Way['name']) =>
    measured.find((each) => each.pattern === pattern && each.way === way)!;
  const perPageUs = ({ seconds, ins }: Measured, resident: Measured): number =>
    ins === 0 ? 0 : (Math.max(0, seconds - resident.seconds) * 1e6) / ins;
  const figures = patterns.map((pattern) =>
    judge(
      `paging, ${pattern}, neighbours / swap file`,
      of(pattern, 'neighbours').seconds / of(pattern, 'swap file').seconds,
      'x',
      { most: 20 },
    ),
  );
  const mix = of('mix', 'swap file');
  const what = 'paging, mix, swap file: pages that came back / the least possible';
  const besideLeast = judge(what, mix.ins / Math.max(1, mix.least), 'x', { most: BESIDE_LEAST });
  const rows = patterns.flatMap((pattern, i) => {
    const resident = of(pattern, 'resident');
    return (['resident', 'swap file', 'neighbours'] as const).map((way) => {
      const each = of(pattern, way);
      const verdict = verdictCells(way === 'neighbours' ? figures[i] : undefined);
      return [
        ...[pattern, way, round(each.seconds), round(each.seconds / resident.seconds), String(each.ins)],
        ...[each.least, each.leastUsed].map((least) =>
          way === 'resident' ? '' : round(each.ins / Math.max(1, least)),
        ),
        way === 'resident' ? '' : round(each.lru / Math.max(1, each.least)),
        ...[way === 'resident' ? '' : round(perPageUs(each, resident)), ...verdict],
      ];
    });
  });
  const heads = columns(
    'PATTERN',
    'WHERE',
    '>s',
    '>x RESIDENT',
    '>CAME BACK',
    '>x LEAST',
    '>x LEAST IN USE',
    '>LRU x LEAST',
    '>us EACH',
    'TARGET',
    'VERDICT',
  );
  const notes = [
    `${SET_MIB} MiB of private memory are written, used ${accesses} times, and checked, on a node of ${NODE_MIB} MiB; "resident" on one of 48.`,
    'x LEAST: CAME BACK beside the least that any choice of pages to leave could have had, with all frames of the node (Belady);',
    'IN USE: with 29/32 of them, for pages leave before the last ones are taken; LRU: by one who sees every use, which nobody does.',
    'us EACH: what the run took longer than the resident one, by the pages that came back: what it takes to make room is in it.',
    'The target is what the file takes, 20 times: it is in the page cache of the machine, and a neighbour is two moves by the directory.',
  ];
  return {
    figures: [...figures, besideLeast],
    tables: [{ title: paging.title, columns: heads, rows, notes }],
    measured: { accesses, runs: measured },
  };
}
