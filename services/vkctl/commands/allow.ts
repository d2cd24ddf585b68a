// vkctl allow, vkctl disallow: which folders programs may be granted, while the cluster runs.
import { realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Cluster } from '@odonata/client/cluster.ts';
import { tellEachNode } from '@odonata/client/on-each-node.ts';
import { ofEachNode } from '@odonata/client/process-list.ts';
import { type KnownNodes, nodesKnown } from '@odonata/client/resting-nodes.ts';
import { folderOn, Wanted } from '@odonata/client/wanted.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Command } from 'commander';
import { elsewhere, withCluster } from '../connection.ts';
import { EXIT, explain, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, printError, printNames, say } from '../output.ts';
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
  /** The node is away, or rests, and takes it when it is back. */
  away?: true;
}

const DEADLINE = { deadlineMs: 10_000 };

export function addAllow(program: Command): void {
  const command = program
    .command('allow')
    .summary('allow folders for programs, while the cluster runs')
    .usage('[options] [dir...]')
    .description(
      'Allows folders of the nodes’ machines for "run --dir", with all below, as "up --allow-dir" does: for programs that ' +
        'are started from now on, also on nodes that rest, are away or join later, until it is taken away or the cluster is gone. For admins.',
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
    ['vkctl allow ~/data', 'on all nodes, also those that join later'],
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
    const nodes = await nodesWithFolders(to, options.node);
    if (paths.length === 0) return await listAllowed(to, nodes, options);
    const wanted = new Wanted(to.connection);
    const wish = readOnly ? 'read' : 'write';
    const told: Told[] = [];
    for (const path of paths) {
      const { answers, away } = await tellEachNode(
        nodes,
        async (node) => {
          await to.connection.vkerneld(node).allowDirectory({ directory: { path, readOnly } }, DEADLINE);
          return node;
        },
        async () => (await wanted.keepFolder({ path, node: options.node ?? '' }, wish)) !== undefined,
      );
      told.push({ path, nodes: answers, away });
    }
    tell(told, readOnly ? 'allowed for reading' : 'allowed', options, readOnly);
  });
}

async function disallow(dirs: string[], options: AllowOptions): Promise<void> {
  const paths = dirs.map((dir) => withoutLinks(dir));
  await withCluster(options, async (to) => {
    const nodes = await nodesWithFolders(to, options.node);
    const told: Told[] = [];
    for (const path of paths) told.push({ path, ...(await disallowOne(to, nodes, path, options.node)) });
    tell(told, 'allowed no more', options, false);
  });
}

/** @throws RpcError NOT_FOUND where no node has it, and none would get it */
async function disallowOne(to: Cluster, nodes: KnownNodes, path: string, node = '') {
  const wanted = new Wanted(to.connection);
  const keep = (away: string[]) => wanted.keepFolder({ path, node, away }, 'none');
  try {
    const { answers, away } = await tellEachNode(
      nodes,
      async (each) => {
        await to.connection.vkerneld(each).disallowDirectory({ path }, DEADLINE);
        return each;
      },
      async (silent) => (await keep(silent)) !== undefined,
    );
    return { nodes: answers, away };
  } catch (error) {
    // Those that come later may have been promised it all the same.
    if (!RpcError.is(error, Code.NotFound) || node !== '' || !(await keep([]))) throw error;
    return { nodes: [], away: [] };
  }
}

interface Told {
  path: string;
  nodes: string[];
  away: string[];
}

function tell(told: Told[], what: string, options: AllowOptions, readOnly: boolean): void {
  if (options.json) {
    const rows = told.flatMap(({ path, nodes, away }): Allowed[] => [
      ...nodes.map((node) => ({ node, path, readOnly })),
      ...away.map((node): Allowed => ({ node, path, readOnly, away: true })),
    ]);
    printJson(rows);
    return;
  }
  for (const { path, nodes, away } of told) {
    const later = away.length === 0 ? [] : [`on ${away.join(', ')} when that is back`];
    const on = nodes.length === 0 ? [] : [`on ${nodes.join(', ')}`];
    say(`${path} is ${what}${[...on, ...later].map((each) => ` ${each}`).join(', and')}`);
  }
}

function showAllowed(allowed: Allowed[], options: AllowOptions): void {
  if (options.json) printJson(allowed);
  else if (options.quiet) printNames([...new Set(allowed.map(({ path }) => path))]);
  else
    print(
      table(
        [{ head: 'NODE' }, { head: 'MAY' }, { head: 'FOLDER', flex: true }],
        allowed.map(({ node, path, readOnly, away }) => [
          away ? `${node} (away)` : node,
          readOnly ? 'read' : 'write',
          path,
        ]),
      ),
    );
}

/** Of nodes that do not answer, what they were told: they have it when they are back. */
async function listAllowed(
  to: Cluster,
  { names: nodes, away: known }: KnownNodes,
  options: AllowOptions,
): Promise<void> {
  const { connection } = to;
  const heard = new Set<string>();
  const { items, silent } = await ofEachNode(connection, undefined, async (node) => {
    if (!nodes.includes(node) || known.has(node)) return [];
    const { directories } = await connection.vkerneld(node).listAllowedDirectories({}, DEADLINE);
    heard.add(node);
    return directories.map(({ path, readOnly }): Allowed => ({ node, path, readOnly }));
  });
  const away = nodes.filter((node) => !heard.has(node));
  const resting = away.filter((node) => silent.every((each) => each.node !== node));
  const wanted = away.length === 0 ? [] : ((await new Wanted(connection).folders()) ?? []);
  const promised = away.flatMap((node) =>
    wanted.flatMap((folder): Allowed[] => {
      const may = folderOn(folder, node);
      return may === undefined ? [] : [{ node, path: folder.path, readOnly: may === 'read', away: true }];
    }),
  );
  showAllowed([...items, ...promised], options);
  for (const node of resting)
    printError(`vkctl: ${node} rests or is away: what it was told is shown, which it takes when it is back`);
  for (const { node, error } of silent)
    printError(`vkctl: ${node} does not answer, and what it was told is shown: ${explain(error)}`);
  // A table that lacks what a node has is no whole answer.
  if (silent.length > 0) process.exitCode = 1;
}

/** Unless it is named, none that lodges on a machine of another cluster, whose owner alone allows folders there. */
async function nodesWithFolders(to: Cluster, named: string | undefined): Promise<KnownNodes> {
  const nodes = await nodesKnown(to.connection, named);
  if (named !== undefined) return nodes;
  return { ...nodes, names: nodes.names.filter((node) => !nodes.lodging.has(node)) };
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
