import type { Command } from 'commander';
import { isAlive } from '../cluster/identity.ts';
import { holdsHomes, storedBytes } from '../cluster/kept-store.ts';
import { clusterPaths } from '../cluster/paths.ts';
import { letsIn } from '../cluster/people.ts';
import { readRecord } from '../cluster/record.ts';
import { stopCluster } from '../cluster/stop.ts';
import { expectHere } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { say, sayAside } from '../output.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  examples,
  jsonOption,
  quietOption,
} from './options.ts';
import { afterwards, syncDurable } from './store-report.ts';

interface DownOptions extends ClusterOption {
  keep?: boolean;
  sync: boolean;
  purge?: boolean;
  json?: boolean;
}

export function addDown(program: Command): void {
  const command = program
    .command('down')
    .summary('end it, or clear what a killed one left')
    .description(
      'Ends the cluster: its processes, memory and files, the backing store of durable dataspaces among them unless ' +
        'it is told to keep that. Also clears what a killed one left, but for such a store: the next "up" goes on with it.',
    )
    .option('--keep', 'sync durable dataspaces, and keep them for the next "up"')
    .option('--no-sync', 'with --keep: only what was synced before, as where the cluster is not well')
    .option('--purge', 'delete the store also where the cluster does not run')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(down);
  examples(command, [
    ['vkctl down', 'the default cluster, and all that it had'],
    ['vkctl down --keep', 'durable dataspaces, homes and who was let in are there again after "vkctl up"'],
    ['vkctl down --purge', 'what was kept, too'],
    ['vkctl down -c second', 'another one'],
  ]);
}

async function down(options: DownOptions): Promise<void> {
  if (options.keep && options.purge)
    throw new Failure('--keep and --purge exclude each other', { exitCode: EXIT.usage });
  const cluster = clusterOf(options);
  expectHere('down', options.cluster);
  const paths = clusterPaths(cluster);
  const record = readRecord(paths.clusterFile);
  const runs = record !== undefined && isAlive(record.supervisor);
  if (options.keep && runs && options.sync) await syncDurable(record);
  const { purge } = options;
  const storeText = await afterwards(paths, { running: runs ? record : undefined, purge });
  const had = storedBytes(paths) > 0;
  const keepStore = !options.purge && (options.keep || !runs);
  const people = keepStore && letsIn(paths);
  const homes = keepStore && holdsHomes(paths);
  const outcome = await stopCluster(paths, undefined, keepStore);
  const said = {
    stopped: `cluster "${cluster}" is down`,
    cleared: `cluster "${cluster}" was dead; what it left is cleared`,
    nothing: `cluster "${cluster}" is not up; nothing to do`,
  };
  if (options.json) {
    const keptBytes = storedBytes(paths);
    return printJson({ cluster, outcome, keptBytes, keptPeople: people });
  }
  if (outcome === 'nothing') sayAside(said.nothing);
  else say(said[outcome]);
  if (people) say('who was let in stays so, for the next vkctl up (--purge: not)');
  if (homes) say('homes of programs are kept, for the next vkctl up (--purge: not)');
  if (had) say(storeText());
  else if (options.keep)
    say(`nothing ${people || homes ? 'else ' : ''}is kept: no durable dataspace was synced`);
}
