// Rows of numbers in columns: half a million of anything costs what its numbers take, and no object each.
//
//   chunk 0            chunk 1            chunk 2
//   4,096 rows         (nobody: none)     4,096 rows        one buffer each, column behind column
//
// A table grows by a chunk, so growth copies nothing; a chunk without rows goes. Rows are taken where the numbers are lowest,
// so what stays moves together. Whoever follows hears which chunks changed, and copies those.
import assert from 'node:assert/strict';

const SHIFT = 12;
export const CHUNK_ROWS = 1 << SHIFT;
const MASK = CHUNK_ROWS - 1;
/** No row. */
export const NONE = 0xffff_ffff;

const BYTES = { f64: 8, u32: 4, u8: 1 } as const;
type Kind = keyof typeof BYTES;
type View = Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/** A number of each row. */
export class Column {
  readonly kind: Kind;
  readonly chunks: (View | undefined)[] = [];
  private readonly touched: (row: number) => void;

  constructor(kind: Kind, touched: (row: number) => void) {
    this.kind = kind;
    this.touched = touched;
  }

  get(row: number): number {
    return this.chunks[row >>> SHIFT]![row & MASK]!;
  }

  set(row: number, value: number): void {
    this.note(row, value);
    this.touched(row);
  }

  /** Whoever follows does not hear of it. */
  note(row: number, value: number): void {
    this.chunks[row >>> SHIFT]![row & MASK] = value;
  }
}

interface Chunk {
  readonly buffer: ArrayBuffer;
  /** The first of its rows that were given back; a chain. */
  free: number;
  /** Rows from there on were never taken. */
  begun: number;
  taken: number;
}

/** What its columns are says who extends it. */
export class Rows {
  private readonly columns: Column[] = [];
  private readonly chunks: (Chunk | undefined)[] = [];
  private readonly live = this.column('u8');
  /** The next row: of a chain that a row is in, or of free ones. */
  readonly next = this.column('u32');
  private count = 0;
  /** No chunk before this one has room. */
  private roomFrom = 0;
  /** Of a chunk that went: whoever makes and ends one thing over and over needs one over and over. */
  private spare: ArrayBuffer | undefined;
  private changed: Set<number> | undefined;

  protected column(kind: Kind): Column {
    const column = new Column(kind, (row) => this.changed?.add(row >>> SHIFT));
    this.columns.push(column);
    return column;
  }

  get size(): number {
    return this.count;
  }

  private get chunkBytes(): number {
    return this.columns.reduce((sum, { kind }) => sum + BYTES[kind] * CHUNK_ROWS, 0);
  }

  private lay(at: number, buffer: ArrayBuffer): void {
    let offset = 0;
    for (const kind of ['f64', 'u32', 'u8'] as const)
      for (const column of this.columns) {
        if (column.kind !== kind) continue;
        column.chunks[at] = viewOf(kind, buffer, offset);
        offset += BYTES[kind] * CHUNK_ROWS;
      }
  }

  private begin(at: number): Chunk {
    const buffer = this.spare ?? new ArrayBuffer(this.chunkBytes);
    if (this.spare !== undefined) new Uint8Array(buffer).fill(0);
    this.spare = undefined;
    const chunk = { buffer, free: NONE, begun: 0, taken: 0 };
    this.chunks[at] = chunk;
    this.lay(at, buffer);
    return chunk;
  }

  private end(at: number): void {
    this.spare = this.chunks[at]!.buffer;
    this.chunks[at] = undefined;
    for (const column of this.columns) column.chunks[at] = undefined;
  }

  /** A row of zeros. */
  take(): number {
    let at = this.roomFrom;
    for (
      let chunk = this.chunks[at];
      chunk !== undefined && chunk.taken === CHUNK_ROWS;
      chunk = this.chunks[at]
    )
      at++;
    this.roomFrom = at;
    const chunk = this.chunks[at] ?? this.begin(at);
    const row = chunk.free === NONE ? at * CHUNK_ROWS + chunk.begun++ : chunk.free;
    if (row === chunk.free) chunk.free = this.next.get(row);
    for (const column of this.columns) column.note(row, 0);
    this.live.set(row, 1);
    chunk.taken++;
    this.count++;
    return row;
  }

  give(row: number): void {
    assert(this.isTaken(row), `row ${row} is given back twice`);
    const at = row >>> SHIFT;
    const chunk = this.chunks[at]!;
    this.live.set(row, 0);
    this.next.note(row, chunk.free);
    chunk.free = row;
    this.roomFrom = Math.min(this.roomFrom, at);
    this.count--;
    chunk.taken--;
    if (chunk.taken === 0) this.end(at);
  }

  isTaken(row: number): boolean {
    return this.chunks[row >>> SHIFT] !== undefined && this.live.get(row) === 1;
  }

  /** Those that are taken, from one on. */
  *all(from = 0): Generator<number> {
    for (let at = from >>> SHIFT; at < this.chunks.length; at++) {
      const chunk = this.chunks[at];
      if (chunk === undefined) continue;
      const end = at * CHUNK_ROWS + chunk.begun;
      for (let row = Math.max(from, at * CHUNK_ROWS); row < end && this.chunks[at] === chunk; row++)
        if (this.live.get(row) === 1) yield row;
    }
  }

  /** `takeChanged` tells of all chunks, then of those that changed. */
  follow(): void {
    this.changed = new Set([...this.chunks.keys()].filter((at) => this.chunks[at] !== undefined));
  }

  unfollow(): void {
    this.changed = undefined;
  }

  get isFollowed(): boolean {
    return this.changed !== undefined;
  }

  get changedChunks(): number {
    return this.changed?.size ?? 0;
  }

  /** One of the chunks that changed since it was told last. Bytes: a copy; none: it went. */
  takeChanged(): { at: number; bytes: Uint8Array } | undefined {
    const [at] = this.changed ?? [];
    if (at === undefined) return undefined;
    this.changed!.delete(at);
    const chunk = this.chunks[at];
    return { at, bytes: chunk === undefined ? new Uint8Array() : new Uint8Array(chunk.buffer.slice()) };
  }

  /** What `takeChanged` of another one with the same columns told. @throws Error where the columns are others */
  adopt(at: number, bytes: Uint8Array): void {
    const before = this.chunks[at];
    if (before !== undefined) {
      this.count -= before.taken;
      this.end(at);
    }
    // In order, so that a list without holes is told of.
    while (this.chunks.length < at) this.chunks.push(undefined);
    this.roomFrom = Math.min(this.roomFrom, at);
    if (bytes.length === 0) return;
    if (bytes.length !== this.chunkBytes)
      throw new Error(`a chunk of ${bytes.length} bytes, where they have ${this.chunkBytes}`);
    const chunk = this.begin(at);
    new Uint8Array(chunk.buffer).set(bytes);
    chunk.begun = CHUNK_ROWS;
    for (let row = (at + 1) * CHUNK_ROWS - 1; row >= at * CHUNK_ROWS; row--)
      if (this.live.get(row) === 1) chunk.taken++;
      else {
        this.next.note(row, chunk.free);
        chunk.free = row;
      }
    this.count += chunk.taken;
    if (chunk.taken === 0) this.end(at);
  }

  /** All of them go. */
  clear(): void {
    this.chunks.length = 0;
    for (const { chunks } of this.columns) chunks.length = 0;
    [this.count, this.roomFrom, this.spare] = [0, 0, undefined];
  }
}

function viewOf(kind: Kind, buffer: ArrayBuffer, offset: number): View {
  switch (kind) {
    case 'f64':
      return new Float64Array(buffer, offset, CHUNK_ROWS);
    case 'u32':
      return new Uint32Array(buffer, offset, CHUNK_ROWS);
    case 'u8':
      return new Uint8Array(buffer, offset, CHUNK_ROWS);
  }
}
