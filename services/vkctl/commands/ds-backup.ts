// vkctl ds export, vkctl ds import: dataspaces into a file that another cluster can read, and back.
import { existsSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, Failure, reasonOf } from '../failure.ts';
import { printJson } from '../json.ts';
import { plural, say, sayAside, showProgress } from '../output.ts';
import { formatSize } from '../size.ts';
import { type ClusterOption, clusterOption, examples, jsonOption, quietOption } from './options.ts';

interface BackupOptions extends ClusterOption {
  json?: boolean;
  fresh?: boolean;
  check?: boolean;
}

export function addBackup(ds: Command): void {
  const save = common(
    ds
      .command('export')
      .summary('write durable ones into a backup')
      .description(
        'Writes dataspaces into a tar archive with a checksum for each MiB. It is written aside, as FILE.part: what broke off goes on there when the same is said again.',
      )
      .argument('<file>', 'where to, as backup.tar')
      .argument('[name...]', 'which; else all durable ones that you may read')
      .option('--fresh', 'begin anew where one broke off'),
  ).action(exportTo);
  examples(save, [
    ['vkctl ds export backup.tar', 'all that are durable'],
    ['vkctl ds export notes.tar notes board', 'these two, durable or not'],
    ['tar tf backup.tar', 'what is in it'],
  ]);
  const load = common(
    ds
      .command('import')
      .summary('make dataspaces of a backup')
      .description(
        'Reads all of the backup first: one that is not whole makes nothing. Then it makes durable dataspaces, yours, with the mode that they had; those that are there with the same bytes are passed over.',
      )
      .argument('<file>', 'of vkctl ds export')
      .argument('[name...]', 'which; else all')
      .option('--check', 'only read it, and say what is in it'),
  ).action(importFrom);
  examples(load, [
    ['vkctl ds import backup.tar', 'all of it, into this cluster or another one'],
    ['vkctl ds import backup.tar notes', 'one of them'],
    ['vkctl ds import --check backup.tar', 'whole, and as its checksums say?'],
  ]);
}

const common = (command: Command): Command =>
  command.addOption(clusterOption()).addOption(jsonOption()).addOption(quietOption());

const progress = (name: string, bytes: number): void => showProgress(`${name}: ${formatSize(bytes)}`);

async function exportTo(file: string, names: string[], options: BackupOptions): Promise<void> {
  const { exportDataspaces, removePart } = await import('@odonata/client/backup/export.ts');
  const there = statSync(file, { throwIfNoEntry: false });
  if (file === '-')
    throw new Failure('ds export: standard output is no place to go on at', {
      fix: 'Name a file; "vkctl ds save NAME -" writes the bytes of one dataspace there.',
      exitCode: EXIT.usage,
    });
  if (there?.isDirectory())
    throw new Failure(`ds export: ${file} is a folder`, { fix: 'Name a file in it.' });
  if (options.fresh) await removePart(file);
  await withCluster(options, async ({ dataspaces, name: cluster }) => {
    const done = await exportDataspaces(dataspaces, file, {
      ...{ cluster, onProgress: progress },
      names: names.length === 0 ? undefined : names,
    }).catch((error) => notWritten(file, error));
    if (options.json) return printJson({ file, ...done });
    if (done.resumedBytes > 0)
      sayAside(`went on after ${formatSize(done.resumedBytes)} of one that broke off`);
    const bytes = done.dataspaces.reduce((sum, each) => sum + each.bytes, 0);
    say(`${plural(done.dataspaces.length, 'dataspace')} in ${file}: ${formatSize(bytes)} that are not zeros`);
  });
}

/** @throws Failure for what the file system says */
async function notWritten(file: string, error: unknown): Promise<never> {
  const { ArchiveError } = await import('@odonata/client/backup/archive.ts');
  if (error instanceof ArchiveError)
    throw new Failure(`ds export: ${file} ${error.message}`, { cause: error });
  if (typeof (error as NodeJS.ErrnoException).syscall !== 'string') throw error;
  const fix = existsSync(`${file}.part`)
    ? `What was written is in ${file}.part: say the same again, and it goes on there.`
    : 'Name a file in a folder that is there, and that you may write.';
  throw new Failure(`ds export: cannot write ${file}: ${reasonOf(error)}`, { fix, cause: error });
}

async function importFrom(file: string, names: string[], options: BackupOptions): Promise<void> {
  const { checkBackup, importDataspaces } = await import('@odonata/client/backup/import.ts');
  const wanted = names.length === 0 ? undefined : names;
  if (options.check) {
    const { dataspaces, cluster } = await checkBackup(file).catch((error) => notRead(file, error));
    if (options.json)
      return printJson(dataspaces.map(({ name, sizeBytes }) => ({ name, sizeBytes, how: 'checked' })));
    for (const { name, sizeBytes, bytes } of dataspaces)
      say(`${name}: ${formatSize(sizeBytes)}, ${formatSize(bytes)} that are not zeros`);
    return say(`${file} is whole: ${plural(dataspaces.length, 'dataspace')} of cluster "${cluster}"`);
  }
  await withCluster(options, async ({ dataspaces }) => {
    const made = await importDataspaces(dataspaces, file, { names: wanted, onProgress: progress }).catch(
      (error) => notRead(file, error),
    );
    if (options.json) return printJson(made);
    for (const { name, sizeBytes, how, group } of made) {
      say(how === 'there' ? `${name} is there, with the same bytes` : `${name}: ${formatSize(sizeBytes)}`);
      if (how === 'made' && group === undefined) sayAside(`${name} has no group: yours is another`);
    }
  });
}

/** @throws Failure for what the file is */
async function notRead(file: string, error: unknown): Promise<never> {
  const { ArchiveError } = await import('@odonata/client/backup/archive.ts');
  if (error instanceof ArchiveError)
    throw new Failure(`ds import: ${file} ${error.message}`, { cause: error });
  if (typeof (error as NodeJS.ErrnoException).syscall !== 'string') throw error;
  throw new Failure(`ds import: cannot read ${file}: ${reasonOf(error)}`, { cause: error });
}
