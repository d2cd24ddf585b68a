// Snapshots: a program that initialises its heap for a second, from its start to its first line: cold, from its snapshot for the first time
// on a node, and then; and what a hundred of them have of memory.
import { readFileSync } from 'node:fs';
import { Dataspaces } from '@odonata/client/dataspaces.ts';
import type { Program } from '@odonata/client/program.ts';
import { type ProgramOptions, Programs } from '@odonata/client/programs.ts';
import { Snapshots } from '@odonata/client/snapshots/snapshots.ts';
import { buildGuest } from '../guests/build.ts';
import { judge, round, verdictCells } from './figure.ts';
import { columns, type Part, type Setting } from './part.ts';
import { median } from './samples.ts';

const FASTER_LEAST = 5;
/** Of what one has, without the image. */
const OWN_MOST = 0.1;
const NAME = 'bench-warm';

interface Scale {
  readonly mib: number;
  readonly rounds: number;
  readonly starts: number;
  readonly clones: number;
}

const scaleOf = (quick: boolean): Scale =>
  quick ? { mib: 8, rounds: 400, starts: 2, clones: 4 } : { mib: 64, rounds: 400, starts: 7, clones: 100 };

export const snapshots: Part = {
  title: 'Snapshots: a program that initialises its heap for a second',
  nodes: () => 2,
  async run(setting) {
    const scale = scaleOf(setting.quick);
    const { mib, starts, clones } = scale;
    const cold: number[] = [];
    for (let i = 0; i < starts; i++) {
      setting.progress(`cold start ${i + 1} of ${starts}`);
      cold.push(await coldMs(setting, scale));
    }
    setting.progress('takes its snapshot');
    const { heldMs, pages } = await take(setting, scale);
    const firsts: number[] = [];
    const warm: number[] = [];
    for (const node of ['node1', 'node2']) {
      setting.progress(`first clone on ${node}`);
      firsts.push(await cloneMs(setting, node));
      for (let i = 0; i < starts; i++) {
        setting.progress(`clone ${i + 1} of ${starts} on ${node}`);
        warm.push(await cloneMs(setting, node));
      }
    }
    const { ownPages, sharedPages } = await sharing(setting, clones);
    const faster = judge('clones, times as fast as cold', median(cold) / median(warm), 'x', {
      least: FASTER_LEAST,
    });
    const own = judge('clones, own pages of those of one heap', ownPages / clones / (mib * 256), '', {
      most: OWN_MOST,
    });
    const rows = [
      ['cold', String(cold.length), round(median(cold)), '', ''],
      ['first on a node', String(firsts.length), round(median(firsts)), '', ''],
      ['then', String(warm.length), round(median(warm)), ...verdictCells(faster)],
    ];
    const heads = columns('START', '>COUNT', '>p50 ms', 'TARGET', 'VERDICT');
    const notes = [
      `A heap of ${mib} MiB, to the first line that it writes. Its snapshot: ${pages} pages, held for ${heldMs} ms.`,
      `Cold is ${round(faster.value)} times as long as from the snapshot, once its node has it.`,
      `${clones} that run at one time, and read all of it: ${sharedPages} pages that they share, ${round(ownPages / clones)} of its own each.`,
    ];
    return {
      figures: [faster, own],
      tables: [{ title: snapshots.title, columns: heads, rows, notes }],
      measured: {
        mib,
        coldMs: cold,
        firstMs: firsts,
        warmMs: warm,
        heldMs,
        pages,
        clones,
        ownPages,
        sharedPages,
      },
    };
  },
};

async function start(
  { to, signal }: Setting,
  options: Pick<ProgramOptions, 'module' | 'node' | 'args'>,
  word: string,
): Promise<{ program: Program; ms: number; end: () => Promise<void> }> {
  const over = Promise.withResolvers<void>();
  async function* stdin(): AsyncGenerator<Uint8Array> {
    await over.promise;
    yield Buffer.from('over');
  }
  const sentMs = performance.now();
  const program = await new Programs(to).run({ name: 'warm', ...options, stdin: stdin(), signal });
  const found = Promise.withResolvers<number>();
  const all = (async () => {
    let text = '';
    for await (const data of program.stdout) {
      text += Buffer.from(data).toString();
      if (text.includes(`"${word}"`)) found.resolve(performance.now() - sentMs);
    }
  })();
  all.catch(found.reject);
  program.exit.then(
    ({ code, reason }) =>
      found.reject(new Error(`warm said no "${word}", and ended with ${code}: ${reason}`)),
    found.reject,
  );
  const ms = await found.promise;
  const end = async (): Promise<void> => {
    over.resolve();
    const { code, reason } = await program.exit;
    if (code !== 0) throw new Error(`warm ended with ${code}: ${reason}`);
  };
  return { program, ms, end };
}

const moduleOf = async (): Promise<Uint8Array> => readFileSync(await buildGuest('warm'));
const argsOf = ({ mib, rounds }: Scale): string[] => ['--mib', `${mib}`, '--rounds', `${rounds}`];
const snapshotsOf = ({ to }: Setting): Snapshots => new Snapshots(to, new Dataspaces(to));

async function coldMs(setting: Setting, scale: Scale): Promise<number> {
  const { ms, end } = await start(
    setting,
    { module: await moduleOf(), node: 'node1', args: argsOf(scale) },
    'ready',
  );
  await end();
  return ms;
}

async function take(setting: Setting, scale: Scale): Promise<{ heldMs: number; pages: number }> {
  const { program, end } = await start(
    setting,
    { module: await moduleOf(), node: 'node1', args: argsOf(scale) },
    'ready',
  );
  const taken = await snapshotsOf(setting).take(program.pid, NAME, { signal: setting.signal });
  await end();
  return taken;
}

async function cloneMs(setting: Setting, node: string): Promise<number> {
  const sentMs = performance.now();
  const { module } = await snapshotsOf(setting).open(NAME);
  const openedMs = performance.now() - sentMs;
  const { ms, end } = await start(setting, { module, node }, 'resumed');
  await end();
  return openedMs + ms;
}

async function sharing(setting: Setting, count: number): Promise<{ ownPages: number; sharedPages: number }> {
  const { module } = await snapshotsOf(setting).open(NAME);
  const running = [];
  for (let i = 0; i < count; i++) {
    setting.progress(`${i + 1} of ${count} at one time`);
    running.push(await start(setting, { module, node: 'node2', args: ['wait'] }, 'sum'));
  }
  const on = setting.to.pmapd('node2');
  const { vmspaces } = await on.listVmspaces({ pageSize: 1_000 });
  const { pagesShared } = await on.getNodeStats({});
  const ownPages = vmspaces.reduce((sum, { privatePages }) => sum + Number(privatePages), 0);
  for (const { end } of running) await end();
  return { ownPages, sharedPages: Number(pagesShared) };
}
