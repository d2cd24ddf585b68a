// `npm run chaos`: breaks a cluster at random under work, and checks the histories. README.md says what and how.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@odonata/simulator/random.ts';
import { clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { buildPrograms } from '../../services/vkctl/cluster/programs.ts';
import { startCluster } from '../../services/vkctl/cluster/start.ts';
import { stopCluster } from '../../services/vkctl/cluster/stop.ts';
import { connectHere } from '../../services/vkctl/connection.ts';
import { EXIT, explain, Failure } from '../../services/vkctl/failure.ts';
import { plural } from '../../services/vkctl/output.ts';
import { mustBeWritable } from '../bench/output-file.ts';
import { Progress } from '../bench/progress.ts';
import { endedOperations, readHistories } from './history.ts';
import { chaosHtml } from './html.ts';
import { canCut, INSIDE } from './link-cut.ts';
import { Makers } from './makers.ts';
import { type Fault, Mischief } from './mischief.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { People } from './people.ts';
import { judge, type Report, reportText } from './report.ts';
import { historyFolder, Workers } from './workers.ts';

const CLUSTER = `chaos-${process.pid}`;
const WORKERS_PER_NODE = 2;

async function chaos(options: Options, folder: string, abort: AbortSignal): Promise<Report> {
  const { minutes, seed, nodes, directories, leaseMs } = options;
  const progress = new Progress();
  const histories = historyFolder(folder);
  const place = join(folder, 'people');
  for (const each of [histories, place]) mkdirSync(each);
  progress.show(`a cluster of ${plural(nodes, 'node')}`);
  try {
    // Beside all else pmaps are emptied by chance: nothing may notice but the clock. Its services have it from here.
    process.env.ODONATA_PMAPD_TEST_FLUSH_MS ??= '50';
    const record = await startCluster({
      ...{ cluster: CLUSTER, nodes, directories, leaseMs, port: 0, owner: process.pid },
      ...{ allowDirs: [histories, place], signal: abort, timeoutMs: 120_000, logLevel: 'warn' },
    });
    const to = await connectHere(record);
    const names = record.plan.nodes.map(({ name }) => name);
    const workers = await Workers.create({
      to,
      nodes: names,
      perNode: WORKERS_PER_NODE,
      folder: histories,
      seed,
    });
    const makers = await Makers.create(to, names);
    const people = await People.create(CLUSTER, place);
    const over = AbortSignal.any([abort, AbortSignal.timeout(minutes * 60_000)]);
    const faults: Fault[] = [];
    const mischief = new Mischief({
      ...{ cluster: CLUSTER, to, leaseMs, chance: new Random(seed), cuts: canCut(), signal: over },
      onFault: (fault) => {
        faults.push(fault);
        progress.show(`seed ${seed}: ${plural(faults.length, 'fault')}, ${fault.what}`);
      },
    });
    await Promise.all([workers.run(over), makers.run(over), people.run(over), mischief.run()]);
    abort.throwIfAborted();
    const amidFaults = endedOperations(readHistories(histories));
    progress.show('nothing is broken any more: does all go on?');
    const withinMs = 10 * leaseMs + 60_000;
    const troubles = (
      await Promise.all([workers.prove(withinMs), makers.prove(withinMs), people.prove(withinMs)])
    ).flat();
    const pmapFlushes = await flushes(to, names);
    progress.show('checking the histories');
    to.close();
    const report = judge({
      seed,
      minutes,
      cuts: canCut(),
      faults,
      amidFaults,
      ends: workers.ends,
      made: makers.ends,
      logins: people.ends,
      wrong: [...makers.wrong, ...people.wrong],
      troubles,
      pmapFlushes,
      histories: readHistories(histories),
    });
    if (options.keep && isBad(report)) keep(folder);
    return report;
  } finally {
    progress.clear();
    await stopCluster(clusterPaths(CLUSTER));
  }
}

/** Pmaps that were emptied by the pmap managers that run now; those that were killed took their counts with them. */
async function flushes(
  to: Awaited<ReturnType<typeof connectHere>>,
  nodes: readonly string[],
): Promise<number> {
  const stats = await Promise.all(nodes.map((name) => to.pmapd(name).getNodeStats({})));
  return stats.reduce((sum, { pmapFlushes }) => sum + Number(pmapFlushes), 0);
}

const isBad = ({ violations, troubles }: Report): boolean => violations.length + troubles.length > 0;

// Before the cluster goes down, which clears its logs.
function keep(folder: string): void {
  const kept = mkdtempSync(join(tmpdir(), 'odonata-chaos-kept-'));
  cpSync(historyFolder(folder), join(kept, 'history'), { recursive: true });
  cpSync(clusterPaths(CLUSTER).logDir, join(kept, 'logs'), { recursive: true });
  process.stderr.write(`\nhistories and logs are in ${kept}\n`);
}

/** Runs this again in a network namespace of its own, where that is permitted. @returns its exit code */
function inside(argv: string[]): number | undefined {
  if (process.env[INSIDE] !== undefined || process.getuid?.() !== 0) return undefined;
  if (spawnSync('unshare', ['-n', 'true'], { stdio: 'ignore' }).status !== 0) return undefined;
  const command = 'ip link set lo up && exec "$0" "$@"';
  const args = ['-n', 'sh', '-c', command, process.execPath, import.meta.filename, ...argv];
  const { status, signal } = spawnSync('unshare', args, {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  return status ?? (signal === 'SIGINT' ? 130 : 1);
}

async function main(argv: string[]): Promise<number> {
  let folder: string | undefined;
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => abort.abort(new Error('interrupted')));
  try {
    const options = parseOptions(argv);
    if (options === 'help') {
      console.log(HELP);
      return EXIT.ok;
    }
    // Their sources come from outside, which nobody reaches from inside.
    if (process.env[INSIDE] === undefined) await buildPrograms();
    const code = inside(argv);
    if (code !== undefined) return code;
    if (options.html !== undefined) mustBeWritable('--html', options.html);
    folder = mkdtempSync(join(tmpdir(), 'odonata-chaos-'));
    process.env.ODONATA_HOME = join(folder, 'home');
    const report = await chaos(options, folder, abort.signal);
    if (options.html !== undefined) writeFileSync(options.html, await chaosHtml(report));
    console.log(options.json ? JSON.stringify(report, undefined, 2) : reportText(report));
    return isBad(report) ? EXIT.failed : EXIT.ok;
  } catch (error) {
    if (abort.signal.aborted) return 130;
    process.stderr.write(`\nchaos: ${explain(error)}\n`);
    return error instanceof Failure ? error.exitCode : EXIT.failed;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

process.exit(await main(process.argv.slice(2)));
