// Vmspaces made by hand go on with the next pmap manager of the node. Their rows go as they are, chunk by chunk, while everything
// goes on; a chunk that changes meanwhile goes again. Whose rows these are, and which dataspaces they name, is said at the end,
// when nothing changes any more; and what can be made of the rows is made there.
import { crc32 } from 'node:zlib';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HandmadeSnapshot, HandmadeSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import type { SharedDataspace } from '../../memory/shared-dataspace.ts';
import type { HandmadeVmspaces } from './handmade-table.ts';
import { Owner } from './owner.ts';
import { CHUNK_ROWS } from './rows.ts';

/** Of the columns; grows when they are others. */
export const LAYOUT = 1;
/** Chunks that changed meanwhile go again: so often, while there are more than some. */
const ROUNDS = 4;
const FEW_CHUNKS = 16;

type Part = MessageInitShape<typeof HandmadeSnapshotSchema>;

/** Chunk by chunk, while all goes on. Whoever changes much meanwhile leaves more for the end. */
export function* chunksAhead(handmade: HandmadeVmspaces): Generator<Part> {
  const { tables } = handmade.store;
  for (const table of tables) table.follow();
  for (let round = 0; round < ROUNDS; round++) {
    const changed = tables.reduce((sum, table) => sum + table.changedChunks, 0);
    if (round > 0 && changed <= FEW_CHUNKS) return;
    for (let left = changed; left > 0; left--) {
      const chunk = nextChunk(handmade);
      if (chunk === undefined) break;
      yield { layout: LAYOUT, chunks: [chunk] };
    }
  }
}

/** All the rest, where nothing changes any more; all, where nothing was copied ahead. */
export function lastPart(handmade: HandmadeVmspaces, arenaToken?: Uint8Array): Part {
  const { store, owners } = handmade;
  for (const table of store.tables) if (!table.isFollowed) table.follow();
  const chunks = [];
  for (let chunk = nextChunk(handmade); chunk !== undefined; chunk = nextChunk(handmade)) chunks.push(chunk);
  return {
    ...{ layout: LAYOUT, chunks, arenaToken },
    owners: [...owners.all()].map(([number, { name }]) => ({ number, name })),
    dataspaces: [...store.dataspaces.all()].map(([number, { id }]) => ({ number, dataspace: id })),
    rows: store.tables.map(({ size }) => BigInt(size)),
  };
}

function nextChunk({ store }: HandmadeVmspaces): NonNullable<Part['chunks']>[number] | undefined {
  for (const [table, rows] of store.tables.entries()) {
    const chunk = rows.takeChanged();
    if (chunk === undefined) continue;
    const { at, bytes: columns } = chunk;
    const names = [];
    if (rows === store.spaces && store.names.size > 0)
      for (let row = at * CHUNK_ROWS; row < (at + 1) * CHUNK_ROWS; row++) {
        const name = store.names.get(row);
        if (name !== undefined) names.push({ row, name });
      }
    return { table, at, columns, crc32: crc32(columns), names };
  }
  return undefined;
}

/** @throws Error where bytes are not what was sent: the hand-over is given up */
export function adoptChunks(handmade: HandmadeVmspaces, { layout, chunks }: HandmadeSnapshot): void {
  if (layout !== LAYOUT) return;
  const { store } = handmade;
  // Rows without what is made of them are nobody's yet.
  handmade.freeze();
  for (const { table, at, columns, crc32: sum, names } of chunks) {
    if (crc32(columns) !== sum) throw new Error(`chunk ${at} of table ${table} of vmspaces is damaged`);
    const rows = store.tables[table]!;
    rows.adopt(at, columns);
    if (rows !== store.spaces) continue;
    for (let row = at * CHUNK_ROWS; store.names.size > 0 && row < (at + 1) * CHUNK_ROWS; row++)
      store.names.delete(row);
    for (const { row, name } of names) store.names.set(row, name);
  }
}

/**
 * Goes on with all of them, after the last part.
 * @returns how many there are; what another layout says is nothing
 * @throws Error where the rows are not those that were told
 */
export function adoptAll(
  handmade: HandmadeVmspaces,
  last: HandmadeSnapshot,
  how: {
    dataspace: (id: bigint) => SharedDataspace | undefined;
    claim: (token: Uint8Array) => number;
    nowMs: number;
  },
): number {
  adoptChunks(handmade, last);
  const { store, owners, arena } = handmade;
  if (last.layout !== LAYOUT) return 0;
  for (const [i, { size }] of store.tables.entries())
    if (BigInt(size) !== last.rows[i])
      throw new Error(`table ${i} of vmspaces has ${size} rows, not ${last.rows[i]}`);
  const gone = new Set<number>();
  const { spaces, entries, slots } = store;
  for (const { number, name } of last.owners) owners.adopt(number, new Owner(name, handmade), 0);
  for (const row of spaces.all()) {
    const number = spaces.owner.get(row);
    const owner = owners.get(number);
    if (owner === undefined) throw new Error(`row ${row} of vmspaces is of owner ${number}, who is nobody`);
    owner.count++;
    owner.entries += spaces.entries.get(row);
    const id = spaces.id.get(row);
    store.ids.add(id, row);
    const name = store.names.get(row);
    if (name !== undefined) owner.byName.set(name, BigInt(id));
    spaces.lastUsedMs.note(row, how.nowMs);
  }
  for (const { number } of last.owners) owners.adopt(number, owners.get(number)!, owners.get(number)!.count);
  owners.adopted();
  const mapped = new Map<number, number>();
  for (const row of entries.all()) {
    const number = entries.dataspace.get(row);
    if (number !== 0) mapped.set(number, (mapped.get(number) ?? 0) + 1);
  }
  for (const { number, dataspace: id } of last.dataspaces) {
    const dataspace = how.dataspace(id);
    if (dataspace === undefined) gone.add(number);
    else store.dataspaces.adopt(number, dataspace, mapped.get(number) ?? 0);
  }
  for (const row of slots.all()) {
    const space = slots.space.get(row);
    store.adoptSlot(space, slots.page.get(row), row);
    owners.get(spaces.owner.get(space))!.pages++;
  }
  if (last.arenaToken.length > 0) arena.adopt(how.claim(last.arenaToken));
  if (gone.size > 0)
    store.dropEntriesOf(gone, (space, count) => owners.get(spaces.owner.get(space))!.counted(-count));
  store.dataspaces.adopted();
  handmade.thaw();
  return handmade.count;
}
