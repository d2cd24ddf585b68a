import type { Command } from 'commander';
import { clusterFlag } from '../cluster/cluster-flag.ts';
import { isAlive } from '../cluster/identity.ts';
import { holdsHomes, storedBytes } from '../cluster/kept-store.ts';
import { membersIn, readNodes } from '../cluster/nodes-file.ts';
import { type ClusterPaths, clusterPaths } from '../cluster/paths.ts';
import { letsIn } from '../cluster/people.ts';
import { readRecord } from '../cluster/record.ts';
import { stopCluster } from '../cluster/stop.ts';
import { expectHere } from '../connection.ts';
import { DoorRefusal } from '../door/messages.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { expectNoLodging, leaveFor } from '../lodger/lodge.ts';
import { type LodgerEntry, lodgersHere } from '../lodger/lodgers-file.ts';
import { doorOf, leave } from '../machine/link.ts';
import { type Membership, readMembership } from '../machine/membership.ts';
import { plural, say, sayAside } from '../output.ts';
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
    ['vkctl down --purge', 'on a machine that joined a cluster: its node leaves for good'],
  ]);
}

async function down(options: DownOptions): Promise<void> {
  if (options.keep && options.purge)
    throw new Failure('--keep and --purge exclude each other', { exitCode: EXIT.usage });
  const cluster = clusterOf(options);
  expectHere('down', options.cluster);
  const paths = clusterPaths(cluster);
  expectNoLodging(paths);
  const lodgers = lodgersHere(paths);
  const record = readRecord(paths.clusterFile);
  const runs = record !== undefined && isAlive(record.supervisor);
  if (options.keep && runs && options.sync) await syncDurable(record);
  const { purge } = options;
  const storeText = await afterwards(paths, { running: runs ? record : undefined, purge });
  const had = storedBytes(paths) > 0;
  const keepStore = !options.purge && (options.keep || !runs);
  const people = keepStore && letsIn(paths);
  const homes = keepStore && holdsHomes(paths);
  const membership = membershipHere(paths);
  if (membership !== undefined) {
    await downMember(paths, membership, options);
    return options.purge ? await leaveLodgings(lodgers, options) : undefined;
  }
  const members = membersHere(paths);
  const outcome = await stopCluster(paths, undefined, keepStore);
  if (!keepStore) await leaveLodgings(lodgers, options);
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
  if (members > 0)
    say(
      keepStore
        ? `${plural(members, 'node')} of other machines: still in it after the next vkctl up --address (--purge: not)`
        : `${plural(members, 'node')} of other machines had joined: end what is left there with vkctl down --purge`,
    );
  if (people) say('who was let in stays so, for the next vkctl up (--purge: not)');
  if (homes) say('homes of programs are kept, for the next vkctl up (--purge: not)');
  if (had) say(storeText());
  else if (options.keep)
    say(`nothing ${people || homes || members > 0 ? 'else ' : ''}is kept: no durable dataspace was synced`);
}

/** The cluster with which they lodged is no more. */
async function leaveLodgings(lodgers: readonly LodgerEntry[], { json }: DownOptions): Promise<void> {
  for (const { name, cluster } of lodgers) {
    const theirs = clusterPaths(cluster);
    const membership = membershipHere(theirs);
    const { node, cluster: of = cluster } = membership ?? {};
    const left = await leaveFor(theirs);
    await stopCluster(theirs, undefined, false);
    if (json) continue;
    say(
      left
        ? `${name}, ${node?.name} of cluster "${of}", has left that one`
        : `nothing is left here of ${node?.name} of cluster "${of}", which did not answer: take it out there with vkctl node rm ${node?.name}`,
    );
  }
}

function membershipHere(paths: ClusterPaths): Membership | undefined {
  try {
    return readMembership(paths);
  } catch {
    return undefined; // What cannot be read is ended as any other cluster.
  }
}

function membersHere(paths: ClusterPaths): number {
  try {
    return membersIn(readNodes(paths)).length;
  } catch {
    return 0;
  }
}

/** A node of a cluster that goes on elsewhere: it hands over what it has, and stays a node unless it is to leave. */
async function downMember(
  paths: ClusterPaths,
  { node, cluster: of, door, removed }: Membership,
  { purge, json }: DownOptions,
): Promise<void> {
  const outcome = await stopCluster(paths, undefined, true);
  let left = false;
  if (purge) {
    left = removed === true || (await hasLeft(paths, { door, node: node.name }));
    await stopCluster(paths, undefined, false);
  }
  if (json) return printJson({ cluster: paths.cluster, outcome, keptBytes: 0, keptPeople: false });
  const flag = clusterFlag(paths.cluster);
  if (!purge) {
    const down = outcome === 'nothing' ? 'is not up; nothing to do' : 'is down on this machine';
    const next = removed
      ? `it was removed from there: clear what is left here with: vkctl down --purge${flag}`
      : `start it again with: vkctl up${flag}`;
    return say(`${node.name} of cluster "${of}" ${down}; ${next}`);
  }
  if (left) say(`${node.name} has left cluster "${of}"; nothing is left of it here`);
  else
    say(
      `nothing is left here of ${node.name} of cluster "${of}", which did not answer: take it out there with vkctl node rm ${node.name}`,
    );
}

async function hasLeft(paths: ClusterPaths, member: { door: string; node: string }): Promise<boolean> {
  try {
    const client = doorOf(paths, member);
    await leave(client).finally(() => client.close());
    return true;
  } catch (error) {
    // It was taken out there already.
    return error instanceof DoorRefusal && error.refusal === 'NOT_IN';
  }
}
