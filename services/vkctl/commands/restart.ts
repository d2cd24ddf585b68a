import { readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '@odonata/client/cluster.ts';
import { readShownLodgers, type ShownLodger } from '@odonata/rpc/lodging/shown.ts';
import type { Command } from 'commander';
import { signalIdentity } from '../cluster/identity.ts';
import type { ClusterRecord, ServiceRecord } from '../cluster/record.ts';
import { askToReplace, canBeReplaced } from '../cluster/replace.ts';
import { connectToRouters, servicesNotReady } from '../cluster/until-ready.ts';
import { expectHere, runningRecord, withCluster } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { type LostPages, lostPages, newlyLost } from '../lost-pages.ts';
import { memberWaits } from '../machine/ready.ts';
import { printError, say, showProgress } from '../output.ts';
import { formatSpan } from '../size.ts';
import { nodeFolders } from '../supervisor/service-spec.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  examples,
  jsonOption,
  quietOption,
  wholeNumber,
} from './options.ts';

interface RestartOptions extends ClusterOption {
  all?: boolean;
  timeout: number;
  json?: boolean;
}

export function addRestart(program: Command): void {
  const command = program
    .command('restart')
    .summary('restart services one after another')
    .description(
      'Starts services anew, one at a time, and waits until each runs again and everything is ready. Programs go on: ' +
        'another pmapd takes over the memory of its node, another vkerneld the virtual kernels. But the line of a ' +
        '"vkctl run" through what restarts breaks. A service that was given up since it ended again and again starts. Ends with 1 where a hand-over was given up and the service goes on ' +
        'as it was, or where pages of shared dataspaces were lost.',
    )
    .argument('[service...]', 'as "vkctl status" shows them')
    .option('--all', 'every service but NATS, and the vkerneld of clusters that lodge here')
    .option('--timeout <seconds>', 'how long each may take', wholeNumber(1, 3600), 60)
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(restart);
  examples(command, [
    ['vkctl restart node1/pmapd', 'one service'],
    ['vkctl restart --all', 'all in turn: after a pull, the new version runs'],
  ]);
}

async function restart(names: string[], options: RestartOptions): Promise<void> {
  const cluster = clusterOf(options);
  expectHere('restart', options.cluster);
  const record = await runningRecord(cluster);
  const wanted = chosen(record, names, options.all ?? false);
  const restarted: { name: string; tookMs: number; lost?: string }[] = [];
  let before = await countLost(cluster);
  // Whoever interrupts it, or meets a failure, is told how far it came.
  const progress = { done: [] as string[], now: '', wanted };
  for (const signal of ENDING)
    process.once(signal, () => {
      printError(`vkctl: interrupted: ${farText(progress)}`);
      process.exit(128 + constants.signals[signal]);
    });
  for (const [at, name] of wanted.entries()) {
    progress.now = name;
    const place = `${at + 1}/${wanted.length} ${name}`;
    const timeoutMs = options.timeout * 1_000;
    const restarts = lodgersOf(record).has(name)
      ? restartLodger(record, name, timeoutMs, place)
      : restartOne(cluster, name, timeoutMs, place);
    const tookMs = await restarts.catch((error) => {
      if (options.json) printJson(restarted);
      if (wanted.length > 1) printError(`vkctl: not done: ${farText(progress)}`);
      throw error;
    });
    progress.done.push(name);
    const after = await countLost(cluster);
    if (after === undefined && record.plan.member === undefined)
      printError(
        `vkctl: the directory does not tell whether pages were lost when ${name} restarted; see: vkctl status`,
      );
    const lost = newlyLost(before ?? new Map(), after ?? new Map());
    // What was lost before this restart is not of this restart; where nobody could count, there is nothing to compare.
    const blamed = before !== undefined && lost !== '' ? { lost } : {};
    before = after ?? before;
    restarted.push({ name, tookMs, ...blamed });
    if (!options.json) say(`${name} runs again (${formatSpan(tookMs)})`);
  }
  if (options.json) printJson(restarted);
  const losers = restarted.filter(({ lost }) => lost !== undefined);
  if (losers.length > 0) throw new Failure(losers.map(lossOf).join('; '), { fix: 'vkctl ds ls shows them.' });
}

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** `restarted: cohd; asked, and not waited for: node1/pmapd; as before: node1/vkerneld` */
function farText({ done, now, wanted }: { done: string[]; now: string; wanted: string[] }): string {
  const rest = wanted.filter((name) => name !== now && !done.includes(name));
  const current = done.includes(now) ? '' : now;
  return [
    `restarted: ${done.join(', ') || 'nothing'}`,
    ...(current === '' ? [] : [`asked, and may still restart: ${current}`]),
    ...(rest.length === 0 ? [] : [`not touched: ${rest.join(', ')}`]),
  ].join('; ');
}

const lossOf = ({ name, lost }: { name: string; lost?: string }): string =>
  `pages were lost when ${name} restarted: ${lost}`;

/** Undefined: the directory does not tell, which must not keep anybody from restarting it. */
async function countLost(cluster: string): Promise<LostPages | undefined> {
  return await withCluster({ cluster }, lostPages).catch(() => undefined);
}

/** Without names and with --all: the directory first, since everything else asks it. */
function chosen(record: ClusterRecord, names: string[], all: boolean): string[] {
  if (all === names.length > 0) {
    const what = all ? '--all and names of services exclude each other' : 'name services, or give --all';
    throw new Failure(what, { exitCode: EXIT.usage, fix: 'See: vkctl status.' });
  }
  const own = record.services.map(({ name }) => name);
  const lodgers = lodgersOf(record);
  if (all)
    return [
      ...own.filter((name) => name !== 'nats'),
      ...[...lodgers].filter(([, { hostPid }]) => hostPid > 0).map(([name]) => name),
    ];
  for (const name of names)
    if (!own.includes(name) && !lodgers.has(name))
      throw new Failure(`no service "${name}"; there are: ${[...own, ...lodgers.keys()].join(', ')}`, {
        exitCode: EXIT.usage,
      });
  return names;
}

/** What runs here of clusters that lodge on this machine, beside their part of its pmapd: `NAME/vkerneld`. */
const lodgersOf = ({ plan }: ClusterRecord): Map<string, ShownLodger> =>
  new Map(
    plan.nodes
      .flatMap(({ name }) => readShownLodgers(nodeFolders(plan, name).socketDir))
      .map((each) => [`${each.name}/vkerneld`, each]),
  );

/** Its supervisor is that of this machine, which shows how it stands. */
async function restartLodger(
  record: ClusterRecord,
  name: string,
  timeoutMs: number,
  place: string,
): Promise<number> {
  const startMs = Date.now();
  const before = lodgersOf(record).get(name)?.hostPid ?? 0;
  if (before === 0 || record.replaces !== true || !askToReplace(name, record))
    throw new Failure(`${name} does not run`, { fix: 'See: vkctl vkernel ls' });
  for (;;) {
    const { hostPid, state } = lodgersOf(record).get(name) ?? { hostPid: 0, state: 'gone' };
    if (hostPid > 0 && hostPid !== before && state === 'ready') return Date.now() - startMs;
    showProgress(`${place} restarts (${formatSpan(Date.now() - startMs)})`);
    if (Date.now() > startMs + timeoutMs)
      throw new Failure(`${name} is ${state} after ${timeoutMs / 1000} s`, { fix: 'See: vkctl vkernel ls' });
    await sleep(100);
  }
}

/** @param place for whoever watches: which it is of how many */
async function restartOne(cluster: string, name: string, timeoutMs: number, place: string): Promise<number> {
  const find = async (): Promise<ServiceRecord> =>
    (await runningRecord(cluster)).services.find((each) => each.name === name)!;
  const startMs = Date.now();
  const { process: identity, state: before, restarts, notReplaced = 0, logFile } = await find();
  const loggedBytes = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  const record = await runningRecord(cluster);
  const tell = (): boolean => {
    if (before === 'waiting') return true; // It starts by itself in a moment.
    if (before === 'failed' || canBeReplaced(name, record)) return askToReplace(name, record);
    return identity !== undefined && signalIdentity(identity, 'SIGTERM');
  };
  if (!tell()) throw new Failure(`${name} does not run`, { fix: `See ${logFile}` });
  const endMs = startMs + timeoutMs;
  for (;;) {
    const { restarts: now, state, notReplaced: failed = 0 } = await find();
    if (failed > notReplaced && now === restarts)
      throw new Failure(`${name} was not replaced, and goes on: ${reasonIn(logFile, loggedBytes)}`, {
        fix: `Try again, or see ${logFile}`,
      });
    const waits = now === restarts || state !== 'running' ? [name] : await notReady(cluster);
    if (waits.length === 0) return Date.now() - startMs;
    const others = waits.filter((each) => each !== name);
    const what = others.length === 0 ? 'restarts' : `runs, waiting for ${others.slice(0, 3).join(', ')}`;
    showProgress(`${place} ${what} (${formatSpan(Date.now() - startMs)})`);
    if (Date.now() > endMs)
      throw new Failure(`not ready after ${timeoutMs / 1000} s: ${waits.join(', ')}`, {
        fix: `See ${logFile}`,
      });
    await sleep(50);
  }
}

/** Why a hand-over was given up, or never began, from the log of both processes. */
function reasonIn(logFile: string, fromBytes: number): string {
  const lines = readFileSync(logFile).subarray(fromBytes).toString().split('\n').filter(isJson).reverse();
  for (const line of lines) {
    const { msg, reason } = JSON.parse(line) as LogLine;
    if (msg?.includes('given up: this ') && reason !== undefined) return reason;
  }
  // What the next one complained of, if it did: an ordinary line is no reason.
  for (const line of lines) {
    const { level, msg, err } = JSON.parse(line) as LogLine;
    if (level === 'error' || level === 'fatal') return [msg, err?.message].filter(Boolean).join(': ');
  }
  return 'the one that runs did not hand over in time';
}

interface LogLine {
  level?: string;
  msg?: string;
  reason?: string;
  err?: { message?: string };
}

const isJson = (line: string): boolean => /^\{.*\}$/.test(line);

async function notReady(cluster: string): Promise<string[]> {
  const record = await runningRecord(cluster);
  if (record.plan.member !== undefined) return await memberWaits(record);
  const routers = new Map<string, Cluster>();
  try {
    await connectToRouters(record, routers);
    return await servicesNotReady(record, routers);
  } finally {
    for (const router of routers.values()) router.close();
  }
}
