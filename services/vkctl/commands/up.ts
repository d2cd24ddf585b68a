import { credentialHere } from '@odonata/client/local/identity-folder.ts';
import { traceConfig } from '@odonata/rpc/config.ts';
import { LOG_LEVELS, type LogLevel } from '@odonata/rpc/log.ts';
import { isVkernelBase, VKERNEL_BASES } from '@odonata/rpc/vkernel-uids.ts';
import { LAYERS, type LayerName } from '@odonata/userfault/sandbox/layer-names.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { clusterFlag } from '../cluster/cluster-flag.ts';
import { clusterPaths, MAX_DIRECTORIES, MAX_NODES, MAX_ROUTERS } from '../cluster/paths.ts';
import type { ClusterRecord } from '../cluster/record.ts';
import { DEFAULT_PORT, startCluster } from '../cluster/start.ts';
import type { StartProgress } from '../cluster/until-ready.ts';
import { attachHere, elsewhere } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { expectNoLodging } from '../lodger/lodge.ts';
import { type Membership, readMembership } from '../machine/membership.ts';
import { plural, routersAt, say, showProgress } from '../output.ts';
import { durationMs } from '../service-file/duration.ts';
import { formatSpan, parseSize } from '../size.ts';
import { hostAndPort, layersOf } from './join.ts';
import { makeToken, type NewToken } from './node-token.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  collect,
  examples,
  jsonOption,
  quietOption,
  wholeNumber,
} from './options.ts';
import { foundStore } from './store-report.ts';

interface UpOptions extends ClusterOption {
  nodes?: number;
  address?: { host: string; port: number; saysPort: boolean };
  joins: number;
  directories: number;
  routers: number;
  port: number;
  allowDir?: string[];
  allowListen?: string[];
  allowConnect?: string[];
  nodeMemory?: string;
  nodeSwap?: string;
  store?: string;
  fresh?: boolean;
  leaseMs?: number;
  userDataspaces?: number;
  nodeVmspaces?: number;
  parkAfter?: number;
  insecure?: boolean;
  allowUnconfined?: LayerName[];
  vkernelUids?: number;
  traceOtlp?: string;
  traceSample?: number;
  logLevel: LogLevel;
  timeout: number;
  json?: boolean;
}

export function addUp(program: Command): void {
  const command = program
    .command('up')
    .summary('start a cluster')
    .description('Starts a cluster on this machine and returns when it is ready.')
    .option(
      '-n, --nodes <count>',
      'how many nodes of this machine (default: 3; with --address 1)',
      wholeNumber(1, MAX_NODES),
    )
    .option(
      '--address <address>',
      `by which other machines reach this cluster and join it, host or host:port; its services then listen on the ports from that on, those from --port on unless given`,
      (text) => ({ ...hostAndPort(text, 0), saysPort: /[^:]:\d+$/.test(text) }),
    )
    .option(
      '--joins <count>',
      'with --address: how many machines the token that is printed lets in, within an hour; 0: none is printed',
      wholeNumber(0, 64),
      1,
    )
    .option(
      '--directories <count>',
      'replicas of the coherency directory: with two or more, one may die at any time',
      wholeNumber(1, MAX_DIRECTORIES),
      1,
    )
    .option(
      '--routers <count>',
      'routers: with two or more, commands go on while one is away',
      wholeNumber(1, MAX_ROUTERS),
      1,
    )
    .option(
      '-p, --port <port>',
      'port of the router (the first, of several) on 127.0.0.1; 0: any',
      wholeNumber(0, 65_535),
      DEFAULT_PORT,
    )
    .option('--allow-dir <dir>', 'folder that "run --dir" may grant to programs (repeatable)', collect)
    .option(
      '--allow-listen <place>',
      'where "run --listen" may listen: PORT or FIRST-LAST, of 127.0.0.1, or ADDRESS:PORT (repeatable)',
      collect,
    )
    .option(
      '--allow-connect <place>',
      'where "run --connect" may let programs connect to: HOST:PORT, ADDRESS/BITS:PORT, or PORT of 127.0.0.1; FIRST-LAST for ports (repeatable)',
      collect,
    )
    .option(
      '--node-memory <size>',
      'memory of each node, as 512M, private and shared; else its share of /dev/shm',
    )
    .option(
      '--node-swap <size>',
      'where private memory of programs goes when that of its node runs short, as 1G of the folder for temporary files; else nowhere',
    )
    .option(
      '--store <size>',
      'what the backing store of durable dataspaces may hold, as 256M; else a quarter of the free disk, at most 1G',
    )
    .option('--fresh', 'delete the store that an earlier run left, instead of going on with it')
    .option(
      '--insecure',
      'without identities: whoever reaches a port on 127.0.0.1, any user of this machine, may do everything',
    )
    .addOption(
      new Option(
        '--allow-unconfined <layers>',
        `start virtual kernels also where this machine lacks these walls (${LAYERS.join(', ')}); see "vkctl doctor"`,
      ).argParser(layersOf),
    )
    .option(
      '--vkernel-uids <first>',
      `as root: the first uid that virtual kernels have, 64 of them a node (${VKERNEL_BASES}); derived from the name of the cluster unless given`,
      vkernelBase,
    )
    .option(
      '--lease-ms <ms>',
      "lease of a node's permissions, 3000 unless given: who is silent for longer is dead, and others wait that long for it; of who is silent for two thirds of it programs may lose what they share",
      wholeNumber(100, 600_000),
    )
    .option(
      '--user-dataspaces <count>',
      'dataspaces that one user may own, 10000 unless given',
      wholeNumber(1, 100_000),
    )
    .option(
      '--park-after <time>',
      'how long nothing runs in a virtual kernel until its OS process ends, 10m unless given; 0: never (docs/quotas.md)',
      parkTime,
    )
    .option(
      '--node-vmspaces <count>',
      'vmspaces that people may make by hand on each node, each person as many as all: else 4096, and 256 of one',
      wholeNumber(1, 1_000_000),
    )
    .option(
      '--trace-otlp <address>',
      'collector of OpenTelemetry that takes traces by OTLP over gRPC, as 127.0.0.1:4317 (docs/traces.md)',
      collector,
    )
    .option(
      '--trace-sample <part>',
      'part of faults and runs that is traced, 0.01 unless given; 1: all',
      part,
    )
    .addOption(new Option('--log-level <level>', 'of the services').choices(LOG_LEVELS).default('info'))
    .option('--timeout <seconds>', 'give up after so long', wholeNumber(1, 3600), 60)
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(up);
  examples(command, [
    ['vkctl up', 'three nodes'],
    ['vkctl up -n 1 --allow-dir .', 'one node; programs may be granted this folder'],
    ['vkctl up --node-memory 512M', 'refused where /dev/shm has not so much for each'],
    ['vkctl up --node-memory 256M --node-swap 1G', 'programs may touch more than there is memory'],
    ['vkctl up --directories 3', 'a directory that fails over'],
    ['vkctl up --address 10.0.0.1 --joins 2', 'other machines join by the command that it prints'],
    ['vkctl up --routers 2', 'commands that go on without one of the routers'],
    ['vkctl up --store 4G', 'room for larger durable dataspaces; one that is there grows'],
    [
      'vkctl up --allow-unconfined namespaces',
      'in a container without user namespaces: by Landlock instead, where the kernel has it',
    ],
    ['vkctl up --vkernel-uids 2000000000', 'uids of virtual kernels that nobody else of this machine has'],
    ['vkctl up --trace-otlp 127.0.0.1:4317', 'with traces of one fault and run of a hundred'],
    ['vkctl up -c second -p 0', 'a second cluster beside the first, on any port'],
  ]);
}

function collector(text: string): string {
  if (text !== '' && traceConfig.traceOtlp.safeParse(text).success) return text;
  throw new InvalidArgumentError(
    `"${text}" is no address of a collector: use host:port, http://host:port or https://host:port.`,
  );
}

function parkTime(text: string): number {
  const ms = text === '0' ? 0 : durationMs(text);
  if (ms === 0 || (ms !== undefined && ms >= PARK_MIN_MS && ms <= PARK_MAX_MS)) return ms;
  throw new InvalidArgumentError(`"${text}" is no time of 3s to 24h, as 30s or 10m, nor 0.`);
}

function part(text: string): number {
  const number = Number(text);
  if (text.trim() !== '' && number >= 0 && number <= 1) return number;
  throw new InvalidArgumentError(`"${text}" is not a number from 0 to 1.`);
}

function vkernelBase(text: string): number {
  const first = Number(text);
  if (/^\d+$/.test(text) && isVkernelBase(first)) return first;
  throw new InvalidArgumentError(`"${text}" is not ${VKERNEL_BASES}.`);
}

async function up(options: UpOptions): Promise<void> {
  const cluster = clusterOf(options);
  const startMs = Date.now();
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  process.once('SIGTERM', () => abort.abort());
  const notes: string[] = [];
  const { address } = options;
  expectNoLodging(clusterPaths(cluster));
  const membership = membershipOf(cluster, options);
  const record = await startCluster({
    cluster,
    nodes: membership ? 1 : (options.nodes ?? (address ? 1 : 3)),
    membership,
    directories: options.directories,
    routers: options.routers,
    port: address?.saysPort ? address.port : options.port,
    ...(address && { host: address.host }),
    allowDirs: options.allowDir,
    allowListen: options.allowListen,
    allowConnect: options.allowConnect,
    framesBytes: options.nodeMemory ? parseSize(options.nodeMemory, '--node-memory') : undefined,
    swapBytes: options.nodeSwap ? parseSize(options.nodeSwap, '--node-swap') : undefined,
    storeBytes: options.store ? parseSize(options.store, '--store') : undefined,
    fresh: options.fresh,
    leaseMs: options.leaseMs,
    userDataspaces: options.userDataspaces,
    nodeVmspaces: options.nodeVmspaces,
    parkAfterMs: options.parkAfter,
    insecure: options.insecure,
    allowUnconfined: options.allowUnconfined,
    vkernelUids: options.vkernelUids,
    traceOtlp: options.traceOtlp,
    traceSample: options.traceSample,
    logLevel: options.logLevel,
    timeoutMs: options.timeout * 1000,
    signal: abort.signal,
    onProgress: showStart,
    onNote: (line) => notes.push(line),
  });
  if (membership !== undefined) return tellMember(record, membership, { startMs, notes, json: options.json });
  const token = address && options.joins > 0 ? await firstToken(record, options.joins) : undefined;
  if (options.json) return printJson({ ...clusterJson(record, notes), ...(token && { join: token }) });
  const away = elsewhere(options.cluster);
  const flag = cluster === 'default' && away === undefined ? '' : ` -c ${cluster}`;
  const nodes = plural(record.plan.nodes.length, 'node');
  say(
    `cluster "${cluster}" is up: ${nodes}, ${routersAt(record.syslink)} (${formatSpan(Date.now() - startMs)})`,
  );
  if (record.plan.hadStore) say(await foundStore(record));
  if (record.plan.insecure)
    say('without identities: every user of this machine may do everything with it (--insecure)');
  for (const note of notes) say(note);
  if (token !== undefined)
    say(`a machine joins it within an hour (uses: ${token.uses}) by:\n${token.command}`);
  if (away !== undefined) say(`commands mean ${away.by} all the same; for this one give them${flag}`);
  say(`end it with: vkctl down${flag}`);
}

/** What `join` has left here; undefined: the cluster is this machine's own. @throws Failure */
function membershipOf(
  cluster: string,
  { address, nodes, fresh, insecure }: UpOptions,
): Membership | undefined {
  const membership = readMembership(clusterPaths(cluster));
  if (membership === undefined) return undefined;
  const { node, cluster: of, removed } = membership;
  const flag = clusterFlag(cluster);
  if (removed)
    throw new Failure(`this machine was ${node.name} of cluster "${of}", and was removed from it`, {
      fix: `Clear what is left with "vkctl down --purge${flag}"; with a new token it may join again.`,
    });
  if (address || nodes !== undefined || fresh || insecure)
    throw new Failure(`this machine is ${node.name} of cluster "${of}", which began elsewhere`, {
      fix: `Start it with "vkctl up${flag}" alone, or leave that cluster with "vkctl down --purge${flag}".`,
      exitCode: EXIT.usage,
    });
  return membership;
}

function tellMember(
  record: ClusterRecord,
  { node, cluster: of }: Membership,
  { startMs, notes, json }: { startMs: number; notes: string[]; json?: boolean | undefined },
): void {
  if (json) {
    printJson(clusterJson(record, notes));
    return;
  }
  say(`${node.name} of cluster "${of}" is up (${formatSpan(Date.now() - startMs)})`);
  for (const note of notes) say(note);
}

const FIRST_TOKEN_MS = 3_600_000;
/** As vkerneld takes it. */
const [PARK_MIN_MS, PARK_MAX_MS] = [3_000, 86_400_000];

async function firstToken(record: ClusterRecord, uses: number): Promise<NewToken> {
  const cluster = await attachHere(record);
  try {
    return await makeToken(cluster, { uses, ttlMs: FIRST_TOKEN_MS });
  } finally {
    cluster.close();
  }
}

/** As `status --json` has it, and what was noted when it started. */
function clusterJson({ plan, syslink, supervisor, startedMs, services }: ClusterRecord, notes: string[]) {
  const { cluster, nodes, insecure = false, hadStore = false, allowUnconfined = [] } = plan;
  return {
    ...{
      cluster,
      syslink,
      tlsDir: plan.member ? undefined : credentialHere(plan)?.tlsDir,
      supervisor: supervisor.pid,
      startedMs,
    },
    ...{ nodes, services, insecure, hadStore, allowUnconfined, notes },
  };
}

function showStart({ ready, total, waitingFor }: StartProgress): void {
  const more = waitingFor.length > 3 ? ', ...' : '';
  showProgress(`${ready}/${total} ready, waiting for ${waitingFor.slice(0, 3).join(', ')}${more}`);
}
