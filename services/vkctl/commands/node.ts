import type { Cluster } from '@odonata/client/cluster.ts';
import { type Node as DoorNode, type NodeBounds, NodeState } from '@odonata/proto/door/v1/door';
import { delay } from '@odonata/rpc/backoff.ts';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, printNames, say, showProgress } from '../output.ts';
import { formatSize, formatSpan } from '../size.ts';
import { type Column, table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import { isDoorless, NO_DRAIN, type NoDoor, withDoor } from './node-door.ts';
import { addNodeToken } from './node-token.ts';
import {
  type ClusterOption,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
  wholeNumber,
} from './options.ts';
import { processesText, processorsText } from './vkernel-quota.ts';

const LOOK_MS = 300;

interface NodeOptions extends ClusterOption {
  timeout: number;
  force?: boolean;
  json?: boolean;
}

export function addNode(program: Command): void {
  const node = program
    .command('node')
    .summary('the machines of a cluster: list, drain, take out, let in')
    .description('The nodes of a cluster, and the machines that they are on.');
  examples(node, [
    ['vkctl node ls', 'which there are, and how they are'],
    ['vkctl node token add', 'prints the command by which a machine joins'],
    ['vkctl node drain node4', 'before its machine is switched off'],
    ['vkctl node rm node4', 'it is in the cluster no more'],
  ]);
  const ls = node
    .command('ls')
    .summary('list them')
    .description('Lists the nodes of the cluster, also those whose machine says nothing.')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print names only'))
    .action((options: ClusterOption & QuietOption & WatchOption) => watched(options, () => list(options)));
  watchable(ls);
  examples(ls, [
    ['vkctl node ls --watch 2', 'as they change'],
    ['vkctl node ls --json | jq -r \'.[] | select(.state != "ready").name\'', 'those that do not work'],
  ]);
  const drain = node
    .command('drain')
    .summary('have one hand over what it has, and rest')
    .description(
      'Programs that run on the node end, services go to other nodes, and its pages, too; then it rests until "vkctl node resume". Returns when that is done. For admins and operators, of a cluster that other machines may join.',
    );
  waits(drain, 'the others have no room, or there are none: what is lost then, is').action(drainOne);
  examples(drain, [['vkctl node drain node4', 'its machine may be switched off then']]);
  const resume = node
    .command('resume')
    .summary('have one that rests work again')
    .description(
      'Has a node that was drained work again, and returns when it does. For admins and operators, of a cluster that other machines may join.',
    );
  waits(resume).action(resumeOne);
  examples(resume, [['vkctl node resume node4', 'after its machine was mended']]);
  const rm = node
    .command('rm')
    .summary('take one out of the cluster')
    .description(
      'Takes the node of a machine that joined out of the cluster: drains it where it works, and then its certificates count no more. What is left on its machine ends by itself.',
    );
  waits(rm, 'at once, without draining').action(removeOne);
  examples(rm, [
    ['vkctl node rm node4', 'also one whose machine is gone'],
    ['vkctl node rm --force node4', 'one that is not to be trusted any more'],
  ]);
  addNodeToken(node);
}

function waits(command: Command, force?: string): Command {
  command.argument('<node>', 'as "vkctl node ls" shows it');
  if (force !== undefined) command.option('--force', force);
  return command
    .option('--timeout <seconds>', 'give up waiting after so long', wholeNumber(1, 3600), 60)
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption());
}

type StateName = 'ready' | 'away' | 'draining' | 'drained';
const STATES: Readonly<Record<NodeState, StateName>> = {
  [NodeState.UNSPECIFIED]: 'away',
  [NodeState.READY]: 'ready',
  [NodeState.AWAY]: 'away',
  [NodeState.DRAINING]: 'draining',
  [NodeState.DRAINED]: 'drained',
};

const boundsOf = ({ memoryBytes, cpuMillis, processes }: NodeBounds) => ({
  ...{ memoryBytes: Number(memoryBytes), cpuMillis, processes },
});

/** Of a machine that is somebody else's. */
const shownBounds = ({ memoryBytes, cpuMillis, processes }: ReturnType<typeof boundsOf>): string =>
  [
    ...(memoryBytes > 0 ? [formatSize(memoryBytes)] : []),
    ...(cpuMillis > 0 ? [processorsText(cpuMillis)] : []),
    ...(processes > 0 ? [processesText(processes)] : []),
  ].join(', ') || 'what is free';

const plain = (node: DoorNode) => ({
  ...{ name: node.name, index: node.index, state: STATES[node.state], here: node.here },
  ...(node.address === '' ? {} : { address: node.address }),
  ...(node.sinceMs === 0n ? {} : { sinceMs: Number(node.sinceMs) }),
  ...(node.seenMs === 0n ? {} : { seenMs: Number(node.seenMs) }),
  ...(node.release === '' ? {} : { release: node.release }),
  ...(node.load < 0 ? {} : { load: node.load }),
  ...(node.processors === 0 ? {} : { processors: node.processors }),
  ...(node.lodges && { lodges: boundsOf(node.lodges) }),
});

const nodesOf = async ({ connection }: Cluster, without?: NoDoor): Promise<DoorNode[]> =>
  (await withDoor(() => connection.door().listNodes({}), without)).nodes;

const COLUMNS: Column[] = [
  ...['NODE', 'STATE', 'ADDRESS', 'SINCE', 'SEEN'].map((head) => ({ head })),
  { head: 'LOAD', align: 'right' },
  { head: 'CPUS', align: 'right' },
  { head: 'RELEASE' },
  { head: 'LODGES WITH' },
];

async function list(options: ClusterOption & QuietOption & { json?: boolean }): Promise<void> {
  const nodes = (await withCluster(options, listed)).map(plain);
  if (options.json) return printJson(nodes);
  if (options.quiet) return printNames(nodes.map(({ name }) => name));
  const nowMs = Date.now();
  const ago = (ms: number | undefined): string =>
    ms === undefined ? '-' : formatSpan(Math.max(0, nowMs - ms));
  const rows = nodes.map(({ name, state, address, sinceMs, seenMs, load, processors, release, lodges }) => [
    ...[name, state, address ?? '-', ago(sinceMs), ago(seenMs)],
    ...[load === undefined ? '-' : load.toFixed(2), processors ?? '-', release ?? '-'],
    lodges === undefined ? '-' : shownBounds(lodges),
  ]);
  print(table(COLUMNS, rows));
}

/** Of a cluster of one machine the routers tell. */
async function listed(cluster: Cluster): Promise<DoorNode[]> {
  try {
    return (await cluster.connection.door().listNodes({})).nodes;
  } catch (error) {
    if (!isDoorless(error)) throw error;
    const nodes = await cluster.connection.nodes();
    return nodes.map(({ name, index, pmapd, vkerneld }) => ({
      ...{ $typeName: 'odonata.door.v1.Node', name, index, address: '', here: true, release: '' },
      state: pmapd?.connected && vkerneld?.connected ? NodeState.READY : NodeState.AWAY,
      ...{ sinceMs: 0n, seenMs: 0n, load: -1, processors: 0 },
    }));
  }
}

function named(nodes: readonly DoorNode[], name: string): DoorNode {
  const found = nodes.find((each) => each.name === name);
  if (found !== undefined) return found;
  throw new Failure(`no node "${name}"; nodes: ${nodes.map((each) => each.name).join(', ')}`);
}

async function drainOne(name: string, options: NodeOptions): Promise<void> {
  const before = await withCluster(options, (cluster) => drained(cluster, name, options));
  if (options.json) return printJson({ name, state: 'drained' });
  say(
    `${name} is drained${before === NodeState.DRAINED ? ' already' : ''}, and rests; it works again with: vkctl node resume ${name}`,
  );
}

/** @returns what it was before */
async function drained(cluster: Cluster, name: string, options: NodeOptions): Promise<NodeState> {
  const nodes = await nodesOf(cluster, NO_DRAIN);
  const { state } = named(nodes, name);
  if (state === NodeState.AWAY)
    throw new Failure(`${name} says nothing, and hands nothing over`, {
      fix: `Start it on its machine with "vkctl up", or take it out: vkctl node rm ${name}`,
    });
  const others = nodes.filter((each) => each.name !== name && each.state === NodeState.READY);
  if (others.length === 0 && !options.force && state !== NodeState.DRAINED)
    throw new Failure(`${name} is the only node that works: nobody would take over what it has`, {
      fix: 'Let another one work first (vkctl node ls), or give --force.',
    });
  await withDoor(() => cluster.connection.door().drainNode({ node: name, resume: false }));
  await until(cluster, name, NodeState.DRAINED, options);
  return state;
}

async function resumeOne(name: string, options: NodeOptions): Promise<void> {
  const before = await withCluster(options, async (cluster) => {
    const { state } = named(await nodesOf(cluster, NO_DRAIN), name);
    await withDoor(() => cluster.connection.door().drainNode({ node: name, resume: true }));
    await until(cluster, name, NodeState.READY, options);
    return state;
  });
  if (options.json) return printJson({ name, state: 'ready' });
  say(before === NodeState.READY ? `${name} works already` : `${name} works again`);
}

async function until(
  cluster: Cluster,
  name: string,
  wanted: NodeState,
  { timeout }: NodeOptions,
): Promise<void> {
  const endMs = Date.now() + timeout * 1_000;
  for (;;) {
    const { state } = named(await nodesOf(cluster), name);
    if (state === wanted && (wanted !== NodeState.READY || (await isAttached(cluster, name)))) return;
    if (Date.now() > endMs)
      throw new Failure(`${name} is ${STATES[state]} and not ${STATES[wanted]} after ${timeout} s`, {
        fix: 'It is told to, and may come to it later: vkctl node ls.',
      });
    showProgress(`${name} is ${STATES[state]}`);
    await delay(LOOK_MS);
  }
}

/** Its services are there for others, too. */
async function isAttached({ connection }: Cluster, name: string): Promise<boolean> {
  const node = (await connection.nodes()).find((each) => each.name === name);
  return node?.pmapd?.connected === true && node.vkerneld?.connected === true;
}

async function removeOne(name: string, options: NodeOptions): Promise<void> {
  const node = await withCluster(options, async (cluster) => {
    const found = named(await nodesOf(cluster), name);
    const works = found.state === NodeState.READY || found.state === NodeState.DRAINING;
    if (works && !found.here && !options.force) await drained(cluster, name, options);
    await withDoor(() => cluster.connection.door().removeNode({ node: name }));
    return found;
  });
  if (options.json) return printJson({ name, removed: true });
  const rest = node.state === NodeState.AWAY ? '; on its machine, if it comes back: vkctl down --purge' : '';
  say(`${name} is in the cluster no more, and its certificates count no more${rest}`);
}
