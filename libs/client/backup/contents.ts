// What the entries of a backup say, in the order in which they may come.
import { z } from 'zod';
import { ArchiveError, type Entry, PIECE_BYTES } from './archive.ts';

const NAMES_MAX = 512;
const SIZE_MAX = 2 ** 40;
/** What is shown to people: whoever wrote the file does not command their terminal. */
const shown = z
  .string()
  .max(NAMES_MAX)
  .regex(/^\P{Cc}*$/u);

const begin = z.strictObject({ version: z.literal(1), cluster: shown });
const about = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9._/-]{1,200}$/),
  /** Tells it from another one that got its name later. */
  id: z.string().max(32),
  sizeBytes: z.int().positive().max(SIZE_MAX),
  owner: shown,
  mode: z.int().min(0).max(0o777),
  group: shown,
});
const whole = z.strictObject({ pieces: z.int().nonnegative() });
const end = z.strictObject({ dataspaces: z.int().nonnegative() });

export type AboutDataspace = z.infer<typeof about>;

export type Item =
  | { readonly type: 'begin'; readonly cluster: string }
  | { readonly type: 'dataspace'; readonly about: AboutDataspace }
  | { readonly type: 'piece'; readonly offset: number; readonly bytes: Buffer }
  | { readonly type: 'whole' }
  | { readonly type: 'end' };

/** What they are called there: any name may be one of a file. */
export const folderOf = (name: string): string => encodeURIComponent(name);
export const pathOfPiece = (name: string, offset: number): string =>
  `${folderOf(name)}/${offset.toString().padStart(16, '0')}`;

/** Reads entries one after the other. @throws ArchiveError for what has no place there */
export class Contents {
  #begun = false;
  #ended = false;
  #dataspaces = 0;
  #current: AboutDataspace | undefined;
  #pieces = 0;
  #nextOffset = 0;

  /** All of the backup was read. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The one whose pieces come. */
  get current(): AboutDataspace | undefined {
    return this.#current;
  }

  read({ path, bytes }: Entry): Item {
    if (this.#ended) throw new ArchiveError(`is no backup: ${path} stands after its end`);
    if (!this.#begun) {
      if (path !== 'begin.json') throw new ArchiveError(`is no backup: it begins with ${path}`);
      this.#begun = true;
      return { type: 'begin', cluster: parsed(begin, path, bytes).cluster };
    }
    if (path === 'end.json') return this.#end(path, bytes);
    if (path.endsWith('/dataspace.json')) return this.#dataspace(path, bytes);
    return path.endsWith('/whole.json') ? this.#whole(path, bytes) : this.#piece(path, bytes);
  }

  #dataspace(path: string, bytes: Buffer): Item {
    if (this.#current !== undefined) throw new ArchiveError(`is spoilt: ${this.#current.name} has no end`);
    const read = parsed(about, path, bytes);
    if (path !== `${folderOf(read.name)}/dataspace.json`) throw new ArchiveError(`is spoilt: ${path}`);
    this.#current = read;
    this.#pieces = 0;
    this.#nextOffset = 0;
    return { type: 'dataspace', about: read };
  }

  #piece(path: string, bytes: Buffer): Item {
    const { name, sizeBytes } = this.#current ?? { name: '', sizeBytes: 0 };
    const offset = Number(path.slice(path.lastIndexOf('/') + 1));
    const fits = Number.isSafeInteger(offset) && offset % PIECE_BYTES === 0 && offset >= this.#nextOffset;
    const length = Math.min(PIECE_BYTES, sizeBytes - offset);
    if (!fits || path !== pathOfPiece(name, offset) || bytes.length !== length)
      throw new ArchiveError(`is spoilt: ${path} has no place there`);
    this.#pieces++;
    this.#nextOffset = offset + PIECE_BYTES;
    return { type: 'piece', offset, bytes };
  }

  #whole(path: string, bytes: Buffer): Item {
    const current = this.#current;
    if (current === undefined || path !== `${folderOf(current.name)}/whole.json`)
      throw new ArchiveError(`is spoilt: ${path} has no place there`);
    const { pieces } = parsed(whole, path, bytes);
    if (pieces !== this.#pieces)
      throw new ArchiveError(`is spoilt: ${current.name} has ${this.#pieces} of ${pieces} pieces`);
    this.#current = undefined;
    this.#dataspaces++;
    return { type: 'whole' };
  }

  #end(path: string, bytes: Buffer): Item {
    const { dataspaces } = parsed(end, path, bytes);
    if (this.#current !== undefined || dataspaces !== this.#dataspaces)
      throw new ArchiveError(`is spoilt: it has ${this.#dataspaces} of ${dataspaces} dataspaces`);
    this.#ended = true;
    return { type: 'end' };
  }
}

function parsed<T>(schema: z.ZodType<T>, path: string, bytes: Buffer): T {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw new ArchiveError(`is spoilt: ${path} is no JSON`);
  }
  const { success, data } = schema.safeParse(value);
  if (!success) throw new ArchiveError(`is spoilt, or of a later version: ${path} says something else`);
  return data;
}
