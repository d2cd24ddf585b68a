// Whether a program can be parked: whether its thread can end while it waits, and another one go on from there. It asks for that by
// its call `odonata.park_area`, and its code is built so that it can leave and find again its place in each function (Binaryen's Asyncify,
// https://github.com/WebAssembly/binaryen/blob/main/src/passes/Asyncify.cpp, whose exports these are).
import { type Section, SectionId } from '@odonata/guest/wasm/section.ts';
import { ExportKind, exportsOf, type KeptGlobal, keptGlobalsOf } from './kept-globals.ts';
import { ModuleError } from './module-error.ts';

/** Tells where it leaves what is on its stack. */
export const PARK_AREA = 'odonata.park_area';
export const PARKS = 'the program is one that can be parked (it calls odonata.park_area)';

/** Their types, as function-type.ts has them. */
const asyncify: Readonly<Record<string, string>> = {
  asyncify_start_unwind: 'i:',
  asyncify_stop_unwind: ':',
  asyncify_start_rewind: 'i:',
  asyncify_stop_rewind: ':',
};

const cannot = (why: string): ModuleError =>
  new ModuleError(`${PARKS}, but ${why}, so it cannot be: build it without that`);

/** @param functions the types of all, those that are imported first. @throws ModuleError */
export function parkableOf(
  sections: readonly Section[],
  {
    functions,
    types,
    startsThreads,
  }: { functions: readonly number[]; types: readonly string[]; startsThreads: boolean },
): readonly KeptGlobal[] {
  const exported = new Map(
    exportsOf(sections)
      .filter(({ kind }) => kind === ExportKind.function)
      .map(({ name, index }) => [name, types[functions[index] ?? -1]]),
  );
  for (const [name, type] of Object.entries(asyncify))
    if (exported.get(name) !== type)
      throw new ModuleError(
        `${PARKS}, but it exports no ${name}: it has yet to go through "wasm-opt --asyncify"`,
      );
  if (sections.some(({ id }) => id === SectionId.start)) throw cannot('it has a start section');
  const kept = keptGlobalsOf(sections, startsThreads);
  if ('refused' in kept) throw cannot(kept.refused);
  return kept.globals;
}
