// vkctl allow, vkctl disallow: which folders programs may be granted, while the cluster runs.
import { realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Cluster } from '@odonata/client/cluster.ts';
import { onEachNode } from '@odonata/client/on-each-node.ts';
import type { Command } from 'commander';
import { elsewhere, withCluster } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, printNames, say } from '../output.ts';
import { table } from '../table.ts';
import {
  type ClusterOption,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
} from './options.ts';

interface AllowOptions extends ClusterOption, QuietOption {
  node?: string;
  readOnly?: boolean;
  list?: boolean;
  json?: boolean;
}

interface Allowed {
  node: string;
  path: string;
  readOnly: boolean;
}

const DEADLINE = { deadlineMs: 10_000 };

export function addAllow(program: Command): void {
  const command = program
    .command('allow')
    .summary('allow folders for programs, while the cluster runs')
    .usage('[options] [dir...]')
    .description(
      'Allows folders of the nodes’ machines for "run --dir", with all below, as "up --allow-dir" does: for programs that ' +
        'are started from now on, until the cluster goes down. For admins.',
    )
    .argument('[dir...]', 'folders; none: as --list')
    .option('--read-only', 'for reading only')
    .option('--node <name>', 'on this node alone')
    .option('--list', 'list what is allowed')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print nothing but errors; with --list paths only'))
    .action(allow);
  examples(command, [
    ['vkctl allow ~/data', 'on all nodes'],
    ['vkctl allow --read-only --node node2 /srv/text', 'on one, for reading'],
    ['vkctl allow --list', 'what is allowed where'],
  ]);
}

export function addDisallow(program: Command): void {
  const command = program
    .command('disallow')
    .summary('take allowed folders away')
    .usage('[options] <dir...>')
    .description(
      'Takes folders away from what "run --dir" may name. Programs that have them keep them until they end: see "vkctl ps" ' +
        'and "vkctl kill". For admins.',
    )
    .argument('<dir...>', 'as "vkctl allow --list" shows them')
    .option('--node <name>', 'on this node alone')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(disallow);
  examples(command, [['vkctl disallow ~/data', 'on all nodes']]);
}

async function allow(dirs: string[], options: AllowOptions): Promise<void> {
  const readOnly = options.readOnly ?? false;
  if (options.list && dirs.length > 0)
    throw new Failure('allow: --list and a folder exclude each other', { exitCode: EXIT.usage });
  const isHere = elsewhere(options.cluster) === undefined;
  const paths = dirs.map((dir) => (isHere ? folderHere(dir) : resolve(dir)));
  await withCluster(options, async (to) => {
    const nodes = await nodesOf(to, options.node);
    if (paths.length === 0) return showAllowed(await allowedOn(to, nodes), options);
    for (const path of paths)
      await onEachNode(nodes, (node) =>
        to.connection.vkerneld(node).allowDirectory({ directory: { path, readOnly } }, DEADLINE),
      );
    tell(nodes, paths, readOnly ? 'allowed for reading' : 'allowed', options, readOnly);
  });
}

async function disallow(dirs: string[], options: AllowOptions): Promise<void> {
  const paths = dirs.map((dir) => withoutLinks(dir));
  await withCluster(options, async (to) => {
    const nodes = await nodesOf(to, options.node);
    for (const path of paths)
      await onEachNode(nodes, (node) => to.connection.vkerneld(node).disallowDirectory({ path }, DEADLINE));
    tell(nodes, paths, 'allowed no more', options, false);
  });
}

function tell(
  nodes: string[],
  paths: string[],
  what: string,
  options: AllowOptions,
  readOnly: boolean,
): void {
  if (options.json) printJson(paths.flatMap((path) => nodes.map((node) => ({ node, path, readOnly }))));
  else for (const path of paths) say(`${path} is ${what} on ${nodes.join(', ')}`);
}

function showAllowed(allowed: Allowed[], options: AllowOptions): void {
  if (options.json) printJson(allowed);
  else if (options.quiet) printNames([...new Set(allowed.map(({ path }) => path))]);
  else
    print(
      table(
        [{ head: 'NODE' }, { head: 'MAY' }, { head: 'FOLDER', flex: true }],
        allowed.map(({ node, path, readOnly }) => [node, readOnly ? 'read' : 'write', path]),
      ),
    );
}

async function allowedOn(to: Cluster, nodes: string[]): Promise<Allowed[]> {
  const lists = await Promise.all(
    nodes.map(async (node) => {
      const { directories } = await to.connection.vkerneld(node).listAllowedDirectories({}, DEADLINE);
      return directories.map(({ path, readOnly }) => ({ node, path, readOnly }));
    }),
  );
  return lists.flat();
}

async function nodesOf(to: Cluster, named: string | undefined): Promise<string[]> {
  if (named !== undefined) return [(await to.node(named)).name];
  return (await to.nodes()).map(({ name }) => name);
}

/** @throws Failure */
function folderHere(dir: string): string {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return realpathSync(dir);
  throw new Failure(`allow: "${dir}" is not a folder`, { exitCode: EXIT.usage });
}

/** As it was allowed; one that is gone by its name. */
function withoutLinks(dir: string): string {
  try {
    return realpathSync(dir);
  } catch {
    return resolve(dir);
  }
}
