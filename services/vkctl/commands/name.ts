import type { NamedEndpoint } from '@odonata/proto/syslink/v1/syslink';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { printJson } from '../json.ts';
import { print, printNames } from '../output.ts';
import { type Column, table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import {
  type ClusterOption,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
} from './options.ts';

interface ListOptions extends ClusterOption, QuietOption, WatchOption {}

export function addName(program: Command): void {
  const name = program
    .command('name')
    .summary('names that endpoints answer to')
    .description('Names that endpoints have registered, besides their own: see docs/syslink.md.');
  examples(name, [
    ['vkctl name ls', 'which names there are, and who has them'],
    ['vkctl name ls alice:web', 'who gets the next request by that name'],
  ]);
  const ls = name
    .command('ls')
    .summary('list the names that you may use')
    .description('Lists names, and of each who has it: the first one gets the next request.')
    .argument('[name]', 'only this one: PERSON:NAME, or :NAME of the cluster')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print names only'))
    .action((only: string | undefined, options: ListOptions) => watched(options, () => list(only, options)));
  watchable(ls);
  examples(ls, [
    ['vkctl name ls', 'all'],
    ['vkctl name ls --watch 1 alice:web', 'how the load of one moves'],
    ["vkctl name ls --json | jq -r '.[].endpoint'", 'for a program'],
  ]);
}

const COLUMNS: Column[] = [
  { head: 'NAME' },
  { head: 'ENDPOINT' },
  { head: 'ROUTER' },
  { head: 'LOAD', align: 'right' },
  { head: 'STATE' },
  { head: 'FOR', flex: true },
];

async function list(only: string | undefined, options: ListOptions): Promise<void> {
  const names = await withCluster(options, ({ connection }) => connection.names(only));
  if (options.json) printJson(names.map(plain));
  else if (options.quiet) printNames([...new Set(names.map(({ name }) => name))]);
  else print(table(COLUMNS, names.map(row)));
}

/** A client has no name of its own. */
const shownEndpoint = ({ endpoint, sysid }: NamedEndpoint): string => endpoint || `client ${sysid}`;

const row = (named: NamedEndpoint) => [
  ...[named.name, shownEndpoint(named), named.router, named.load],
  named.unwell ? 'unwell' : 'well',
  named.everyone ? 'everybody' : named.groups.length > 0 ? named.groups.join(', ') : '-',
];

const plain = ({ name, endpoint, sysid, session, router, load, unwell, everyone, groups }: NamedEndpoint) => {
  // Numbers of 64 bits that nobody reckons with.
  const identity = { sysid: String(sysid), session: String(session) };
  return { name, endpoint, ...identity, router, load, unwell, everyone, groups };
};
