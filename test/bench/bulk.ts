// Bytes by the hundred MiB: a file into a dataspace and back by the command line, and the pages of a node that leaves, beside the
// same bytes as raw messages between two processes.
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../services/vkctl/failure.ts';
import { clusterProcesses, cpuBetween, cpuTimes } from './cpu-time.ts';
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { columns, type Part, type Setting } from './part.ts';
import { rawStream } from './raw-line.ts';
import { median } from './samples.ts';
import { freshName, loadOn, removeDataspace } from './shared-memory.ts';
import { supplyMemory } from './supplied-memory.ts';

/** Of raw messages; as much as a disk gives is enough, too. */
const RATIO_LEAST = 0.7;
const MB_PER_S_LEAST = 300;
const MIB = 2 ** 20;
const MESSAGE_BYTES = 256 * 1024;
const REPETITIONS = 5;
const VKCTL = join(import.meta.dirname, '../../vkctl');
const HERE = 'node1';
const THERE = 'node2';
const DRAINED_MS = 60_000;

/** How bytes are moved by the command line; `saveCold`: through a node that has none of them. */
const MOVES = ['load', 'save', 'saveCold'] as const;
type Move = (typeof MOVES)[number];

interface Moved {
  mbPerS: number;
  /** Processor time in us for each MiB: of the command, of the pmapds, of all else. */
  cpuUs: Record<Doer, number>;
}

const DOERS = ['vkctl', 'pmapd', 'routers', 'others'] as const;
type Doer = (typeof DOERS)[number];

interface Repetition extends Record<Move, Moved> {
  /** MB/s */
  raw: number;
}

const NAMES: Record<Move, string> = {
  load: 'vkctl ds load',
  save: 'vkctl ds save',
  saveCold: 'vkctl ds save through another node',
};

export const bulk: Part = {
  title: 'Bytes by the hundred MiB',
  nodes: () => 2,
  async run(setting) {
    const mib = setting.quick ? 8 : 128;
    const file = join(setting.folder, 'bulk.in');
    await writeFile(file, randomFillSync(Buffer.alloc(mib * MIB)));
    const repetitions: Repetition[] = [];
    for (let i = 0; i < (setting.quick ? 1 : REPETITIONS + 1); i++) {
      setting.progress(`${mib} MiB, round ${i + 1}`);
      const repetition = await repeat(setting, mib, file);
      // The first one runs code that is not compiled.
      if (i > 0 || setting.quick) repetitions.push(repetition);
    }
    setting.progress('a node leaves');
    const drained = await drain(setting, mib);
    await rm(file);
    const raw = median(repetitions.map((each) => each.raw));
    const speedOf = (move: Move): number => median(repetitions.map((each) => each[move].mbPerS));
    const cpuOf = (move: Move, doer: Doer): number =>
      median(repetitions.map((each) => each[move].cpuUs[doer]));
    const rows = [
      ...MOVES.map((move) => row(`${NAMES[move]} of ${mib} MiB`, speedOf(move), raw)),
      row(`pages of a node that leaves, ${mib} MiB`, drained, raw),
    ];
    return {
      figures: rows.map(({ figure }) => figure),
      tables: [
        {
          title: `${bulk.title}: ${mib} MiB, ${repetitions.length} times`,
          columns: columns('WHAT', '>MB/s', '>OF RAW', 'TARGET', 'VERDICT'),
          rows: [
            [`raw grpc-js, messages of ${MESSAGE_BYTES / 1024} KiB`, round(raw), '1.00', '', ''],
            ...rows.map(({ cells }) => cells),
          ],
          notes: [
            'Medians; the commands from their start to their end, files in the page cache. The node leaves once, from SIGTERM to the end of its pmapd.',
            `The target is the lesser of ${MB_PER_S_LEAST} MB/s and ${RATIO_LEAST} of raw.`,
          ],
        },
        {
          title: 'Processor time for each MiB, in us, by process',
          columns: columns('WHAT', ...DOERS.map((doer) => `>${doer.toUpperCase()}`), '>SUM'),
          rows: MOVES.map((move) => {
            const us = DOERS.map((doer) => cpuOf(move, doer));
            return [NAMES[move], ...[...us, us.reduce((sum, each) => sum + each, 0)].map(round)];
          }),
          notes: ['Medians; of the command with its start.'],
        },
      ],
      measured: { mib, repetitions, drained },
    };
  },
};

function row(name: string, mbPerS: number, raw: number): { figure: Figure; cells: string[] } {
  const least = Math.min(RATIO_LEAST, MB_PER_S_LEAST / raw);
  const figure = judge(`${name}, share of raw grpc-js`, mbPerS / raw, 'x', {
    least: Number(least.toFixed(2)),
  });
  return { figure, cells: [name, round(mbPerS), round(mbPerS / raw), ...verdictCells(figure)] };
}

async function repeat(setting: Setting, mib: number, file: string): Promise<Repetition> {
  const name = freshName('bulk');
  const out = join(setting.folder, 'bulk.out');
  const timed = async (use: () => Promise<unknown>): Promise<number> => {
    supplyMemory(setting);
    const begin = performance.now();
    await use();
    return (mib * MIB) / 1e3 / (performance.now() - begin);
  };
  const ds = async (...args: string[]): Promise<Moved> => {
    const processes = await clusterProcesses(setting.to);
    const [before, commandsBefore] = [cpuTimes(processes), endedUs()];
    const mbPerS = await timed(() => vkctl(setting, ['ds', ...args]));
    const cpuUs: Moved['cpuUs'] = {
      vkctl: (endedUs() - commandsBefore) / mib,
      pmapd: 0,
      routers: 0,
      others: 0,
    };
    for (const [name, { usedUs }] of cpuBetween(before, cpuTimes(processes)))
      cpuUs[doerOf(name)] += usedUs / mib;
    return { mbPerS, cpuUs };
  };
  // A file that is there would be replaced, which ext4 writes to the disk first.
  const saveAnew = async (node: string): Promise<Moved> => {
    await rm(out, { force: true });
    return ds('save', name, out, '--node', node);
  };
  try {
    return {
      raw: await timed(() => rawStream(setting, mib * MIB, MESSAGE_BYTES)),
      load: await ds('load', name, file, '--node', HERE),
      save: await saveAnew(HERE),
      saveCold: await saveAnew(THERE),
    };
  } finally {
    await rm(out, { force: true });
    await removeDataspace(setting, HERE, name);
  }
}

const doerOf = (process: string): Doer =>
  process.endsWith('/pmapd') ? 'pmapd' : process.includes('syslink') ? 'routers' : 'others';

/** Processor time of all children of this process that ended: proc_pid_stat(5), in ticks of 10 ms. */
function endedUs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10_000;
}

async function vkctl({ to, signal }: Setting, args: string[]): Promise<void> {
  const command = spawn(VKCTL, [...args, '--quiet', '--cluster', to.cluster], {
    stdio: ['ignore', 'ignore', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  command.on('error', () => {}); // An abort; its exit is awaited.
  const [complaint, [code]] = await Promise.all([text(command.stderr), once(command, 'close')]);
  signal.throwIfAborted();
  if (code !== 0) throw new Failure(`vkctl ${args.join(' ')}: exit code ${code}: ${complaint}`);
}

/** MB/s of pages that one node alone has, while its pmapd ends for good. */
async function drain(setting: Setting, mib: number): Promise<number> {
  await loadOn(setting, THERE, freshName('drained'), mib * MIB);
  const pid = (await clusterProcesses(setting.to)).get(`${THERE}/pmapd`);
  if (pid === undefined) throw new Failure(`no pmapd of ${THERE}`);
  supplyMemory(setting);
  const begin = performance.now();
  process.kill(pid, 'SIGTERM');
  while (existsSync(`/proc/${pid}`)) {
    if (performance.now() - begin > DRAINED_MS) throw new Failure(`the pmapd of ${THERE} does not end`);
    await sleep(5, undefined, { signal: setting.signal });
  }
  return (mib * MIB) / 1e3 / (performance.now() - begin);
}
