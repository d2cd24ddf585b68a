import type { RoutesOf } from '@odonata/client/routes.ts';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { explain } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, printError, printNames } from '../output.ts';
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

interface ListOptions extends ClusterOption, QuietOption, WatchOption {
  all?: boolean;
}

export function addRoute(program: Command): void {
  const route = program
    .command('route')
    .summary('ways from router to router')
    .description('What the routers of the cluster know of each other: see docs/syslink.md.');
  examples(route, [
    ['vkctl route ls', 'which routers there are, and by which way messages go'],
    ['vkctl route ls -a', 'and the ways that are spare'],
  ]);
  const ls = route
    .command('ls')
    .summary('list the ways')
    .description(
      'Lists the ways that each router knows to the others (--peers of syslinkd). Those that it was told to attach to, and no more, are asked.',
    )
    .option('-a, --all', 'also ways that are spare')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print names of routers only'))
    .action((options: ListOptions) => watched(options, () => list(options)));
  watchable(ls);
  examples(ls, [
    ['vkctl route ls', 'the way that messages take'],
    ['vkctl route ls -a', 'and those that they would take if it broke'],
    ["vkctl route ls --json | jq '.[] | .hops'", 'for a program'],
  ]);
}

const COLUMNS: Column[] = [
  { head: 'FROM' },
  { head: 'TO' },
  { head: 'HOPS', align: 'right' },
  { head: 'WAY', flex: true },
  { head: 'USE' },
  { head: 'ENDPOINTS', align: 'right' },
];

async function list(options: ListOptions): Promise<void> {
  const { routers, silent } = await withCluster(options, ({ connection }) => connection.routes());
  const all = routers.flatMap(plain);
  const shown = options.all || options.json ? all : all.filter(({ used }) => used);
  if (options.json) printJson(shown);
  else if (options.quiet) printNames([...new Set(shown.map(({ to }) => to))]);
  else
    print(
      table(
        COLUMNS,
        shown.map(({ from, to, hops, path, used, endpoints }) => [
          ...[from, to, hops, path.join(' '), used ? 'used' : 'spare', endpoints],
        ]),
      ),
    );
  for (const { address, error } of silent)
    printError(`vkctl: the routes of the router at ${address} are missing: ${explain(error)}`);
  if (silent.length > 0) process.exitCode = 1;
}

const plain = ({ router, routes }: RoutesOf) =>
  routes.map(({ name, path, used, endpoints }) => {
    return { from: router, to: name, hops: path.length, path, used, endpoints };
  });
