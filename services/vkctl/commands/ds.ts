import { createReadStream, createWriteStream, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { pipeline } from 'node:stream/promises';
import type { DataspaceDetail } from '@odonata/client/dataspace-detail.ts';
import type { Dataspaces } from '@odonata/client/dataspaces.ts';
import { pageCountOf } from '@odonata/coherency/page.ts';
import type { Dataspace, DataspaceUsage } from '@odonata/proto/coherency/v1/coherency';
import type { DataspaceLoss } from '@odonata/proto/pmap/v1/pmap';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, explain, Failure, reasonOf } from '../failure.ts';
import { json, plural, print, printError, showProgress, table } from '../output.ts';
import { parseMode, shownMode, shownOwner, withShownMode } from '../ownership.ts';
import { formatSize, parseSize } from '../size.ts';
import { addOwnership } from './ds-ownership.ts';
import { type ClusterOption, clusterOption, examples, jsonOption } from './options.ts';
import { writeTo } from './stdio.ts';

interface DsOptions extends ClusterOption {
  json?: boolean;
  node?: string;
  size?: string;
  progress?: boolean;
  durable?: boolean;
  range?: string;
  pad?: boolean;
  incomplete?: boolean;
  mode?: string;
  group?: string;
}

export function addDs(program: Command): void {
  const ds = program
    .command('ds')
    .summary('shared dataspaces: ls, create, load, save, stat, sync, chmod, chown, accept-loss, rm')
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
    ['vkctl ds save text - | sha256sum', 'the bytes, coherent'],
    ['vkctl ds accept-loss text', 'what died with its node reads as zeros'],
    ['vkctl ds rm text', 'gone, unless it is mapped'],
  ]);
  const command = (usage: string, summary: string, description: string, onNode: boolean): Command => {
    const made = ds.command(usage).summary(summary).description(description).addOption(clusterOption());
    return onNode ? made.option('--node <name>', 'through this node; else the first') : made;
  };
  const listing = command('ls', 'list them', 'Lists dataspaces.', false).addOption(jsonOption()).action(ls);
  examples(listing, [
    ['vkctl ds ls', 'what you may read, and what is yours'],
    ["vkctl ds ls --json | jq -r '.[].dataspace.name'", 'for a program'],
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
    .addOption(jsonOption())
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
        'written whole, are well again. One that is there keeps its owner, group, mode and size.',
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
  )
    .addOption(jsonOption())
    .action(stat);
  examples(showing, [['vkctl ds stat text', 'who owns its pages']]);
  const syncing = command(
    'sync <name>',
    'store a durable one',
    'Stores a durable one in the backing store; ends when all of it is stored.',
    true,
  )
    .option('--range <offset+length>', 'these bytes only, such as 0+64K')
    .addOption(jsonOption())
    .action(sync);
  examples(syncing, [
    ['vkctl ds sync notes', 'stored when it returns'],
    ['vkctl ds sync notes --range 0+64K', 'the first 16 pages'],
  ]);
  const accepting = command(
    'accept-loss <name>',
    'have pages that are LOST read as zeros',
    'Accepts that its LOST pages are gone: they read as zeros from now on. The directory logs who did.',
    true,
  )
    .addOption(jsonOption())
    .action(acceptLoss);
  examples(accepting, [['vkctl ds accept-loss text', 'what died with its node reads as zeros']]);
  const removing = command(
    'rm <name...>',
    'remove some',
    'Removes dataspaces that nobody maps.',
    true,
  ).action(rm);
  examples(removing, [['vkctl ds rm text scratch', 'both gone']]);
  addOwnership((usage, summary, description) => command(usage, summary, description, false));
}

/** Of what is made. */
const owned = (command: Command): Command =>
  command
    .option('--mode <mode>', 'who may read and write what is made, such as 640; else 600, the owner alone')
    .option('--group <name>', 'the group that the mode is about, one of yours');

const ownership = ({ mode, group = '' }: DsOptions) => ({
  ...(mode !== undefined && { mode: parseMode(mode) }),
  group,
});

async function ls(options: DsOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces }) => {
    const all: DataspaceDetail[] = [];
    for await (const detail of dataspaces.list()) all.push(detail);
    if (options.json)
      return print(json(all.map((each) => ({ ...each, dataspace: withShownMode(each.dataspace) }))));
    const columns = ['NAME', 'OWNER', 'MODE', 'SIZE', 'LOST', 'PAGES AT', 'MAPPED BY'].map((head) => ({
      head,
    }));
    print(
      table(
        columns,
        all.map(({ dataspace, usage, loss }) => [
          dataspace.name,
          shownOwner(dataspace),
          shownMode(dataspace.mode),
          formatSize(dataspace.sizeBytes),
          notWell(dataspace, usage, loss),
          whereabouts(usage, loss),
          usage.mappedBy.join(', ') || '-',
        ]),
      ),
    );
  });
}

async function create(name: string, size: string, options: DsOptions): Promise<void> {
  const sizeBytes = BigInt(parseSize(size, 'size'));
  const owning = ownership(options);
  await withCluster(options, async ({ dataspaces }) => {
    const { durable = false, node } = options;
    const dataspace = await dataspaces.create(name, sizeBytes, { durable, node, ...owning });
    if (options.json && dataspace) print(json(withShownMode(dataspace)));
  });
}

async function load(name: string, file: string, options: DsOptions): Promise<void> {
  const fromStdin = file === '-';
  const stat = fromStdin ? undefined : statSync(file, { throwIfNoEntry: false });
  if (!fromStdin && !stat?.isFile())
    throw new Failure(`ds load: ${file}: ${stat ? 'is not a file' : 'no such file'}`);
  if (stat?.size === 0 && !options.size)
    throw new Failure(`ds load: ${file} is empty`, { fix: 'Give --size.' });
  const size = options.size ? parseSize(options.size, '--size') : undefined;
  const owning = ownership(options);
  const stream = fromStdin ? process.stdin : createReadStream(file, { highWaterMark: 2 ** 20 });
  await withCluster(options, async ({ dataspaces }) => {
    const { bytes, node } = await dataspaces.load(name, stream, {
      node: options.node,
      sizeBytes: size,
      lengthBytes: stat?.size ?? (options.pad ? undefined : size),
      onProgress: loadProgress(name, options),
      ...owning,
    });
    printError(`${name}: ${formatSize(bytes)} loaded through ${node}`);
  });
}

function loadProgress(name: string, options: DsOptions): (bytes: number) => void {
  if (options.progress) return (bytes) => printError(`loaded ${bytes}`);
  return (bytes) => showProgress(`${name}: ${formatSize(bytes)}`);
}

async function save(name: string, file: string, options: DsOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces }) => {
    const { node, incomplete } = options;
    const pieces = dataspaces.save(name, { node, incomplete });
    if (file === '-') {
      for await (const data of pieces) if (!(await writeTo(process.stdout, data))) return;
      return;
    }
    await saveWhole(pieces, file);
  });
}

/** Beside the file, and in its place when all bytes are there; what is no file (a pipe, a device) is written as it is. */
async function saveWhole(pieces: AsyncIterable<Uint8Array>, file: string): Promise<void> {
  // An unknown name must not even open it.
  const iterator = pieces[Symbol.asyncIterator]();
  const first = await iterator.next();
  async function* all(): AsyncIterable<Uint8Array> {
    if (!first.done) yield first.value;
    yield* { [Symbol.asyncIterator]: () => iterator };
  }
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isDirectory())
    throw new Failure(`ds save: ${file} is a folder`, {
      fix: 'Name a file in it, or - for standard output.',
    });
  if (stat !== undefined && !stat.isFile())
    return await pipeline(all, createWriteStream(file)).catch((error) => notWritten(file, error));
  const target = stat === undefined ? file : realpathSync(file);
  const aside = `${target}.${process.pid}.part`;
  const remove = (): void => rmSync(aside, { force: true });
  for (const signal of ENDING) process.once(signal, () => process.exit(128 + constants.signals[signal]));
  process.once('exit', remove);
  try {
    await pipeline(all, createWriteStream(aside, { mode: stat?.mode ?? 0o666 }));
    renameSync(aside, target);
  } catch (error) {
    notWritten(file, error);
  } finally {
    remove();
  }
}

/** @throws Failure that names the file that was asked for, whatever was written in its place; what else failed as it is */
function notWritten(file: string, error: unknown): never {
  if (typeof (error as NodeJS.ErrnoException).syscall !== 'string') throw error;
  throw new Failure(`ds save: cannot write ${file}: ${reasonOf(error)}`, { cause: error });
}

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

async function acceptLoss(name: string, options: DsOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces }) => {
    const pages = await dataspaces.acceptLoss(name, { node: options.node });
    print(
      options.json
        ? json({ name, pages })
        : `${name}: ${plural(Number(pages), 'lost page')} ${pages === 1n ? 'reads' : 'read'} as zeros now`,
    );
  });
}

async function stat(name: string, options: DsOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces }) => {
    const { dataspace, usage, loss } = await dataspaces.stat(name);
    const stored = dataspace.durable ? await storedPages(dataspaces, options, name) : undefined;
    if (options.json) return print(json({ dataspace: withShownMode(dataspace), usage, loss, ...stored }));
    print(
      [
        `name       ${dataspace.name}`,
        `id         ${dataspace.id}`,
        `owner      ${shownOwner(dataspace)}, mode ${shownMode(dataspace.mode)}`,
        `size       ${formatSize(dataspace.sizeBytes)} (${dataspace.sizeBytes} bytes, ${pagesText(pagesOf(dataspace))})`,
        `created on ${dataspace.creator || '-'}`,
        `pages at   ${whereabouts(usage, loss)}`,
        `lost       ${notWell(dataspace, usage, loss)}`,
        `durable    ${stored === undefined ? 'no' : `${pagesText(stored.storedPages)} stored${corrupt(stored.corruptPages)}`}`,
        `locks      ${usage.locks}`,
        `mapped by  ${usage.mappedBy.join(', ') || '-'}`,
      ].join('\n'),
    );
  });
}

/** What the backing store has; a node reads it. */
async function storedPages(
  dataspaces: Dataspaces,
  { node }: DsOptions,
  name: string,
): Promise<{ storedPages: bigint; corruptPages: bigint }> {
  const { storedPages, corruptPages } = await dataspaces.stored(name, { node });
  return { storedPages, corruptPages };
}

async function sync(name: string, options: DsOptions): Promise<void> {
  const range = parseRange(options.range);
  await withCluster(options, async ({ dataspaces }) => {
    const pages = await dataspaces.sync(name, { node: options.node, range });
    print(options.json ? json({ name, pages }) : `${name}: ${pagesText(pages)} stored`);
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

async function rm(names: string[], options: DsOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces, connection }) => {
    const node = await connection.answeringNode(options.node);
    // As rm(1) does: one that cannot be removed keeps no other one.
    const failed: unknown[] = [];
    for (const name of names) await dataspaces.remove(name, { node }).catch((error) => failed.push(error));
    for (const error of failed.slice(1)) printError(`vkctl: ${explain(error)}`);
    if (failed.length > 0) throw failed[0];
  });
}

const pagesText = (pages: bigint): string => plural(Number(pages), 'page');
const pagesOf = ({ sizeBytes }: Dataspace): bigint => BigInt(pageCountOf(sizeBytes));

/** What is not well with one: `INCOMPLETE, 3 pages LOST`. */
function notWell(
  { load }: Dataspace,
  { unsettledPages }: DataspaceUsage,
  loss: DataspaceLoss | undefined,
): string {
  const { lostPages = 0n } = loss ?? {};
  const said = [
    load ? 'INCOMPLETE' : '',
    lostPages > 0n ? `${pagesText(lostPages)} LOST` : '',
    unsettledPages > 0n ? `${pagesText(unsettledPages)} not known yet: their directory has just changed` : '',
  ];
  return said.filter(Boolean).join(', ') || '-';
}

const corrupt = (pages: bigint): string => (pages === 0n ? '' : `, ${pages} CORRUPT`);
/** Who has its pages, and what is well and at no node: `node1:3 node2:1, 5 pages stored, not resident`. */
function whereabouts({ ownedPages }: DataspaceUsage, loss: DataspaceLoss | undefined): string {
  const { storedPages = 0n, unknownPages = 0n } = loss ?? {};
  const nodes = Object.entries(ownedPages)
    .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
    .map(([node, pages]) => `${node}:${pages}`)
    .join(' ');
  const said = [
    nodes,
    storedPages > 0n ? `${pagesText(storedPages)} stored, not resident` : '',
    unknownPages > 0n ? `${pagesText(unknownPages)} that the store was not asked for yet` : '',
  ];
  return said.filter(Boolean).join(', ') || '-';
}
