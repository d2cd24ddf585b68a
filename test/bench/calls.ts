// What programs do besides computing: the same module under Odonata and under node:wasi, on the same folder of this machine, in pairs
// whose order alternates. The guest times itself (kernels/calls.c).
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { Failure } from '../../services/vkctl/failure.ts';
import { buildGuest } from '../guests/build.ts';
import { runAlone } from '../guests/run-alone.ts';
import { judge, round, verdictCells } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { columns, type Part, type PartResult, type Setting } from './part.ts';
import { median } from './samples.ts';

const RATIO_MOST = 1.2;
const NODE = 'node1';
const PAIRS = 7;
const NAMES = 1_000;
/** Of the guest's calls; five is the size for which its counts were chosen. */
const ROUNDS = { whole: 5, quick: 0 };
const GUEST_FOLDER = '/calls';

/** Nanoseconds of one call, by its kind. */
type Times = Readonly<Record<string, number>>;
/** From JavaScript. */
interface Bare {
  readonly node: Times;
  readonly koffi: Times;
}

export const calls: Part = {
  title: 'Calls: the same module under Odonata and under node:wasi',
  nodes: () => 1,
  async run(setting) {
    // Beside that of the bench, where clusters keep their keys: nobody is granted those.
    const hostPath = mkdtempSync(join(tmpdir(), 'odonata-bench-calls-'));
    try {
      return await measure(setting, hostPath);
    } finally {
      rmSync(hostPath, { recursive: true, force: true });
    }
  },
};

async function measure(setting: Setting, hostPath: string): Promise<PartResult> {
  fill(hostPath);
  const { to, quick, signal, progress } = setting;
  await to.vkerneld(NODE).allowDirectory({ directory: { path: hostPath, readOnly: false } }, { signal });
  const program = await buildGuest('calls');
  const rounds = ROUNDS[quick ? 'quick' : 'whole'];
  const dirs = [{ hostPath, guestPath: GUEST_FOLDER, readOnly: false }];
  const sides = {
    ours: () => runGuest<Times>(setting, NODE, program, [GUEST_FOLDER, rounds], { dirs }),
    alone: () => alone(program, rounds, { hostPath, signal }),
  };
  const byNode: Bare[] = [];
  const pairs: Record<keyof typeof sides, Times>[] = [];
  const count = quick ? 1 : PAIRS;
  for (let i = 0; i < count; i++) {
    progress(`calls, pair ${i + 1} of ${count}`);
    const times: Partial<Record<keyof typeof sides, Times>> = {};
    for (const side of i % 2 === 0 ? (['ours', 'alone'] as const) : (['alone', 'ours'] as const))
      times[side] = await sides[side]();
    pairs.push(times as Record<keyof typeof sides, Times>);
    byNode.push(await fromJavaScript(hostPath, signal));
  }
  const kinds = Object.keys(pairs[0]!.alone).map((kind) => {
    const [ours, theirs] = (['ours', 'alone'] as const).map((side) =>
      median(pairs.map((pair) => pair[side][kind]!)),
    );
    const ratio = median(pairs.map(({ ours, alone }) => ours[kind]! / alone[kind]!));
    const node = byNode.flatMap((times) => times.node[kind] ?? []);
    const koffi = byNode.flatMap((times) => times.koffi[kind] ?? []);
    const figure = judge(`calls, ${kind}`, ratio, 'x', { most: RATIO_MOST });
    return {
      kind,
      oursNs: ours!,
      aloneNs: theirs!,
      ...(node.length > 0 && { nodeNs: median(node) }),
      ...(koffi.length > 0 && { koffiNs: median(koffi) }),
      figure,
    };
  });
  const us = (ns: number | undefined): string => (ns === undefined ? '' : round(ns / 1e3));
  const rows = kinds.map(({ kind, oursNs, aloneNs, nodeNs, koffiNs, figure }) => [
    ...[kind, us(oursNs), us(aloneNs), us(nodeNs), us(koffiNs)],
    figure.value.toFixed(2),
    ...verdictCells(figure),
  ]);
  const heads = columns(
    'CALL',
    '>ODONATA us',
    '>node:wasi us',
    '>JS ALONE us',
    '>BARE us',
    '>RATIO',
    'TARGET',
    'VERDICT',
  );
  const notes = [
    'Medians of pairs, of each the fastest of nine batches. A line: to standard error, read by this process.',
    'JS alone: the same by what Node has for it, with no program: the least that a virtual kernel in JavaScript takes without calls of its own.',
    'Bare: the system call alone, by koffi, outside of all walls: what a virtual kernel adds stands beside it.',
  ];
  return {
    figures: kinds.map(({ figure }) => figure),
    tables: [{ title: calls.title, columns: heads, rows, notes }],
    measured: { kinds: kinds.map(({ figure, ...rest }) => ({ ...rest, ratio: figure.value })), pairs },
  };
}

function fill(folder: string): void {
  mkdirSync(join(folder, 'names'));
  for (let i = 0; i < NAMES; i++) writeFileSync(join(folder, 'names', `name-${i}`), '');
}

async function fromJavaScript(hostPath: string, signal: AbortSignal): Promise<Bare> {
  const script = join(import.meta.dirname, 'node-calls.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [script, hostPath], { signal });
  const { bare, ...node } = JSON.parse(stdout) as Times & { bare: Times };
  return { node: node as Times, koffi: bare };
}

async function alone(
  program: string,
  rounds: number,
  { hostPath, signal }: { hostPath: string; signal: AbortSignal },
): Promise<Times> {
  const options = { args: [GUEST_FOLDER, String(rounds)], dirs: { [GUEST_FOLDER]: hostPath }, signal };
  const { code, stdout, stderr } = await runAlone(program, options);
  if (code !== 0)
    throw new Failure(`${basename(program)} alone: exit code ${code}: ${stderr.toString().slice(-500)}`);
  return JSON.parse(stdout.toString()) as Times;
}
