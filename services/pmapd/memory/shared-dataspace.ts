// A shared dataspace on this node: what the core knows of it, its memory file, and who maps it.
import { NodeDataspace } from '@odonata/coherency/node/memory/node-dataspace.ts';
import type { ChargedTo, PageFrames } from '@odonata/coherency/node/memory/page-frames.ts';
import type { PageBuffer, PagePool } from '@odonata/pmap/wire/page-buffer.ts';
import type { MemoryFile } from '../frames/memory-file.ts';
import type { MapEntry } from '../sessions/map-entry.ts';

export class SharedDataspace extends NodeDataspace<MapEntry, PageBuffer> {
  readonly sizeBytes: bigint;
  readonly file: MemoryFile;
  readonly entries = new Set<MapEntry>();
  unfollow: () => void = () => {};

  constructor(about: {
    id: bigint;
    name: string;
    sizeBytes: bigint;
    durable: boolean;
    pageCount: number;
    file: MemoryFile;
    pool: PagePool;
  }) {
    super({ ...about, frames: new FileFrames(about.file, about.pool) });
    this.sizeBytes = about.sizeBytes;
    this.file = about.file;
  }
}

/** The frames of a memory file. */
class FileFrames implements PageFrames<PageBuffer> {
  private readonly file: MemoryFile;
  private readonly pool: PagePool;

  constructor(file: MemoryFile, pool: PagePool) {
    this.file = file;
    this.pool = pool;
  }

  get residentPages(): number {
    return this.file.residentPages;
  }

  has(page: number): boolean {
    return this.file.has(page);
  }

  read(firstPage: number, pageCount: number): PageBuffer {
    const bytes = this.pool.take(pageCount);
    this.file.readInto(firstPage, bytes.data);
    return bytes;
  }

  write(firstPage: number, _pageCount: number, bytes: PageBuffer, chargedTo: ChargedTo): void {
    this.file.writePieces(firstPage, bytes.pieces, chargedTo);
  }

  fillHoles(firstPage: number, pageCount: number, chargedTo: ChargedTo): number {
    return this.file.fillHoles(firstPage, pageCount, chargedTo);
  }

  drop(firstPage: number, pageCount: number): void {
    this.file.drop(firstPage, pageCount);
  }
}
