import { randomUUID } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { resolve } from 'node:path';
import { Authority } from '@odonata/authority/authority.ts';
import { tlsDirOf } from '@odonata/client/local/identity-folder.ts';
import type { ListPeersResponse, PeerState } from '@odonata/proto/gateway/v1/gateway';
import { delay } from '@odonata/rpc/backoff.ts';
import { bundled } from '@odonata/rpc/bundle.ts';
import { LOG_LEVELS, type LogLevel } from '@odonata/rpc/log.ts';
import { type Command, Option } from 'commander';
import { authorityDir, callerOf } from '../cluster/certificates.ts';
import { lastLine } from '../cluster/log-line.ts';
import type { ClusterPlan, ServiceRecord } from '../cluster/record.ts';
import { expectHere, runningRecord, withCluster } from '../connection.ts';
import { EXIT, Failure, reasonOf } from '../failure.ts';
import { forgetGateway, readGateway, type WantedGateway, writeGateway } from '../gateway/gateway-file.ts';
import { GATEWAY, gatewayArgs } from '../gateway/gateway-spec.ts';
import { printJson } from '../json.ts';
import { print, printError, printNames, say } from '../output.ts';
import { formatSize } from '../size.ts';
import { type Column, table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
} from './options.ts';

/** Of its certificate: each start by hand, and each `add`, makes a new one. */
const DAYS = 365;
/** How long one may take until it answers, or ends. */
const START_MS = 20_000;
const LOOK_MS = 100;
const MEND = 'Mend the policy, and try again; nothing has changed.';

interface ListOptions extends ClusterOption, QuietOption, WatchOption {}
interface ServeOptions extends ClusterOption, QuietOption {
  logLevel: LogLevel;
  metricsListen?: string;
  json?: boolean;
}
interface RemoveOptions extends ClusterOption, QuietOption {
  json?: boolean;
}

export function addGateway(program: Command): void {
  const gateway = program
    .command('gateway')
    .summary('lines to clusters of other owners')
    .description(
      'Gateways tie clusters of different owners together, as their policies say: see docs/gateways.md.',
    );
  examples(gateway, [
    ['vkctl gateway add west.yaml', 'a gateway with this policy, for as long as the cluster is up'],
    ['vkctl gateway ls', 'how it stands with each cluster'],
  ]);
  const ls = gateway
    .command('ls')
    .summary('how it stands with each cluster')
    .description('Lists the clusters that the gateways know, what each may use, and what of it is used.')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print names of clusters only'))
    .action((options: ListOptions) => watched(options, () => list(options)));
  watchable(ls);
  examples(ls, [
    ['vkctl gateway ls', 'which lines are up'],
    ['vkctl gateway ls --watch 1', 'what crosses'],
    ["vkctl gateway ls --json | jq '.[].refused'", 'for a program'],
  ]);
  const asServed = (command: Command): Command =>
    command
      .argument('<policy>', 'its file: YAML, as docs/gateways.md has it')
      .option('--metrics-listen <address>', 'host:port for Prometheus')
      .addOption(
        new Option('--log-level <level>', 'least severe lines that are logged')
          .choices(LOG_LEVELS)
          .default('info'),
      )
      .addOption(clusterOption());
  const added = asServed(gateway.command('add'))
    .summary('have the cluster run a gateway')
    .description(
      'Has the supervisor of a cluster of this machine run a gateway: it begins anew where it ends, and again after ' +
        '"vkctl down --keep" and "vkctl up". It reads its policy again when that changes. Another policy takes the place of the one before.',
    )
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(add);
  examples(added, [
    ['vkctl gateway add west.yaml', 'of the default cluster'],
    ['vkctl gateway add west.yaml -c east --metrics-listen 127.0.0.1:9700', 'of another one, and measured'],
  ]);
  const removed = gateway
    .command('rm')
    .summary('have the cluster run none any more')
    .description('Ends the gateway that the supervisor of a cluster runs; what is open over it ends.')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(remove);
  examples(removed, [['vkctl gateway rm', 'of the default cluster']]);
  const serve = asServed(gateway.command('serve'))
    .summary('run a gateway by hand')
    .description(
      'Runs a gateway of a cluster of this machine until Ctrl-C, with a certificate of its own. It reads its policy again when that changes.',
    )
    .addOption(quietOption('log errors only'))
    .action(serveIt);
  examples(serve, [
    ['vkctl gateway serve west.yaml', 'of the default cluster'],
    ['vkctl gateway serve west.yaml -c east --log-level warn', 'of another one, and with little to read'],
  ]);
}

const COLUMNS: Column[] = [
  { head: 'PEER' },
  { head: 'STATE' },
  { head: 'CIRCUITS', align: 'right' },
  { head: 'IN', align: 'right' },
  { head: 'OUT', align: 'right' },
  { head: 'REFUSED', align: 'right' },
  { head: 'LIMITED', align: 'right' },
  { head: 'EXPORTED', flex: true },
  { head: 'IMPORTED', flex: true },
];

async function list(options: ListOptions): Promise<void> {
  const gateways = await withCluster(options, ({ connection }) => connection.gateways());
  const peers = gateways.flatMap(([gateway, state]) => state.peers.map((peer) => ({ gateway, state, peer })));
  if (options.json) printJson(peers.map(({ gateway, state, peer }) => plain(gateway, state, peer)));
  else if (options.quiet) printNames(peers.map(({ peer }) => peer.name));
  else
    print(
      table(
        COLUMNS,
        peers.map(({ peer }) => row(peer)),
      ),
    );
  if (options.json || options.quiet) return;
  for (const { peer } of peers)
    if (!peer.connected && peer.reason !== '') printError(`vkctl: no line to ${peer.name}: ${peer.reason}`);
  for (const { peer } of peers)
    for (const { name, trouble } of peer.connected ? peer.dataspaces : [])
      if (trouble !== '') printError(`vkctl: ${name}, ${peer.name}: ${trouble}`);
  for (const [name, { policyTrouble }] of gateways)
    if (policyTrouble !== '')
      printError(`vkctl: ${name} goes by its policy of before, as the file is of no use: ${policyTrouble}`);
}

const row = (peer: PeerState) => [
  ...[peer.name, peer.connected ? 'up' : 'down', peer.circuits],
  ...[
    formatSize(peer.receivedBytes),
    formatSize(peer.sentBytes),
    Number(peer.refused),
    Number(peer.rateLimited),
  ],
  ...[shownNames(peer.exported, peer, false), shownNames(peer.imported, peer, true)],
];

/** Names, and dataspaces with the pages of them that are lent. */
function shownNames(names: readonly string[], { dataspaces }: PeerState, imported: boolean): string {
  const shown = dataspaces
    .filter(({ name }) => name.includes('@') === imported)
    .map(({ name, pages, trouble }) => `${name}(${trouble === '' ? pages : imported ? 'away' : 'not lent'})`);
  return [...names, ...shown].join(' ') || '-';
}

const plain = (gateway: string, { policyTrouble }: ListPeersResponse, state: PeerState) => ({
  ...{ gateway, peer: state.name, address: state.address, connected: state.connected },
  ...{
    sinceMs: Number(state.sinceMs),
    reason: state.reason,
    exported: state.exported,
    imported: state.imported,
  },
  ...{ circuits: state.circuits, receivedMessages: Number(state.receivedMessages) },
  ...{ sentMessages: Number(state.sentMessages), receivedBytes: Number(state.receivedBytes) },
  ...{
    sentBytes: Number(state.sentBytes),
    refused: Number(state.refused),
    rateLimited: Number(state.rateLimited),
  },
  ...{ droppedHellos: Number(state.droppedHellos), fingerprint: state.fingerprint, policyTrouble },
  dataspaces: state.dataspaces.map(({ name, sizeBytes, pages, trouble }) => ({
    ...{ name, sizeBytes: Number(sizeBytes), pages: Number(pages), trouble },
  })),
  ...{ lentPages: Number(state.lentPages), borrowedPages: Number(state.borrowedPages) },
  ...{ overduePages: Number(state.overduePages), lostPages: Number(state.lostPages) },
});

/** @throws Failure where no authority vouches for anybody */
async function certify(plan: ClusterPlan): Promise<void> {
  if (plan.insecure)
    throw new Failure(
      `cluster "${plan.cluster}" was started with --insecure: it has no authority to vouch for it`,
      { fix: 'Start it without.' },
    );
  const authority = await Authority.in(authorityDir(plan), plan.cluster);
  const tlsDir = tlsDirOf(plan, GATEWAY, GATEWAY);
  await authority.issue(callerOf(plan, GATEWAY, GATEWAY), tlsDir, { days: DAYS, host: plan.host });
}

function wantedOf(policy: string, options: ServeOptions): WantedGateway {
  const file = resolve(policy);
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    throw new Failure(`${policy}: ${reasonOf(error as NodeJS.ErrnoException)}`, { exitCode: EXIT.usage });
  }
  const { metricsListen } = options;
  const logLevel = options.quiet ? 'error' : options.logLevel;
  return {
    policy: file,
    logLevel,
    asked: randomUUID(),
    ...(metricsListen !== undefined && { metricsListen }),
  };
}

async function serveIt(policy: string, options: ServeOptions): Promise<void> {
  expectHere('gateway serve', options.cluster);
  const { plan } = await runningRecord(clusterOf(options));
  if (readGateway(plan) !== undefined)
    throw new Failure(`cluster "${plan.cluster}" runs a gateway itself`, {
      fix: `End that first: vkctl gateway rm -c ${plan.cluster}.`,
    });
  await certify(plan);
  const args = gatewayArgs(plan, wantedOf(policy, options)).map(bundled);
  // In our place: then nothing is left of it, whatever ends us, and its exit code is ours.
  process.execve!(process.execPath, [process.execPath, ...args], process.env as Record<string, string>);
}

async function add(policy: string, options: ServeOptions): Promise<void> {
  expectHere('gateway add', options.cluster);
  const { plan } = await runningRecord(clusterOf(options));
  const wanted = wantedOf(policy, options);
  await certify(plan);
  const before = readGateway(plan);
  writeGateway(plan, wanted);
  try {
    await untilGateway(plan, wanted.asked, options);
  } catch (error) {
    // It stays as it was.
    if (before === undefined) forgetGateway(plan);
    else writeGateway(plan, before);
    throw error;
  }
  if (options.json) printJson({ cluster: plan.cluster, policy: wanted.policy });
  else say(`cluster "${plan.cluster}" runs a gateway by ${wanted.policy}`);
}

const gatewayOf = async (plan: ClusterPlan): Promise<ServiceRecord | undefined> =>
  (await runningRecord(plan.cluster)).services.find(({ name }) => name === GATEWAY);

/** The one that was asked for answers. @throws Failure why it does not */
async function untilGateway(plan: ClusterPlan, asked: string, options: ServeOptions): Promise<void> {
  const endMs = Date.now() + START_MS;
  for (;;) {
    const gateway = await gatewayOf(plan);
    const ours = gateway?.asked === asked ? gateway : undefined;
    if (ours?.lastEnd !== undefined)
      throw new Failure(`the gateway does not start: ${lastLine(ours.logFile)}`, { fix: MEND });
    if (ours?.process !== undefined) {
      const gateways = await withCluster(options, ({ connection }) => connection.gateways());
      if (gateways.length > 0) return;
    }
    if (Date.now() > endMs)
      throw new Failure(`the gateway does not answer in ${START_MS / 1000} s`, { fix: MEND });
    await delay(LOOK_MS);
  }
}

async function remove(options: RemoveOptions): Promise<void> {
  expectHere('gateway rm', options.cluster);
  const { plan } = await runningRecord(clusterOf(options));
  if (readGateway(plan) === undefined)
    throw new Failure(`cluster "${plan.cluster}" runs no gateway`, {
      fix: 'One of vkctl gateway serve ends with Ctrl-C.',
    });
  forgetGateway(plan);
  const endMs = Date.now() + START_MS;
  while ((await gatewayOf(plan)) !== undefined) {
    if (Date.now() > endMs) throw new Failure(`the gateway does not end in ${START_MS / 1000} s`);
    await delay(LOOK_MS);
  }
  if (options.json) printJson({ cluster: plan.cluster });
  else say(`cluster "${plan.cluster}" runs no gateway any more`);
}
