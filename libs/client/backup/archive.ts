// A backup as a file: a tar archive, which any tar lists and takes apart.
//
//   begin.json                       {"version":1,"cluster":"default"}
//   NAME/dataspace.json              its size, mode, group and owner
//   NAME/0000000000000000            1 MiB from that offset on; pieces of zeros are left out
//   NAME/whole.json                  {"pieces":17}: all of it is here
//   end.json                         {"dataspaces":2}: and all of the backup
//
// Each entry has the SHA-256 of its bytes as its comment. So what was written before something broke off is told from what was not,
// and goes on where it ended.
import { createHash } from 'node:crypto';
import { Header, Parser, Pax, type ReadEntry } from 'tar';

export const PIECE_BYTES = 2 ** 20;
/** Of any entry that we write. */
const ENTRY_MAX = 2 * PIECE_BYTES;
const BLOCK = 512;
const CHECKSUM = /^sha256:([0-9a-f]{64})$/;

export interface Entry {
  readonly path: string;
  readonly bytes: Buffer;
  /** In the file, after it. */
  readonly endBytes: number;
}

/** What is no backup, or is spoilt. */
export class ArchiveError extends Error {}

/** An entry as it stands in the file. */
export function encodeEntry(path: string, bytes: Uint8Array): Buffer {
  const sum = createHash('sha256').update(bytes).digest('hex');
  const about = { path, size: bytes.length, mode: 0o600, mtime: new Date(0), comment: `sha256:${sum}` };
  const header = Buffer.alloc(BLOCK);
  new Header({ ...about, type: 'File' }).encode(header, 0);
  const padding = Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK);
  return Buffer.concat([new Pax(about).encode(), header, bytes, padding]);
}

/** After the last entry. */
export const ARCHIVE_END = Buffer.alloc(2 * BLOCK);

/**
 * The whole entries of an archive, in their order, however it ends.
 * @throws ArchiveError for what is none, or is not as its checksum says
 */
export async function* readEntries(file: AsyncIterable<Uint8Array>): AsyncGenerator<Entry> {
  const whole: { path: string; pieces: Buffer[]; comment: string }[] = [];
  let refused: Error | undefined;
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry: ReadEntry) => {
      if (entry.size > ENTRY_MAX) refused ??= new ArchiveError(`${entry.path} is too large for a backup`);
      const pieces: Buffer[] = [];
      entry.on('data', (piece: Buffer) => refused ?? pieces.push(piece));
      entry.on('end', () => whole.push({ path: entry.path, pieces, comment: entry.extended?.comment ?? '' }));
    },
  });
  parser.on('error', (error: Error) => {
    refused ??= new ArchiveError(`is no backup: ${error.message}`);
  });
  let endBytes = 0;
  for await (const piece of file) {
    parser.write(Buffer.from(piece));
    if (refused !== undefined) throw refused;
    for (const { path, pieces, comment } of whole.splice(0)) {
      const bytes = Buffer.concat(pieces);
      const [, sum] = CHECKSUM.exec(comment) ?? [];
      if (sum === undefined) throw new ArchiveError(`is no backup: ${path} has no checksum`);
      if (createHash('sha256').update(bytes).digest('hex') !== sum)
        throw new ArchiveError(`is spoilt: ${path} is not as its checksum says`);
      endBytes += encodeEntry(path, bytes).length;
      yield { path, bytes, endBytes };
    }
  }
}
