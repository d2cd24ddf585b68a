// Makes dataspaces of a backup: each whole, or not there. One that broke off goes on with the first that is not there.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Dataspaces } from '../dataspaces.ts';
import { ArchiveError, PIECE_BYTES, readEntries } from './archive.ts';
import { type AboutDataspace, Contents, type Item } from './contents.ts';
import { gap, inPieces, isZeros } from './pieces.ts';

export interface ImportOptions {
  /** All that are in it unless given. */
  names?: readonly string[] | undefined;
  onProgress?: (name: string, bytes: number) => void;
  signal?: AbortSignal | undefined;
}

export interface Imported {
  readonly name: string;
  readonly sizeBytes: number;
  /** `there`: it was there already, with the same bytes. */
  readonly how: 'made' | 'there';
  /** Absent: who imports may not give it that group. */
  readonly group?: string;
}

export interface Checked {
  readonly cluster: string;
  readonly dataspaces: { name: string; sizeBytes: number; bytes: number }[];
}

async function* itemsOf(file: string): AsyncGenerator<Item> {
  // It is read twice, and a device may have no end.
  if (!(await stat(file)).isFile()) throw new ArchiveError('is no file');
  const contents = new Contents();
  for await (const entry of readEntries(createReadStream(file, { highWaterMark: PIECE_BYTES })))
    yield contents.read(entry);
  if (!contents.ended) throw new ArchiveError('is not whole: its end is missing');
}

/** Reads all of it. @throws ArchiveError where it is not whole, or spoilt */
export async function checkBackup(file: string): Promise<Checked> {
  let cluster = '';
  const dataspaces: { name: string; sizeBytes: number; bytes: number }[] = [];
  for await (const item of itemsOf(file)) {
    if (item.type === 'begin') ({ cluster } = item);
    if (item.type === 'dataspace')
      dataspaces.push({ name: item.about.name, sizeBytes: item.about.sizeBytes, bytes: 0 });
    if (item.type === 'piece') dataspaces.at(-1)!.bytes += item.bytes.length;
  }
  return { cluster, dataspaces };
}

/**
 * Durable ones of whoever imports, with the mode that they had; stored when it returns.
 * @throws ArchiveError before anything is made; RpcError ALREADY_EXISTS where another one has a name, RESOURCE_EXHAUSTED
 */
export async function importDataspaces(
  dataspaces: Dataspaces,
  file: string,
  { names, onProgress, signal }: ImportOptions = {},
): Promise<Imported[]> {
  const { dataspaces: all } = await checkBackup(file);
  const missing = names?.find((name) => !all.some((each) => each.name === name));
  if (missing !== undefined)
    throw new RpcError(
      Code.NotFound,
      `no dataspace "${missing}" in it; there are: ${all.map(({ name }) => name).join(', ')}`,
    );
  const imported: Imported[] = [];
  const items = itemsOf(file);
  try {
    for await (const item of onlyDataspaces(items)) {
      const { about } = item;
      if (names !== undefined && !names.includes(about.name)) continue;
      const progress = (bytes: number) => onProgress?.(about.name, bytes);
      imported.push(await importOne(dataspaces, about, contentOf(items, about), progress, signal));
    }
  } finally {
    await items.return(undefined);
  }
  return imported;
}

/** What its consumer leaves of the items is passed over. */
async function* onlyDataspaces(
  items: AsyncGenerator<Item>,
): AsyncGenerator<Extract<Item, { type: 'dataspace' }>> {
  for (let next = await items.next(); !next.done; next = await items.next())
    if (next.value.type === 'dataspace') yield next.value;
}

/** The pieces of one, and what stands between them, to its end. */
async function* contentOf(
  items: AsyncGenerator<Item>,
  { sizeBytes }: AboutDataspace,
): AsyncGenerator<Buffer | number> {
  let at = 0;
  for (let next = await items.next(); !next.done && next.value.type === 'piece'; next = await items.next()) {
    const { offset, bytes } = next.value;
    if (offset > at) yield offset - at;
    yield bytes;
    at = offset + bytes.length;
  }
  if (at < sizeBytes) yield sizeBytes - at;
}

async function* forLoad(content: AsyncIterable<Buffer | number>): AsyncGenerator<Uint8Array | number> {
  for await (const part of content) {
    if (typeof part === 'number') yield* gap(part);
    else yield part;
  }
}

async function importOne(
  dataspaces: Dataspaces,
  about: AboutDataspace,
  content: AsyncGenerator<Buffer | number>,
  onProgress: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<Imported> {
  const { name, sizeBytes } = about;
  const through = { ...(signal && { signal }) };
  const there = (await dataspaces.records(through)).find((each) => each.name === name);
  if (there !== undefined && there.load === undefined) {
    if (Number(there.sizeBytes) === sizeBytes && (await isSame(dataspaces, name, content)))
      return { name, sizeBytes, how: 'there' };
    throw new RpcError(
      Code.AlreadyExists,
      `dataspace "${name}" is there already, and has other bytes: vkctl ds rm ${name} makes room for that of the backup`,
    );
  }
  // What an import that broke off leaves; a load of something else is somebody's, and may go on.
  if (there?.load !== undefined) {
    if (!there.durable || Number(there.sizeBytes) !== sizeBytes || Number(there.load.bytes) !== sizeBytes)
      throw new RpcError(
        Code.AlreadyExists,
        `dataspace "${name}" is there already, and a load into it has not ended: vkctl ds rm ${name} makes room for that of the backup`,
      );
    await dataspaces.remove(name, through);
  }
  const { group, id } = await make(dataspaces, about, through);
  try {
    await dataspaces.load(name, forLoad(content), { lengthBytes: sizeBytes, onProgress, ...through });
    await dataspaces.sync(name, through);
  } catch (error) {
    await removeOwn(dataspaces, name, id).catch(() => {}); // It stays marked: nobody takes it for whole.
    throw error;
  }
  return { name, sizeBytes, how: 'made', ...(group !== undefined && { group }) };
}

/** Another import may have made it anew meanwhile: that one is not ours to remove. */
async function removeOwn(dataspaces: Dataspaces, name: string, id: bigint | undefined): Promise<void> {
  const there = (await dataspaces.records()).find((each) => each.name === name);
  if (there !== undefined && there.id === id) await dataspaces.remove(name);
}

/** @returns also the group that it has; undefined: who makes it may not give it that one, and has it for themselves */
async function make(
  dataspaces: Dataspaces,
  { name, sizeBytes, mode, group }: AboutDataspace,
  through: { signal?: AbortSignal },
): Promise<{ group?: string; id: bigint | undefined }> {
  const options = { durable: true, mode, group, ...through };
  try {
    const made = await dataspaces.create(name, sizeBytes, options);
    return { group, id: made?.id };
  } catch (error) {
    if (group === '' || !RpcError.is(error, Code.PermissionDenied)) throw error;
    const made = await dataspaces.create(name, sizeBytes, { ...options, group: '', mode: mode & 0o707 });
    return { id: made?.id };
  }
}

async function isSame(
  dataspaces: Dataspaces,
  name: string,
  content: AsyncIterable<Buffer | number>,
): Promise<boolean> {
  const saved = inPieces(dataspaces.save(name));
  try {
    for await (const part of content) {
      const length = typeof part === 'number' ? part : part.length;
      for (let at = 0; at < length; at += PIECE_BYTES) {
        const { value, done } = await saved.next();
        if (done || !(typeof part === 'number' ? isZeros(value) : value.equals(part))) return false;
      }
    }
    return true;
  } finally {
    await saved.return(undefined);
  }
}
