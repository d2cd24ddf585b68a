// Whether a program can be parked: whether its thread can end while it waits, and another one go on from there. It asks for that by
// its export `odonata_park`, and its code is built so that it can leave and find again its place in each function (Binaryen's Asyncify,
// https://github.com/WebAssembly/binaryen/blob/main/src/passes/Asyncify.cpp, whose exports these are).
import { type Section, SectionId } from '@odonata/guest/wasm/section.ts';
import { ExportKind, exportsOf, type KeptGlobal, keptGlobalsOf } from './kept-globals.ts';
import { ModuleError } from './module-error.ts';

/** Answers where it leaves what is on its stack: an address of the place to write at, and of the end, 32 bits each. */
export const PARK = 'odonata_park';

/** Their types, as function-type.ts has them. */
const asyncify: Readonly<Record<string, string>> = {
  asyncify_start_unwind: 'i:',
  asyncify_stop_unwind: ':',
  asyncify_start_rewind: 'i:',
  asyncify_stop_rewind: ':',
};

const cannot = (why: string): ModuleError =>
  new ModuleError(
    `the program exports ${PARK}, but ${why}, so it cannot be parked: build it without that export`,
  );

/** @param functions the types of all, those that are imported first. @returns undefined: it does not ask for it. @throws ModuleError */
export function parkableOf(
  sections: readonly Section[],
  {
    functions,
    types,
    startsThreads,
  }: { functions: readonly number[]; types: readonly string[]; startsThreads: boolean },
): readonly KeptGlobal[] | undefined {
  const exported = new Map(
    exportsOf(sections)
      .filter(({ kind }) => kind === ExportKind.function)
      .map(({ name, index }) => [name, types[functions[index] ?? -1]]),
  );
  if (!exported.has(PARK)) return undefined;
  if (exported.get(PARK) !== ':i') throw cannot('as a function of another type than () -> i32');
  for (const [name, type] of Object.entries(asyncify))
    if (exported.get(name) !== type)
      throw new ModuleError(
        `the program exports ${PARK}, but no ${name}: it has yet to go through "wasm-opt --asyncify"`,
      );
  if (sections.some(({ id }) => id === SectionId.start)) throw cannot('has a start section');
  const kept = keptGlobalsOf(sections, startsThreads);
  if ('refused' in kept) throw cannot(kept.refused);
  return kept.globals;
}
