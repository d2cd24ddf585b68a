// Functions that a program names by their number in its table, as a pointer of C is.
import { BinaryReader, bytesOfName, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { type Section, SectionId, section } from '@odonata/guest/wasm/section.ts';
import { type Export, ExportKind, exportsOf } from './kept-globals.ts';
import { ModuleError } from './module-error.ts';

/** What the table is exported as. */
export const OWN_TABLE = 'odonata_own_table';

/** Calls that take the number of one. */
const CALLS = ['odonata.signal_function'];

/** What is exported for them: the first table, where there is one. @throws ModuleError */
export function tableFor(sections: readonly Section[], imported: ReadonlySet<string>): Export[] {
  const body = sections.find(({ id }) => id === SectionId.table)?.body;
  const has = body !== undefined && new BinaryReader(body, 0).u32() > 0;
  if (!has || !CALLS.some((name) => imported.has(name))) return [];
  if (exportsOf(sections).some(({ name }) => name === OWN_TABLE))
    throw new ModuleError(
      `the program exports ${OWN_TABLE}, which is what a virtual kernel exports of it: name that otherwise`,
    );
  return [{ name: OWN_TABLE, kind: ExportKind.table, index: 0 }];
}

/** `f(argument, number)` calls that function of the table, if it takes a number of 32 bits and returns nothing; else it traps. */
const CALLS_IT = concat([
  Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
  section(SectionId.type, Uint8Array.of(2, 0x60, 1, 0x7f, 0, 0x60, 2, 0x7f, 0x7f, 0)).whole,
  section(
    SectionId.import,
    concat([unsignedLeb(1), bytesOfName(''), bytesOfName(''), Uint8Array.of(1, 0x70, 0, 0)]),
  ).whole,
  section(SectionId.function, Uint8Array.of(1, 1)).whole,
  section(SectionId.export, concat([unsignedLeb(1), bytesOfName('f'), Uint8Array.of(ExportKind.function, 0)]))
    .whole,
  section(SectionId.code, Uint8Array.of(1, 9, 0, 0x20, 0, 0x20, 1, 0x11, 0, 0, 0x0b)).whole,
]);

/** @returns undefined: there is none of that number */
export function functionOf(
  table: WebAssembly.ExportValue | undefined,
  number: number,
): ((argument: number) => void) | undefined {
  if (!(table instanceof WebAssembly.Table) || number >= table.length || table.get(number) === null)
    return undefined;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(CALLS_IT), { '': { '': table } });
  const call = exports.f as (argument: number, number: number) => void;
  return (argument) => call(argument, number);
}
