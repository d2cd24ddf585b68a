import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Authority } from '@odonata/authority/authority.ts';
import { tlsDirOf } from '@odonata/client/local/identity-folder.ts';
import type { ListPeersResponse, PeerState } from '@odonata/proto/gateway/v1/gateway';
import { bundled } from '@odonata/rpc/bundle.ts';
import { LOG_LEVELS } from '@odonata/rpc/log.ts';
import { type Command, Option } from 'commander';
import { authorityDir, callerOf } from '../cluster/certificates.ts';
import { expectHere, runningRecord, withCluster } from '../connection.ts';
import { Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, printError, printNames } from '../output.ts';
import { formatSize } from '../size.ts';
import { NODE_FLAGS, nearDirectories, pagesDoor, routersOf } from '../supervisor/service-spec.ts';
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

const MAIN = fileURLToPath(new URL('../../syslinkd/main.ts', import.meta.url));
const NAME = 'gateway';
/** Each start makes a new one. */
const DAYS = 365;

interface ListOptions extends ClusterOption, QuietOption, WatchOption {}
interface ServeOptions extends ClusterOption, QuietOption {
  logLevel: string;
  metricsListen?: string;
}

export function addGateway(program: Command): void {
  const gateway = program
    .command('gateway')
    .summary('lines to clusters of other owners')
    .description(
      'Gateways tie clusters of different owners together, as their policies say: see docs/gateways.md.',
    );
  examples(gateway, [
    ['vkctl gateway serve west.yaml', 'a gateway with this policy, until Ctrl-C'],
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
  const serve = gateway
    .command('serve')
    .summary('run a gateway')
    .description(
      'Runs a gateway of a cluster of this machine until Ctrl-C, with a certificate of its own. It reads its policy again when that changes.',
    )
    .argument('<policy>', 'its file: YAML, as docs/gateways.md has it')
    .option('--metrics-listen <address>', 'host:port for Prometheus')
    .addOption(
      new Option('--log-level <level>', 'least severe lines that are logged')
        .choices(LOG_LEVELS)
        .default('info'),
    )
    .addOption(clusterOption())
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
    .map(({ name, pages, trouble }) => `${name}(${trouble === '' ? pages : 'away'})`);
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
  overduePages: Number(state.overduePages),
});

async function serveIt(policy: string, options: ServeOptions): Promise<void> {
  expectHere('gateway serve', options.cluster);
  const { plan } = await runningRecord(clusterOf(options));
  if (plan.insecure)
    throw new Failure(
      `cluster "${plan.cluster}" was started with --insecure: it has no authority to vouch for it`,
      {
        fix: 'Start it without.',
      },
    );
  const authority = await Authority.in(authorityDir(plan), plan.cluster);
  const tlsDir = tlsDirOf(plan, 'gateway', NAME);
  await authority.issue(callerOf(plan, 'gateway', NAME), tlsDir, { days: DAYS });
  const args = [
    ...[...NODE_FLAGS, bundled(MAIN), '--gateway', resolve(policy), '--syslink', routersOf(plan)],
    ...['--directory', nearDirectories(plan).join(), '--pages-listen', pagesDoor(plan)],
    ...['--tls-dir', tlsDir, '--log-level', options.quiet ? 'error' : options.logLevel],
    ...['--events-file', join(plan.stateDir, 'events', `${NAME}.jsonl`)],
    ...(options.metricsListen === undefined ? [] : ['--metrics-listen', options.metricsListen]),
  ];
  // In our place: then nothing is left of it, whatever ends us, and its exit code is ours.
  process.execve!(process.execPath, [process.execPath, ...args], process.env as Record<string, string>);
}
