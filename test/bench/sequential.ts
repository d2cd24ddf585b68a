// Cold sequential read: a guest reads every word of a dataspace whose pages are all dirty on another node, beside the
// same bytes as raw messages between two processes.
import { backwards } from './backwards.ts';
import {
  CPU_NOTES,
  type CpuByPart,
  clusterProcesses,
  cpuBetween,
  cpuByPart,
  cpuCells,
  cpuColumns,
  cpuTimes,
} from './cpu-time.ts';
import { type Around, profileFaults, profileTables } from './fault-profile.ts';
import { judge, round, verdictCells } from './figure.ts';
import { type RunningGuest, runGuest, startGuest } from './guest-run.ts';
import { columns, type Part, type Setting } from './part.ts';
import { rawStream } from './raw-line.ts';
import { median } from './samples.ts';
import { freshName, loadOn, removeDataspace } from './shared-memory.ts';
import { supplyMemory } from './supplied-memory.ts';

const RATIO_LEAST = 0.85;
const CPU_MOST_MS = 4;
const MIB = 2 ** 20;
const WHOLE_MIB = 64;
const QUICK_MIB = 8;
const MESSAGE_BYTES = 256 * 1024;
/** A path that runs for the first times is not compiled: so many are not counted. */
const WARM_UPS = 4;
const REPETITIONS = 5;
const OWNER = 'node1';
const READER = 'node2';

interface Repetition {
  rawMibPerS: number;
  coldMibPerS: number;
  /** The same again by another process: the pages are on its node by then. */
  residentMibPerS: number;
  ratio: number;
  /** Of the cold read, for each MiB. */
  cpu: CpuByPart;
}

/** What the guest prints. */
interface Read {
  mib_per_s: number;
}

type Speed = Exclude<keyof Repetition, 'cpu'>;

export const sequential: Part = {
  title: 'Cold sequential read from another node',
  nodes: () => 2,
  async run(setting) {
    const mib = setting.quick ? QUICK_MIB : WHOLE_MIB;
    const count = setting.quick ? 1 : REPETITIONS;
    setting.progress('warming up');
    for (let i = 0; i < (setting.quick ? 1 : WARM_UPS); i++) await repeat(setting, mib);
    const repetitions: Repetition[] = [];
    for (let i = 0; i < count; i++) {
      setting.progress(`${mib} MiB, repetition ${i + 1} of ${count}`);
      repetitions.push(await repeat(setting, mib));
    }
    const profiles = setting.profile
      ? await profileFaults(setting, 'cold read', [READER, OWNER], (around) =>
          profiledRead(setting, mib, around),
        )
      : [];
    const back = await backwards(setting);
    const of = (key: Speed): number => median(repetitions.map((each) => each[key]));
    const ratio = judge(`sequential read of ${mib} MiB, share of raw grpc-js`, of('ratio'), 'x', {
      least: RATIO_LEAST,
    });
    const cpuMs = median(
      repetitions.map(({ cpu }) => Object.values(cpu.cpuUs).reduce((sum, us) => sum + us, 0) / 1e3),
    );
    const cost = judge(`sequential read of ${mib} MiB, processor time of all for a MiB`, cpuMs, 'ms', {
      most: CPU_MOST_MS,
    });
    const row = (name: string, key: Speed): string[] => [
      name,
      round(of(key)),
      round(of(key) / of('rawMibPerS')),
      '',
      '',
    ];
    const cold = row('cold: dirty on another node', 'coldMibPerS');
    cold.splice(2, 3, round(ratio.value), ...verdictCells(ratio));
    return {
      figures: [ratio, cost, ...back.figures],
      tables: [
        {
          title: `${sequential.title}: ${mib} MiB, ${count} times`,
          columns: columns('READ', '>MiB/s', '>OF RAW', 'TARGET', 'VERDICT'),
          rows: [
            row(`raw grpc-js, messages of ${MESSAGE_BYTES / 1024} KiB`, 'rawMibPerS'),
            cold,
            row('again: resident on the node, not mapped', 'residentMibPerS'),
          ],
          notes: ['Medians; OF RAW of the cold read is the median of the ratios of neighbours in time.'],
        },
        {
          title: 'The cold read: processor time for each MiB, in us, by process',
          columns: columns('REPETITION', ...cpuColumns()),
          rows: repetitions.map(({ cpu }, i) => [String(i + 1), ...cpuCells(cpu)]),
          notes: CPU_NOTES,
        },
        back.table,
        ...(profiles.length > 0 ? profileTables(profiles, 'MiB') : []),
      ],
      measured: {
        mib,
        messageBytes: MESSAGE_BYTES,
        repetitions,
        ratio: ratio.value,
        cpuMs,
        backwards: back.measured,
      },
    };
  },
};

async function repeat(setting: Setting, mib: number): Promise<Repetition> {
  const name = freshName('sequential');
  await loadOn(setting, OWNER, name, mib * MIB);
  supplyMemory(setting);
  const rawMibPerS = mib / ((await rawStream(setting, mib * MIB, MESSAGE_BYTES)) / 1e9);
  supplyMemory(setting);
  const guest = await waitingReader(setting, name);
  const processes = await clusterProcesses(setting.to);
  const before = cpuTimes(processes);
  await guest.go();
  const { mib_per_s: coldMibPerS } = await guest.line<Read>();
  const cpu = cpuByPart(cpuBetween(before, cpuTimes(processes)), READER, mib);
  await guest.end();
  const residentMibPerS = await readAll(setting, name);
  await removeDataspace(setting, OWNER, name);
  return { rawMibPerS, coldMibPerS, residentMibPerS, ratio: coldMibPerS / rawMibPerS, cpu };
}

async function profiledRead(setting: Setting, mib: number, around: Around): Promise<number> {
  const name = freshName('sequential');
  await loadOn(setting, OWNER, name, mib * MIB);
  supplyMemory(setting);
  const guest = await waitingReader(setting, name);
  await around.before();
  await guest.go();
  await guest.line<Read>();
  await around.after();
  await guest.end();
  await removeDataspace(setting, OWNER, name);
  return mib;
}

/** Loads a dataspace on one node; another reads it with nothing of it. @returns MiB/s */
export async function coldRead(setting: Setting, mib: number): Promise<number> {
  const name = freshName('cold');
  await loadOn(setting, OWNER, name, mib * MIB);
  supplyMemory(setting);
  const mibPerS = await readAll(setting, name);
  await removeDataspace(setting, OWNER, name);
  return mibPerS;
}

/** A guest that has it mapped: its start is no part of what is measured. */
async function waitingReader(setting: Setting, name: string): Promise<RunningGuest> {
  const guest = await startGuest(setting, READER, 'stream', [name, 'read', '--wait']);
  await guest.line<object>();
  return guest;
}

async function readAll(setting: Setting, name: string): Promise<number> {
  const { mib_per_s } = await runGuest<Read>(setting, READER, 'stream', [name, 'read']);
  return mib_per_s;
}
