// What a guest's thread asks of the main thread about files in mounts of the virtual kernel. Each call of WASI is one request, but
// transfers of more than a payload.

import type { Filestat } from '../abi.ts';
/** Where a path begins: at the top of a mount, or at a directory that the process has open. */
export type FileAt = { readonly mount: string } | { readonly handle: number };

export interface FilePath {
  readonly at: FileAt;
  /** One character a byte; '.': what it begins at. */
  readonly path: string;
}

export type FileRequest =
  | (FilePath & {
      readonly op: 'open';
      readonly oflags: number;
      readonly follow: boolean;
      readonly reads: boolean;
      readonly writes: boolean;
    })
  /** The same file as one that is open, opened anew. */
  | { readonly op: 'reopen'; readonly handle: number; readonly reads: boolean; readonly writes: boolean }
  | { readonly op: 'close'; readonly handle: number }
  | { readonly op: 'read'; readonly handle: number; readonly offset: number; readonly lengthBytes: number }
  | {
      readonly op: 'write';
      readonly handle: number;
      /** Undefined: at the end. */
      readonly offset: number | undefined;
      readonly bytes: Uint8Array;
    }
  | { readonly op: 'set-size'; readonly handle: number; readonly sizeBytes: number }
  | { readonly op: 'allocate'; readonly handle: number; readonly endBytes: number }
  | { readonly op: 'sync'; readonly handle: number }
  | { readonly op: 'stat'; readonly handle: number }
  | (FilePath & { readonly op: 'stat-path'; readonly follow: boolean })
  | ({ readonly op: 'set-times'; readonly handle: number } & Times)
  | (FilePath & { readonly op: 'set-times-path'; readonly follow: boolean } & Times)
  | (FilePath & { readonly op: 'mkdir' | 'rmdir' | 'unlink' | 'readlink' })
  | { readonly op: 'rename'; readonly from: FilePath; readonly to: FilePath }
  | { readonly op: 'link'; readonly from: FilePath; readonly to: FilePath; readonly follow: boolean }
  | (FilePath & { readonly op: 'symlink'; readonly target: string })
  /** Names from number `from` on, as many as fit; 0 begins a listing. An empty answer is its end. */
  | { readonly op: 'list'; readonly handle: number; readonly from: number };

interface Times {
  /** Undefined: leave it. */
  readonly atimNs: bigint | undefined;
  readonly mtimNs: bigint | undefined;
}

const statFields = ['dev', 'ino', 'filetype', 'nlink', 'size', 'atimNs', 'mtimNs', 'ctimNs'] as const;

export function packStat(stat: Filestat): Uint8Array {
  const view = new DataView(new ArrayBuffer(statFields.length * 8));
  statFields.forEach((field, i) => {
    view.setBigUint64(i * 8, BigInt(stat[field]), true);
  });
  return new Uint8Array(view.buffer);
}

export function unpackStat(payload: Uint8Array<ArrayBuffer>): Filestat {
  const view = new DataView(payload.buffer, payload.byteOffset);
  const word = (i: number): bigint => view.getBigUint64(i * 8, true);
  const [dev, ino, filetype, nlink, size, atimNs, mtimNs, ctimNs] = statFields.map((_, i) => word(i)) as [
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  return { dev, ino, filetype: Number(filetype), nlink, size, atimNs, mtimNs, ctimNs };
}

export interface ListedName {
  readonly name: Uint8Array;
  readonly filetype: number;
  readonly inode: bigint;
}

const nameHeaderBytes = 11;

/** As many of them as fit. */
export function packNames(names: readonly ListedName[], bytesMax: number): Uint8Array {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (const { name, filetype, inode } of names) {
    const piece = new Uint8Array(nameHeaderBytes + name.length);
    length += piece.length;
    if (length > bytesMax) break;
    const view = new DataView(piece.buffer);
    view.setBigUint64(0, inode, true);
    view.setUint8(8, filetype);
    view.setUint16(9, name.length, true);
    piece.set(name, nameHeaderBytes);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

export function unpackNames(payload: Uint8Array<ArrayBuffer>): ListedName[] {
  const names: ListedName[] = [];
  const view = new DataView(payload.buffer, payload.byteOffset);
  for (let at = 0; at < payload.length; ) {
    const length = view.getUint16(at + 9, true);
    const from = at + nameHeaderBytes;
    names.push({
      name: payload.slice(from, from + length),
      filetype: view.getUint8(at + 8),
      inode: view.getBigUint64(at, true),
    });
    at = from + length;
  }
  return names;
}
