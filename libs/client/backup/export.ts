// Writes dataspaces into a backup; one that broke off goes on where it ended.
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import type { Dataspace } from '@odonata/proto/coherency/v1/coherency';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Dataspaces } from '../dataspaces.ts';
import { ARCHIVE_END, ArchiveError, encodeEntry, PIECE_BYTES, readEntries } from './archive.ts';
import { type AboutDataspace, Contents, folderOf, pathOfPiece } from './contents.ts';
import { lockPart } from './part-lock.ts';
import { inPieces, isZeros } from './pieces.ts';

export interface ExportOptions {
  /** Whose they are: the name of the cluster. */
  cluster: string;
  /** All durable ones that one may read unless given. */
  names?: readonly string[] | undefined;
  onProgress?: (name: string, bytes: number) => void;
  signal?: AbortSignal | undefined;
}

export interface Exported {
  /** By name, with how many bytes each has that are not zeros. */
  dataspaces: { name: string; bytes: number }[];
  /** Of the file, as one before left them. */
  resumedBytes: number;
}

// A link in a folder that is everybody's would lead to a file that somebody else chose.
const PART_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;

/** How far it is. */
interface Done {
  /** Whole ones. */
  readonly names: Map<string, { id: string; bytes: number }>;
  current: { about: AboutDataspace; nextOffset: number; bytes: number; pieces: number } | undefined;
  /** Of the file that stay. */
  endBytes: number;
}

/**
 * Writes to `FILE.part`, which takes the place of the file when all is there. Each MiB is as the dataspace was when it was read: who
 * writes meanwhile is in some and not in others.
 * @throws RpcError NOT_FOUND, PERMISSION_DENIED; ArchiveError where there is something else than a file; Error of the system
 */
export async function exportDataspaces(
  dataspaces: Dataspaces,
  file: string,
  options: ExportOptions,
): Promise<Exported> {
  const target = await targetOf(file);
  const wanted = await wantedOf(dataspaces, options);
  const part = `${target}.part`;
  const unlock = await lockPart(part);
  try {
    return await writePart(dataspaces, { part, target, wanted }, options);
  } finally {
    await unlock();
  }
}

async function writePart(
  dataspaces: Dataspaces,
  { part, target, wanted }: { part: string; target: string; wanted: readonly Dataspace[] },
  options: ExportOptions,
): Promise<Exported> {
  const done = await doneOf(part, wanted, options.cluster);
  const handle = await open(part, PART_FLAGS, 0o600);
  try {
    await handle.truncate(done.endBytes);
    const writer = new Writer(handle, done.endBytes);
    const begin = { version: 1, cluster: options.cluster };
    if (done.endBytes === 0) await writer.json('begin.json', begin);
    for (const dataspace of wanted)
      if (!done.names.has(dataspace.name)) await exportOne(dataspaces, dataspace, writer, done, options);
    await writer.json('end.json', { dataspaces: wanted.length });
    await writer.write(ARCHIVE_END);
    await handle.sync();
    await rename(part, target);
    const names = wanted.map(({ name }) => ({ name, bytes: done.names.get(name)!.bytes }));
    return { dataspaces: names, resumedBytes: done.endBytes };
  } finally {
    await handle.close();
  }
}

/** What a link leads to is what is replaced; never a device: that would take it from the whole machine. @throws ArchiveError */
async function targetOf(file: string): Promise<string> {
  const there = await stat(file).catch(() => undefined);
  if (there === undefined) return file;
  if (!there.isFile())
    throw new ArchiveError('is no file, and a backup would take its place: name one, or a new one');
  return await realpath(file);
}

async function wantedOf(dataspaces: Dataspaces, { names, signal }: ExportOptions): Promise<Dataspace[]> {
  const records = await dataspaces.records({ ...(signal && { signal }) });
  const byName = new Map(records.map((record) => [record.name, record]));
  const missing = names?.find((name) => !byName.has(name));
  if (missing !== undefined)
    throw new RpcError(
      Code.NotFound,
      `no dataspace "${missing}" that you may read: the file comes first, then names; vkctl ds ls shows them`,
    );
  const all =
    names === undefined ? records.filter(({ durable }) => durable) : names.map((name) => byName.get(name)!);
  return [...new Set(all)].sort((a, b) => (a.name < b.name ? -1 : 1));
}

class Writer {
  readonly #file: FileHandle;
  #at: number;

  constructor(file: FileHandle, at: number) {
    this.#file = file;
    this.#at = at;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#at);
      done += bytesWritten;
      this.#at += bytesWritten;
    }
  }

  entry(path: string, bytes: Uint8Array): Promise<void> {
    return this.write(encodeEntry(path, bytes));
  }

  json(path: string, value: object): Promise<void> {
    return this.entry(path, Buffer.from(JSON.stringify(value)));
  }
}

async function exportOne(
  dataspaces: Dataspaces,
  { name, id, sizeBytes, owner, mode, group }: Dataspace,
  writer: Writer,
  done: Done,
  { onProgress, signal }: ExportOptions,
): Promise<void> {
  const about = { name, id: String(id), sizeBytes: Number(sizeBytes), owner, mode, group };
  const before = done.current?.about.name === name ? done.current : undefined;
  if (before === undefined) await writer.json(`${folderOf(name)}/dataspace.json`, about);
  let { nextOffset: offset, bytes, pieces } = before ?? { nextOffset: 0, bytes: 0, pieces: 0 };
  if (offset < about.sizeBytes)
    for await (const piece of inPieces(dataspaces.save(name, { offset, ...(signal && { signal }) }))) {
      if (!isZeros(piece)) {
        await writer.entry(pathOfPiece(name, offset), piece);
        bytes += piece.length;
        pieces++;
      }
      offset += piece.length;
      onProgress?.(name, offset);
    }
  await writer.json(`${folderOf(name)}/whole.json`, { pieces });
  done.names.set(name, { id: about.id, bytes });
}

/** What one before wrote of the same; what is of anything else begins anew. */
async function doneOf(part: string, wanted: readonly Dataspace[], cluster: string): Promise<Done> {
  const ids = new Map(wanted.map(({ name, id }) => [name, String(id)]));
  const done: Done = { names: new Map(), current: undefined, endBytes: 0 };
  const contents = new Contents();
  try {
    for await (const entry of readEntries(createReadStream(part, { highWaterMark: PIECE_BYTES }))) {
      const item = contents.read(entry);
      if (item.type === 'begin' && item.cluster !== cluster) break;
      if (item.type === 'dataspace') {
        const { about } = item;
        if (ids.get(about.name) !== about.id || done.names.has(about.name)) break;
        done.current = { about, nextOffset: 0, bytes: 0, pieces: 0 };
      }
      if (item.type === 'piece') {
        done.current!.nextOffset = item.offset + item.bytes.length;
        done.current!.bytes += item.bytes.length;
        done.current!.pieces++;
      }
      if (item.type === 'whole') {
        const { about, bytes } = done.current!;
        done.names.set(about.name, { id: about.id, bytes });
        done.current = undefined;
      }
      if (item.type === 'end') break;
      done.endBytes = entry.endBytes;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' && !(error instanceof ArchiveError)) throw error;
  }
  return done;
}

/** What a backup that broke off left. */
export const removePart = (file: string): Promise<void> => rm(`${file}.part`, { force: true });
