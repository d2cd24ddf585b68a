// The bytes of dataspaces: vkctl ds load, vkctl ds save.
import { createReadStream, createWriteStream, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { pipeline } from 'node:stream/promises';
import type { Loaded } from '@odonata/client/dataspaces.ts';
import { withCluster } from '../connection.ts';
import { EXIT, Failure, reasonOf } from '../failure.ts';
import { printJson } from '../json.ts';
import { endProgress, printError, sayAside, showProgress } from '../output.ts';
import { formatSize, parseSize } from '../size.ts';
import { type DsOptions, ownership } from './ds-options.ts';
import { writeTo } from './stdio.ts';

export async function load(name: string, file: string, options: DsOptions): Promise<void> {
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
    const { bytes, node, rest } = await dataspaces.load(name, stream, {
      node: options.node,
      sizeBytes: size,
      lengthBytes: stat?.size ?? (options.pad ? undefined : size),
      onProgress: progressOf('loaded', name, options),
      ...owning,
    });
    if (options.json) return printJson({ name, bytes, node, rest });
    sayAside(`${name}: ${formatSize(bytes)} loaded through ${node}${restText(rest)}`);
  });
}

/** Of a dataspace that is larger than what was loaded. */
function restText(rest: Loaded['rest']): string {
  if (rest === undefined || rest.bytes === 0) return '';
  return `; the other ${formatSize(rest.bytes)} ${rest.holds === 'zeros' ? 'are zeros' : 'keep what they held'}`;
}

function progressOf(done: 'loaded' | 'saved', name: string, options: DsOptions): (bytes: number) => void {
  if (options.progress) return (bytes) => printError(`${done} ${bytes}`);
  return (bytes) => showProgress(`${name}: ${formatSize(bytes)}`);
}

/** As often as a load tells. */
const PROGRESS_BYTES = 4 << 20;

export async function save(name: string, file: string, options: DsOptions): Promise<void> {
  if (options.json && file === '-')
    throw new Failure('ds save: standard output has the bytes, and no room for JSON', {
      fix: 'Name a file, or leave out --json.',
      exitCode: EXIT.usage,
    });
  await withCluster(options, async ({ dataspaces }) => {
    const { node, incomplete } = options;
    const pieces = dataspaces.save(name, { node, incomplete });
    // Into the bytes on a terminal it says nothing.
    const shows = file !== '-' || !process.stdout.isTTY || options.progress;
    const onProgress = shows ? progressOf('saved', name, options) : () => {};
    let [bytes, told] = [0, 0];
    async function* counted(): AsyncIterable<Uint8Array> {
      for await (const data of pieces) {
        yield data;
        bytes += data.length;
        if (bytes - told < PROGRESS_BYTES) continue;
        told = bytes;
        onProgress(bytes);
      }
    }
    if (file === '-') {
      for await (const data of counted()) if (!(await writeTo(process.stdout, data))) break;
      return endProgress();
    }
    await saveWhole(counted(), file);
    endProgress();
    if (options.json) printJson({ name, file, bytes });
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
