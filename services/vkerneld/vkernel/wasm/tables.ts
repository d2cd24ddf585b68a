// The tables of a module: bounded, and counted against the quota of its program.
import { BinaryReader, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { ModuleError } from './module-error.ts';

/** Entries of all tables together, and of what they may grow to. */
const tableEntriesMax = 1_000_000;
const tablesMax = 16;
/** Of a table of functions: 32.3 measured, and a little for what grows. */
const tableEntryBytes = 40;
/** What tables may grow by takes at most this part of a quota. */
const growthPart = 1 / 16;
/** A flag of limits. */
export const limitsHasMaximum = 1;
const functionReference = 0x70;
const externReference = 0x6f;

interface Table {
  readonly type: number;
  readonly initial: number;
  readonly maximum: number;
}

/** Tables with maxima that are together within the bounds. */
export function boundedTables(
  body: Uint8Array<ArrayBuffer>,
  quotaBytes: number,
): { body: Uint8Array<ArrayBuffer>; bytesMax: number } {
  const tables = readTables(body);
  const initial = tables.reduce((sum, table) => sum + table.initial, 0);
  if (initial > tableEntriesMax)
    throw new ModuleError(
      `a module with tables of ${initial} entries; a virtual kernel has ${tableEntriesMax}`,
    );
  if (initial * tableEntryBytes > quotaBytes)
    throw new ModuleError(
      `a module with tables of ${initial} entries, which take more than its whole quota of memory (raise it with --memory)`,
    );
  const growth = Math.min(tableEntriesMax - initial, Math.floor((quotaBytes * growthPart) / tableEntryBytes));
  const growing = tables.filter((table) => table.maximum > table.initial).length;
  const share = growing === 0 ? 0 : Math.floor(growth / growing);
  const pieces = [unsignedLeb(tables.length)];
  let entriesMax = 0;
  for (const table of tables) {
    const maximum = Math.min(table.maximum, table.initial + share);
    entriesMax += maximum;
    pieces.push(
      Uint8Array.of(table.type, limitsHasMaximum),
      unsignedLeb(table.initial),
      unsignedLeb(maximum),
    );
  }
  return { body: concat(pieces), bytesMax: entriesMax * tableEntryBytes };
}

function readTables(body: Uint8Array<ArrayBuffer>): Table[] {
  const reader = new BinaryReader(body, 0);
  const count = reader.u32();
  if (count > tablesMax)
    throw new ModuleError(`a module with ${count} tables; a virtual kernel has ${tablesMax}`);
  return Array.from({ length: count }, () => {
    const type = reader.u8();
    const flags = reader.u8();
    if ((type !== functionReference && type !== externReference) || (flags & ~limitsHasMaximum) !== 0) {
      throw new ModuleError('a module with an unusual table, which no virtual kernel has');
    }
    const initial = reader.u32();
    const maximum = flags & limitsHasMaximum ? reader.u32() : Math.max(initial, tableEntriesMax);
    if (maximum < initial)
      throw new ModuleError('not a valid WebAssembly module: a table has impossible limits');
    return { type, initial, maximum };
  });
}
