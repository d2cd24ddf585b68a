import type { VkernelName } from '@odonata/client/vkernels.ts';
import type { Vkernel } from '@odonata/proto/vkernel/v1/vkernel';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, explain, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, printError, printNames, say } from '../output.ts';
import { formatSize } from '../size.ts';
import { type Column, table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import { ownAddress } from './join.ts';
import {
  type ClusterOption,
  clusterOption,
  collect,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
  userOption,
  wholeNumber,
} from './options.ts';
import {
  type CreateOptions,
  expectNoLodger,
  lodgeHere,
  lodgerOf,
  removeLodger,
  setLodger,
} from './vkernel-lodger.ts';
import {
  namesOf,
  type PlaceOptions,
  processesText,
  type QuotaOptions,
  quotaOf,
  shownQuota,
} from './vkernel-quota.ts';
import { Later, nodesOf, ofHost, sayNamesBefore } from './vkernel-said.ts';

interface ListOptions extends ClusterOption, QuietOption, WatchOption {
  node?: string;
  hostCluster?: string;
}

export function addVkernel(program: Command): void {
  const vkernel = program
    .command('vkernel')
    .summary('virtual kernels: what each may have, and has')
    .description(
      'A virtual kernel is made by the first program that runs in it, and may have what is free then. These commands say beforehand, or while it runs, what it may have. ' +
        'One of another cluster (create --cluster CLUSTER --join ADDRESS --token TOKEN) makes this machine a node there, too, with that identity and these quotas.',
    );
  examples(vkernel, [
    ['vkctl vkernel create web --memory 1G --cpus 0.5', 'before anything runs in it'],
    ['vkctl vkernel set web --cpu-weight 300', 'three times the part of others where processors are short'],
    [
      'vkctl vkernel create guest --cluster work --join 10.0.0.1 --token odo1.AbC... --memory 1G',
      'this machine is a node of that cluster, too',
    ],
    ['vkctl vkernel ls', 'what each may have, and has'],
  ]);
  addList(vkernel);
  const create = quotaOptions(
    vkernel
      .command('create')
      .summary('say what a virtual kernel may have that is not there yet')
      .description(
        'It starts when the first program runs in it: vkctl run --vkernel NAME. With --join and --token it is the part of this machine that another cluster gets: ' +
          'the machine, a node of its own cluster, becomes a node of that one beside, with an identity, homes, sockets and quotas of that one. ' +
          'Then --cluster is how that cluster is called on this machine.',
      )
      .argument('<name>', '1 to 32 of a-z 0-9 -')
      .option(
        '--join <address>',
        'of the machine where the other cluster began, host or host:port; see "vkctl join"',
      )
      .option('--token <token>', 'what "vkctl node token add" printed there; -: read it from standard input')
      .option(
        '--address <address>',
        'with --join: by which the machines of the other cluster reach this one, host or host:port; else as of its own cluster, and the first free port from 7431',
        ownAddress,
      )
      .option('--timeout <seconds>', 'with --join: give up after so long', wholeNumber(1, 3600), 60),
    'the node; else all',
  ).action(createOne);
  examples(create, [
    [
      'vkctl vkernel create guest --cluster work --join 10.0.0.1 --token odo1.AbC... --memory 1G --cpus 2',
      'this machine is a node of cluster work, too',
    ],
    ['vkctl vkernel create web --memory 1G --processes 10', 'on each node, also those that join later'],
    ['vkctl vkernel create batch --node node2 --cpu-weight 10', 'gives way to all others'],
    ['vkctl vkernel create default --user alice --cpus 1', "alice's, before she comes"],
  ]);
  const set = quotaOptions(
    vkernel
      .command('set')
      .summary('change what it may have, also while it runs')
      .description(
        'What is not named stays; 0 takes a bound away. What it has already it keeps: it gets no more, and its programs end where they need more.',
      )
      .argument('<name>', 'as "vkctl vkernel ls" shows it'),
    'the node; else all that have it',
  ).action(setOne);
  examples(set, [
    ['vkctl vkernel set default --cpu-weight 300', 'your own'],
    ['vkctl vkernel set web --memory 2G --cpus 0', 'more memory, all processors'],
    ['vkctl vkernel set default --user alice --processes 20', "alice's"],
    ['vkctl vkernel set default --user alice --may-connect bob:db', "what bob's programs serve to everybody"],
  ]);
  const halt = placeOptions(
    vkernel
      .command('halt')
      .summary('end it with all that runs in it')
      .description('What it may have stays; the next program that runs in it starts it again.')
      .argument('<name>', 'as "vkctl vkernel ls" shows it'),
    'the node; else all on which it runs',
  ).action(haltOne);
  examples(halt, [['vkctl vkernel halt web', 'its programs end with SIGTERM and the reason']]);
  const rm = placeOptions(
    vkernel
      .command('rm')
      .summary('forget what it may have')
      .description(
        'Of one that does not run: halt it first. A program may run in one of that name all the same.',
      )
      .argument('<name>', 'as "vkctl vkernel ls" shows it'),
    'the node; else all that have it',
  ).action(removeOne);
  examples(rm, [['vkctl vkernel halt web && vkctl vkernel rm web', 'for good']]);
}

const HOST_CLUSTER =
  'where it is the part of this machine that another cluster has: the cluster whose node this machine is (env: ODONATA_CLUSTER; default: "default")';

function placeOptions(command: Command, node: string): Command {
  return command
    .option('--node <name>', node)
    .option('--host-cluster <name>', HOST_CLUSTER)
    .addOption(userOption())
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption());
}

function quotaOptions(command: Command, node: string): Command {
  return placeOptions(
    command
      .option('--memory <size>', 'of its programs in sum, frames and swap: 512M, 2G; 0: what the node has')
      .addOption(
        new Option(
          '--cpu-weight <weight>',
          'its part of the processors where others want them, too; any has 100',
        ).argParser(wholeNumber(0, 10_000)),
      )
      .addOption(
        new Option(
          '--cpus <count>',
          'so much of them at most, also where nobody else wants any: 0.5, 2; 0: all',
        ).argParser(processors),
      )
      .addOption(new Option('--processes <count>', 'at one time; 0: 256').argParser(wholeNumber(0, 256)))
      .addOption(
        new Option('--dataspaces <count>', 'open at one time, each for each process; 0: any').argParser(
          wholeNumber(0, 1_000_000),
        ),
      )
      .option('--disk <size>', 'of its home, and of its /tmp: 100M; 0: what there is')
      .addOption(
        new Option('--descriptors <count>', 'open at one time, of all of its programs; 0: any').argParser(
          wholeNumber(0, 1_000_000),
        ),
      )
      .option(
        '--may-listen <name>',
        'its programs may listen by this name besides those of its user: PERSON:NAME, :NAME, * at the end for all that begin so (repeatable; replaces what was said of names)',
        collect,
      )
      .option('--may-connect <name>', 'they may connect to this one, where who listens lets them', collect)
      .option('--no-names', 'they use no names but those, not even their own')
      .option('--own-names', 'as any: names of its user, and no others'),
    node,
  );
}

function processors(text: string): number {
  const count = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && (count === 0 || (count >= 0.01 && count <= 1_000))) return count;
  throw new InvalidArgumentError('Give a number from 0.01 to 1000, or 0.');
}

const which = (name: string, { user, node }: PlaceOptions): VkernelName => ({ name, user, node });

async function createOne(name: string, options: CreateOptions): Promise<void> {
  if (options.join !== undefined || options.token !== undefined) return await lodgeHere(name, options);
  expectNoLodger(name, options);
  const names = namesOf(options);
  const later = new Later(options);
  const made = await withCluster(options, ({ vkernels }) =>
    vkernels.create(which(name, options), quotaOf(options), { names, onAway: later.onAway }),
  );
  if (options.json) printJson(made.map(plain));
  else sayQuotas(name, made);
  later.tell(`what virtual kernel ${name} may have counts`);
}

async function setOne(name: string, said: QuotaOptions): Promise<void> {
  const options = ofHost(said);
  const change = quotaOf(options);
  const lodger = lodgerOf(name, options);
  const names = namesOf(options);
  if (names === undefined && Object.values(change).every((value) => value === undefined))
    throw new Failure('nothing is said of what it may have', {
      fix: 'Name one of --memory, --cpu-weight, --cpus, --processes, --dataspaces, --disk, --descriptors, --may-listen, --may-connect, --no-names, --own-names.',
      exitCode: EXIT.usage,
    });
  if (lodger !== undefined) return await setLodger(lodger, options);
  const later = new Later(options);
  const { before, changed, others } = await withCluster(options, async ({ vkernels, connection }) => {
    const known = names === undefined ? [] : (await vkernels.list({ node: options.node })).vkernels;
    const told = await vkernels.set(which(name, options), change, { names, onAway: later.onAway });
    const has = new Set([...told.map(({ node }) => node), ...later.away]);
    const rest = options.node === undefined ? await connection.nodes() : [];
    return { before: known, changed: told, others: rest.filter((each) => !has.has(each.name)) };
  });
  if (options.json) printJson(changed.map(plain));
  else sayQuotas(name, changed, others);
  if (!options.json) sayNamesBefore(before, changed);
  later.tell(`what virtual kernel ${name} may have counts`);
}

/** A line for all nodes on which it may have the same. @param others that had none of that name: they, too, get what was said */
function sayQuotas(
  name: string,
  vkernels: readonly Vkernel[],
  others: readonly { name: string }[] = [],
): void {
  const also =
    others.length === 0 ? '' : `; what was said counts on ${others.map((each) => each.name).join(', ')}, too`;
  for (const [quota, each] of Map.groupBy(vkernels, shownQuota))
    say(`virtual kernel ${name} may have ${quota} on ${nodesOf(each)}${also}`);
}

async function haltOne(name: string, said: PlaceOptions): Promise<void> {
  const options = ofHost(said);
  const lodger = lodgerOf(name, options);
  if (lodger !== undefined)
    throw new Failure(`${name} is a cluster that lodges here: what runs in it is that cluster's to end`, {
      fix: `It leaves with "vkctl vkernel rm ${name}", or rests by "vkctl node drain" there.`,
    });
  const halted = await withCluster(options, ({ vkernels }) => vkernels.halt(which(name, options)));
  if (options.json) return printJson(halted.map((each) => ({ name, ...each })));
  for (const { node, processes } of halted)
    say(
      `virtual kernel ${name} of ${node} has ended${processes === 0 ? '' : `, with ${processesText(processes)}`}`,
    );
}

async function removeOne(name: string, said: PlaceOptions): Promise<void> {
  const options = ofHost(said);
  const lodger = lodgerOf(name, options);
  if (lodger !== undefined) return await removeLodger(lodger, options);
  const later = new Later(options);
  const removed = await withCluster(options, ({ vkernels }) =>
    vkernels.remove(which(name, options), { onAway: later.onAway }),
  );
  if (options.json) printJson(removed.map((each) => ({ name, ...each })));
  else if (removed.length > 0) say(`virtual kernel ${name} of ${nodesOf(removed)} may have what any may`);
  later.tell(`virtual kernel ${name} may have what any may`);
}

function addList(vkernel: Command): void {
  const ls = vkernel
    .command('ls')
    .summary('list them: what each may have, and has')
    .description('Lists those that run, and those of which somebody said what they may have.')
    .option('--node <name>', 'of this node only')
    .option(
      '--host-cluster <name>',
      'as --cluster: the cluster whose node this machine is, where others lodge',
    )
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print names only'))
    .action((options: ListOptions) => watched(options, () => list(options)));
  watchable(ls);
  examples(ls, [
    ['vkctl vkernel ls --watch 2', 'as it changes'],
    ["vkctl vkernel ls --json | jq '.[] | select(.throttledMs > 0)'", 'those that were held back'],
  ]);
}

const COLUMNS: Column[] = [
  { head: 'VKERNEL' },
  { head: 'USER' },
  { head: 'NODE' },
  { head: 'STATE' },
  { head: 'CLUSTER' },
  { head: 'PROCESSES', align: 'right' },
  { head: 'MEMORY', align: 'right' },
  { head: 'CPUS', align: 'right' },
  { head: 'WEIGHT', align: 'right' },
  { head: 'HELD BACK', align: 'right' },
  { head: 'DATASPACES', align: 'right' },
  { head: 'DISK', align: 'right' },
  { head: 'DESCRIPTORS', align: 'right' },
];

async function list(said: ListOptions): Promise<void> {
  const options = ofHost(said);
  const { vkernels, silent } = await withCluster(options, (cluster) =>
    cluster.vkernels.list({ node: options.node }),
  );
  if (options.json) printJson(vkernels.map(plain));
  else if (options.quiet) printNames([...new Set(vkernels.map(({ name }) => name))]);
  else print(table(COLUMNS, vkernels.map(row)));
  for (const { node, error } of silent)
    printError(`vkctl: the virtual kernels of ${node} are missing: ${explain(error)}`);
  // A table that lacks a node is no whole answer.
  if (silent.length > 0) process.exitCode = 1;
}

const row = (each: Vkernel) => {
  const { quota, lodger } = each;
  // What runs in another cluster's is that cluster's to know.
  const runs = each.hostPid > 0 && lodger === undefined;
  const of = (has: string, may: string | undefined): string =>
    may === undefined ? (runs ? has : '-') : `${runs ? has : '-'} of ${may}`;
  const has = (bytes: string, may: string | undefined): string =>
    may === undefined ? bytes : `${bytes} of ${may}`;
  return [
    ...[each.name, each.user, each.node, lodger?.state ?? stateOf(each)],
    lodger === undefined ? '-' : `${lodger.node} of ${lodger.cluster}`,
    of(String(each.processes), quota?.processes ? String(quota.processes) : undefined),
    (lodger === undefined ? of : has)(
      formatSize(each.memoryBytes),
      quota?.memoryBytes ? formatSize(quota.memoryBytes) : undefined,
    ),
    of((each.cpuMillis / 1000).toFixed(2), quota?.cpuMillis ? String(quota.cpuMillis / 1000) : undefined),
    quota?.cpuWeight || 100,
    each.throttledMs === 0n ? '-' : `${(Number(each.throttledMs) / 1000).toFixed(1)}s`,
    of(String(each.dataspaces), quota?.dataspaces ? String(quota.dataspaces) : undefined),
    quota?.diskBytes ? of(formatSize(each.diskBytes), formatSize(quota.diskBytes)) : '-',
    of(String(each.descriptors), quota?.descriptors ? String(quota.descriptors) : undefined),
  ];
};

const stateOf = ({ hostPid, parkedAt }: Vkernel): string =>
  hostPid > 0 ? 'running' : parkedAt === undefined ? 'halted' : 'parked';

const plain = (each: Vkernel) => {
  const { name, node, user, hostPid, processes, memoryBytes, cpuMs, cpuMillis, throttledMs, dataspaces } =
    each;
  const { lodger, startedAt, parkedAt, quota, names, connections, diskBytes, descriptors } = each;
  return {
    ...{ name, node, user, state: stateOf(each), hostPid, startedAt, processes },
    ...(parkedAt && { parkedAt }),
    ...{ memoryBytes, cpuMs, cpuMillis, throttledMs, dataspaces, diskBytes, descriptors, connections },
    ...(names && { names: { listen: names.listen, connect: names.connect, none: names.none } }),
    ...(lodger && {
      ...{ state: lodger.state.split(':')[0], cluster: lodger.cluster, called: lodger.called },
      ...(lodger.state.includes(': ') && { why: lodger.state.slice(lodger.state.indexOf(': ') + 2) }),
      as: lodger.node,
    }),
    ...(quota && {
      quota: {
        memoryBytes: quota.memoryBytes ?? 0n,
        cpuWeight: quota.cpuWeight ?? 0,
        cpuMillis: quota.cpuMillis ?? 0,
        processes: quota.processes ?? 0,
        dataspaces: quota.dataspaces ?? 0,
        diskBytes: quota.diskBytes ?? 0n,
        descriptors: quota.descriptors ?? 0,
      },
    }),
  };
};
