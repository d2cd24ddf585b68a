import type { Connection } from '@odonata/client/connection.ts';
import { isBorrowed } from '@odonata/coherency/gateway.ts';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { plural, say } from '../output.ts';
import { parseSize } from '../size.ts';
import { watchable } from '../watch.ts';
import { addBackup } from './ds-backup.ts';
import { load, save } from './ds-bytes.ts';
import { addHot } from './ds-hot.ts';
import { detailJson } from './ds-json.ts';
import { ls, pagesText, stat } from './ds-list.ts';
import { type DsOptions, ownership } from './ds-options.ts';
import { addOwnership } from './ds-ownership.ts';
import { clusterOption, examples, jsonOption, quietOption } from './options.ts';
import { removeEach } from './remove-each.ts';

const LISTS =
  'Lists dataspaces. PAGES AT: the pages that each node answers for, also those that nobody has touched; who has copies is not told.';

export function addDs(program: Command): void {
  const ds = program
    .command('ds')
    .summary(
      'shared dataspaces: ls, create, load, save, export, import, stat, hot, sync, chmod, chown, accept-loss, rm',
    )
    .description(
      'Shared dataspaces: named memory that processes of all nodes map. Each has an owner, a group and a mode, as a file has; ' +
        "a new one is its owner's alone (mode 600).",
    )
    .enablePositionalOptions();
  examples(ds, [
    ['vkctl ds create scratch 64M', 'zeroes'],
    ['vkctl ds create board 1M --mode 640 --group physics', 'the group physics may read it'],
    ['vkctl ds load text book.txt', 'as large as the file, with its bytes'],
    ['generate | vkctl ds load text - --size 10M', 'from a pipe, which must bring all of it'],
    ['vkctl ds create --durable notes 1M', 'with a backing store'],
    ['vkctl ds sync notes --range 0+64K', 'stored when it returns'],
    ['vkctl ds stat text', 'who owns its pages'],
    ['vkctl ds hot text', 'who fights over which pages'],
    ['vkctl ds save text - | sha256sum', 'the bytes, coherent'],
    ['vkctl ds export backup.tar', 'all durable ones, into a file that another cluster can read'],
    ['vkctl ds accept-loss text', 'what died with its node reads as zeros'],
    ['vkctl ds rm text', 'gone, unless it is mapped'],
  ]);
  const command = (usage: string, summary: string, description: string, onNode: boolean): Command => {
    const made = ds
      .command(usage)
      .summary(summary)
      .description(description)
      .addOption(clusterOption())
      .addOption(jsonOption())
      .addOption(quietOption(usage === 'ls' ? 'print names only' : undefined));
    return onNode ? made.option('--node <name>', 'through this node; else the first') : made;
  };
  const listing = watchable(command('ls', 'list them', LISTS, false)).action(ls);
  examples(listing, [
    ['vkctl ds ls', 'what you may read, and what is yours'],
    ['vkctl ds ls --watch', 'again every 2 s'],
    ["vkctl ds ls --json | jq -r '.[].name'", 'for a program'],
  ]);
  const making = owned(
    command(
      'create <name> <size>',
      'make one full of zeroes',
      'Makes one full of zeroes; fails when the name exists.',
      true,
    ),
  )
    .option(
      '--durable',
      'with a backing store: what was synced outlives nodes, and the cluster where it ends by "vkctl down --keep" or by accident',
    )
    .action(create);
  examples(making, [
    ['vkctl ds create scratch 64M', 'zeroes, for its owner alone'],
    ['vkctl ds create board 1M --mode 640 --group physics', 'the group physics may read it'],
    ['vkctl ds create --durable notes 1M', 'with a backing store'],
  ]);
  const loading = owned(
    command(
      'load <name> <file>',
      'write a file into one, made where it is missing',
      'Writes a file (-: standard input) into one; makes it when it is missing. Until all of it is there the dataspace is ' +
        'incomplete, and nobody opens it: a load that breaks off removes what it made. Pages that were LOST, and are ' +
        'written whole, are well again. One that is there keeps its owner, group, mode and size, and what it holds beyond the end of the file.',
      true,
    ),
  )
    .option('--size <size>', 'make it with this size; else that of the file. Standard input must be as long')
    .option('--pad', 'standard input may end before --size: what is made is zeros after it')
    .option('--progress', 'a line "loaded BYTES" on standard error now and then')
    .action(load);
  examples(loading, [
    ['vkctl ds load text book.txt', 'as large as the file, with its bytes'],
    ['vkctl ds load text book.txt --mode 644', 'everybody may read it'],
    ['generate | vkctl ds load text - --size 10M', 'from a pipe, which must bring all of it'],
  ]);
  const saving = command(
    'save <name> <file>',
    'write one to a file',
    'Writes the bytes of one to a file (-: standard output).',
    true,
  )
    .option('--incomplete', 'also where a load into it broke off')
    .option('--progress', 'a line "saved BYTES" on standard error now and then')
    .action(save);
  examples(saving, [
    ['vkctl ds save text copy.txt', 'in the place of that file when all of it is there'],
    ['vkctl ds save text - | sha256sum', 'the bytes, coherent'],
  ]);
  const showing = command(
    'stat <name>',
    'show one',
    'Shows one: its owners, locks and mappers, and which nodes have its pages.',
    false,
  ).action(stat);
  examples(showing, [['vkctl ds stat text', 'who owns its pages']]);
  const syncing = command(
    'sync <name>',
    'store a durable one',
    'Stores a durable one in the backing store; ends when all of it is stored.',
    true,
  )
    .option('--range <offset+length>', 'these bytes only, such as 0+64K')
    .action(sync);
  examples(syncing, [
    ['vkctl ds sync notes', 'stored when it returns'],
    ['vkctl ds sync notes --range 0+64K', 'the first 16 pages'],
  ]);
  addHot((usage, summary, description) => command(usage, summary, description, false));
  const accepting = command(
    'accept-loss <name>',
    'have pages that are LOST read as zeros',
    'Accepts that its LOST pages are gone: they read as zeros from now on. The directory logs who did.',
    true,
  ).action(acceptLoss);
  examples(accepting, [['vkctl ds accept-loss text', 'what died with its node reads as zeros']]);
  const removing = command(
    'rm <name...>',
    'remove some',
    'Removes dataspaces that nobody maps.',
    true,
  ).action(rm);
  examples(removing, [['vkctl ds rm text scratch', 'both gone']]);
  addBackup(ds);
  addOwnership((usage, summary, description) => command(usage, summary, description, false));
}

/** Of what is made. */
const owned = (command: Command): Command =>
  command
    .option('--mode <mode>', 'who may read and write what is made, such as 640; else 600, the owner alone')
    .option('--group <name>', 'the group that the mode is about, one of yours');

async function create(name: string, size: string, options: DsOptions): Promise<void> {
  const sizeBytes = BigInt(parseSize(size, 'size'));
  const owning = ownership(options);
  await withCluster(options, async ({ dataspaces }) => {
    const { durable = false, node } = options;
    await dataspaces.create(name, sizeBytes, { durable, node, ...owning });
    if (options.json) printJson(detailJson(await dataspaces.stat(name)));
  });
}

async function acceptLoss(name: string, options: DsOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces }) => {
    const pages = await dataspaces.acceptLoss(name, { node: options.node });
    if (options.json) return printJson({ name, pages });
    say(`${name}: ${plural(Number(pages), 'lost page')} ${pages === 1n ? 'reads' : 'read'} as zeros now`);
  });
}

async function sync(name: string, options: DsOptions): Promise<void> {
  const range = parseRange(options.range);
  await withCluster(options, async ({ dataspaces }) => {
    const pages = await dataspaces.sync(name, { node: options.node, range });
    if (options.json) return printJson({ name, pages });
    say(`${name}: ${pagesText(pages)} stored`);
  });
}

function parseRange(range: string | undefined): { offset: bigint; length: bigint } {
  if (range === undefined) return { offset: 0n, length: 0n };
  const [offset, length, ...more] = range.split('+');
  if (offset === undefined || length === undefined || more.length > 0)
    throw new Failure(`--range: ${range}`, {
      fix: 'Use OFFSET+LENGTH, such as 0+64K.',
      exitCode: EXIT.usage,
    });
  const begin = offset === '0' ? 0 : parseSize(offset, '--range');
  return { offset: BigInt(begin), length: BigInt(parseSize(length, '--range')) };
}

/** Dataspaces of other clusters that a gateway holds here, and of which cluster each is. */
async function importedNames(connection: Connection): Promise<Map<string, string>> {
  const gateways = await connection.gateways();
  return new Map(
    gateways.flatMap(([, { peers }]) =>
      peers.flatMap((peer) =>
        peer.dataspaces.filter(({ name }) => isBorrowed(name)).map(({ name }) => [name, peer.name] as const),
      ),
    ),
  );
}

const ofAnother = (name: string, peer: string): Failure =>
  new Failure(`dataspace ${name} is of cluster "${peer}", and stands here as long as that exports it`, {
    fix: `To have it here no more, take it out of dataspaces.imports in the policy of the gateway (vkctl gateway add FILE), or end that: vkctl gateway rm`,
  });

async function rm(names: string[], options: DsOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces, connection }) => {
    const node = await connection.answeringNode(options.node);
    // A gateway that runs would make it again.
    const imports = names.some(isBorrowed) ? await importedNames(connection) : new Map<string, string>();
    await removeEach(names, options, async (name) => {
      const peer = imports.get(name);
      if (peer !== undefined) throw ofAnother(name, peer);
      await dataspaces.remove(name, { node });
    });
  });
}
