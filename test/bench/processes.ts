// Processes: what a child costs, on its parent's node and on another one; what goes through a pipe, beside a pipe of this machine's
// kernel and a stream of raw grpc-js; how long a signal takes to its handler; and a list of all processes.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { listProcesses } from '@odonata/client/process-list.ts';
import { Failure } from '../../services/vkctl/failure.ts';
import { round } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { columns, type Part, type Setting } from './part.ts';
import { rawStream } from './raw-line.ts';
import { latencyOf, median } from './samples.ts';

const PARENT = 'node1';
const MIB = 2 ** 20;
const PIECE_BYTES = 64 * 1024;
const FULL = { spawns: 100, trips: 500, pipeMib: 64, repetitions: 7, filled: 10, lists: 30 };
const QUICK = { spawns: 5, trips: 20, pipeMib: 2, repetitions: 1, filled: 0, lists: 2 };

/** What a guest calls a node: its own. */
const SAME = '-';
const PLACES = [
  { where: 'the parent’s virtual kernel', node: SAME },
  { where: 'another node', node: 'node2' },
] as const;

export const processes: Part = {
  title: 'Processes: children, signals, pipes and lists',
  nodes: () => 2,
  async run(setting) {
    const size = setting.quick ? QUICK : FULL;
    const times: { what: string; where: string; p50Us: number; p99Us: number; samples: number }[] = [];
    for (const { where, node } of PLACES) {
      const add = (what: string, ns: number[]) => times.push({ what, where, ...latencyOf(ns) });
      setting.progress(`children in ${where}`);
      const guest = (...args: (string | number)[]) => runGuest<Samples>(setting, PARENT, 'relatives', args);
      const spawned = await guest('spawn', size.spawns, node);
      add('spawn to its first byte', spawned.first_ns!);
      add('spawn to the end of waiting for it', spawned.end_ns!);
      setting.progress(`bytes and signals to ${where}`);
      add('a byte there and back, by pipes', (await guest('echo', size.trips, node)).ns!);
      for (const state of ['WAITS', 'COMPUTES'] as const) {
        const what = `kill to its handler, where it ${state === 'WAITS' ? 'waits' : 'computes'}`;
        add(what, (await guest('signal', size.trips, node, state)).ns!);
      }
    }
    const pipes = await pipeSpeeds(setting, size);
    // Until each node has as many that ended as it remembers.
    for (let i = 0; i < size.filled; i++) {
      setting.progress(`children for a long list, ${i + 1} of ${size.filled}`);
      await Promise.all(
        PLACES.map(({ node }) => runGuest(setting, PARENT, 'relatives', ['spawn', 100, node])),
      );
    }
    setting.progress('lists');
    const list = await lists(setting, size.lists);
    const heads = columns('WHAT', 'CHILD IN', '>COUNT', '>p50 us', '>p99 us');
    return {
      figures: [],
      tables: [
        {
          title: processes.title,
          columns: heads,
          rows: [
            ...times.map(({ what, where, p50Us, p99Us, samples }) => [
              ...[what, where, String(samples), round(p50Us), round(p99Us)],
            ]),
            [
              `a list of all ${list.count} processes, those that ended among them`,
              ...['', String(list.samples), round(list.p50Us), round(list.p99Us)],
            ],
          ],
          notes: [
            'As the parent sees it. kill to its handler: until a byte that the handler writes is read, so half of a byte there and back is in it.',
          ],
        },
        {
          title: `Pipes: ${size.pipeMib} MiB, in writes of ${PIECE_BYTES / 1024} KiB`,
          columns: columns('THROUGH', '>MiB/s', '>OF RAW'),
          rows: pipes.map(({ through, mibPerS, ofRaw }) => [through, round(mibPerS), round(ofRaw)]),
          notes: [
            'Medians. OF RAW: of the stream of raw grpc-js, the median of the ratios of neighbours in time.',
          ],
        },
      ],
      measured: { times, pipes, list },
    };
  },
};

interface Samples {
  ns?: number[];
  first_ns?: number[];
  end_ns?: number[];
}

async function pipeSpeeds(setting: Setting, { pipeMib, repetitions }: typeof FULL) {
  const bytes = pipeMib * MIB;
  const guestNs = async (node: string) => {
    const args = ['pipe', bytes, PIECE_BYTES, node];
    return (await runGuest<{ ns: number }>(setting, PARENT, 'relatives', args)).ns;
  };
  const ways: { through: string; ns: () => Promise<number> }[] = [
    { through: 'a stream of raw grpc-js', ns: () => rawStream(setting, bytes, PIECE_BYTES) },
    { through: 'a pipe of this machine’s kernel: dd and wc', ns: () => kernelPipeNs(setting, bytes) },
    { through: 'a pipe in the parent’s virtual kernel', ns: () => guestNs(SAME) },
    { through: 'a pipe to another node', ns: () => guestNs('node2') },
  ];
  const runs = ways.map(() => [] as number[]);
  for (let i = 0; i < repetitions; i++)
    for (const [which, { through, ns }] of ways.entries()) {
      setting.progress(`${through}, ${i + 1} of ${repetitions}`);
      runs[which]!.push(await ns());
    }
  return ways.map(({ through }, which) => ({
    through,
    mibPerS: pipeMib / (median(runs[which]!) / 1e9),
    ofRaw: median(runs[which]!.map((ns, i) => runs[0]![i]! / ns)),
  }));
}

/** From the start of the two, which is little beside so many bytes. */
async function kernelPipeNs({ signal }: Setting, bytes: number): Promise<number> {
  const beginNs = process.hrtime.bigint();
  const shell = spawn(
    'sh',
    ['-c', `dd if=/dev/zero bs=${PIECE_BYTES} count=${bytes / PIECE_BYTES} 2>/dev/null | wc -c`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      signal,
    },
  );
  let said = '';
  shell.stdout.on('data', (text) => {
    said += text;
  });
  const [code] = await once(shell, 'close');
  if (code !== 0 || Number(said) !== bytes) throw new Failure(`the pipe of this machine: ${said.trim()}`);
  return Number(process.hrtime.bigint() - beginNs);
}

async function lists({ to, signal }: Setting, samples: number) {
  const ns: number[] = [];
  let count = 0;
  for (let i = 0; i < samples; i++) {
    const beginNs = process.hrtime.bigint();
    count = (await listProcesses(to, signal)).processes.length;
    ns.push(Number(process.hrtime.bigint() - beginNs));
  }
  return { count, ...latencyOf(ns) };
}
