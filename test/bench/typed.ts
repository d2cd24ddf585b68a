// What somebody waits for who types: `vkctl run` of a small program, beside the same program under node:wasi, and `vkctl up`. As
// processes, from their start to their end, with the processor time of their own.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { buildGuest } from '../guests/build.ts';
import type { Setting } from './part.ts';
import { median } from './samples.ts';

const VKCTL = fileURLToPath(new URL('../../vkctl', import.meta.url));
const ALONE = fileURLToPath(new URL('../guests/run-alone.ts', import.meta.url));
const ROUNDS = 15;
const UPS = 7;
const COMMAND_MS = 120_000;

export interface Typed {
  readonly runMs: number;
  readonly runCpuMs: number;
  readonly aloneMs: number;
  /** Of a cluster of three nodes. */
  readonly upMs: number;
}

interface Spent {
  wallMs: number;
  /** Of it and of its own children that it waited for. */
  cpuMs: number;
}

/** Medians. */
export async function typed(setting: Setting): Promise<Typed> {
  const { to, quick, progress, folder } = setting;
  const program = await buildGuest('hello');
  const environment = { ODONATA_HOME: folder, ODONATA_CLUSTER: to.cluster };
  const runs: Spent[] = [];
  const alone: Spent[] = [];
  const rounds = quick ? 2 : ROUNDS;
  // The first one makes what the others find.
  for (let i = -1; i < rounds; i++) {
    progress(`vkctl run ${i + 1} of ${rounds}`);
    const run = await spent(VKCTL, ['run', '--node', 'node1', program], environment, setting);
    const same = await spent(process.execPath, [ALONE, program], {}, setting);
    if (i < 0) continue;
    runs.push(run);
    alone.push(same);
  }
  const ups: Spent[] = [];
  const times = quick ? 1 : UPS;
  for (let i = 0; i < times; i++) {
    progress(`vkctl up ${i + 1} of ${times}`);
    const cluster = { ODONATA_HOME: folder, ODONATA_CLUSTER: `${to.cluster}-up` };
    try {
      const up = ['up', '--nodes', '3', '--port', '0'];
      ups.push(await spent(VKCTL, up, cluster, setting));
    } finally {
      await spent(VKCTL, ['down'], cluster, { ...setting, signal: AbortSignal.timeout(COMMAND_MS) });
    }
  }
  const wall = (all: readonly Spent[]): number => median(all.map(({ wallMs }) => wallMs));
  return {
    runMs: wall(runs),
    runCpuMs: median(runs.map(({ cpuMs }) => cpuMs)),
    aloneMs: wall(alone),
    upMs: wall(ups),
  };
}

async function spent(
  command: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  { signal }: Pick<Setting, 'signal'>,
): Promise<Spent> {
  const env = { ...process.env, ...environment };
  const begunMs = performance.now();
  // `times` of a shell: of what it waited for.
  const shell = ['-c', '"$@" >/dev/null && times', 'sh', command, ...args];
  const child = spawn('/bin/sh', shell, { env, signal, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text;
    });
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  const wallMs = performance.now() - begunMs;
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}: ${said.stderr.trim()}`);
  return { wallMs, cpuMs: cpuMsIn(said.stdout) };
}

/** The second line: `0m0.08s 0m0.02s`, of children. */
function cpuMsIn(times: string): number {
  const [, children = ''] = times.trim().split('\n');
  const seconds = [...children.matchAll(/(\d+)m([\d.]+)s/g)].map(([, m, s]) => Number(m) * 60 + Number(s));
  return seconds.reduce((sum, each) => sum + each, 0) * 1000;
}
