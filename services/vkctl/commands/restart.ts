import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { signalIdentity } from '../cluster/identity.ts';
import type { ClusterRecord, ServiceRecord } from '../cluster/record.ts';
import { askToReplace, canBeReplaced } from '../cluster/replace.ts';
import { connectToRouters, servicesNotReady } from '../cluster/start.ts';
import { type Connection, runningRecord } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';
import { json, print } from '../output.ts';
import { formatSpan } from '../size.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  examples,
  jsonOption,
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
      'Starts services anew, one at a time, and waits until each runs again and everything is ready. A pmap manager is ' +
        'replaced by another one that goes on with its memory; the programs of a node end with its vkerneld.',
    )
    .argument('[service...]', 'as "vkctl status" shows them')
    .option('--all', 'every service but NATS')
    .option('--timeout <seconds>', 'how long each may take', wholeNumber(1, 3600), 60)
    .addOption(clusterOption())
    .addOption(jsonOption())
    .action(restart);
  examples(command, [
    ['vkctl restart node1/pmapd', 'one service'],
    ['vkctl restart --all', 'all in turn: after a pull, the new version runs'],
  ]);
}

async function restart(names: string[], options: RestartOptions): Promise<void> {
  const cluster = clusterOf(options);
  const record = runningRecord(cluster);
  const wanted = chosen(record, names, options.all ?? false);
  const restarted: { name: string; tookMs: number }[] = [];
  for (const { name } of wanted) {
    const tookMs = await restartOne(cluster, name, options.timeout * 1000);
    restarted.push({ name, tookMs });
    if (!options.json) print(`${name} runs again (${formatSpan(tookMs)})`);
  }
  if (options.json) print(json(restarted));
}

/** Without names and with --all: the directory first, since everything else asks it. */
function chosen(record: ClusterRecord, names: string[], all: boolean): ServiceRecord[] {
  if (all === names.length > 0)
    throw new Failure('name services, or give --all', { exitCode: EXIT.usage, fix: 'See: vkctl status.' });
  if (all) return record.services.filter(({ name }) => name !== 'nats');
  return names.map((name) => {
    const service = record.services.find((each) => each.name === name);
    if (service !== undefined) return service;
    const known = record.services.map((each) => each.name).join(', ');
    throw new Failure(`no service "${name}"; there are: ${known}`, { exitCode: EXIT.usage });
  });
}

async function restartOne(cluster: string, name: string, timeoutMs: number): Promise<number> {
  const find = (): ServiceRecord => runningRecord(cluster).services.find((each) => each.name === name)!;
  const startMs = Date.now();
  const { process: identity, restarts, logFile } = find();
  const record = runningRecord(cluster);
  const tell = () =>
    canBeReplaced(name, record) ? askToReplace(name, record) : signalIdentity(identity!, 'SIGTERM');
  if (identity === undefined || !tell()) throw new Failure(`${name} does not run`, { fix: `See ${logFile}` });
  const endMs = startMs + timeoutMs;
  for (;;) {
    const { restarts: now, state } = find();
    const waits = now === restarts || state !== 'running' ? [name] : await notReady(cluster);
    if (waits.length === 0) return Date.now() - startMs;
    if (Date.now() > endMs)
      throw new Failure(`not ready after ${timeoutMs / 1000} s: ${waits.join(', ')}`, {
        fix: `See ${logFile}`,
      });
    await sleep(50);
  }
}

async function notReady(cluster: string): Promise<string[]> {
  const record = runningRecord(cluster);
  const connections = new Map<string, Connection>();
  try {
    await connectToRouters(record, connections);
    return await servicesNotReady(record, connections);
  } finally {
    for (const connection of connections.values()) connection.close();
  }
}
