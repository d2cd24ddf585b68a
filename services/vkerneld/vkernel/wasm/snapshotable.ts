// What a snapshot of a program takes beside its memory: its globals; or it is said why there can be no snapshot of it. A program that
// exports no `odonata_resume` is left as it is.
import type { Section } from '@odonata/guest/wasm/section.ts';
import { ExportKind, exportsOf, type KeptGlobals, keptGlobalsOf } from './kept-globals.ts';

/** Where what is started from a snapshot begins. */
export const RESUME = 'odonata_resume';

/** @param functions the types of all, those that are imported first. @returns undefined: it does not ask for it */
export function snapshotableOf(
  sections: readonly Section[],
  {
    functions,
    types,
    startsThreads,
  }: { functions: readonly number[]; types: readonly string[]; startsThreads: boolean },
): KeptGlobals | undefined {
  const resume = exportsOf(sections).find(
    ({ name, kind }) => name === RESUME && kind === ExportKind.function,
  );
  if (resume === undefined) return undefined;
  if (types[functions[resume.index] ?? -1] !== ':')
    return { refused: `its ${RESUME} takes or returns something` };
  return keptGlobalsOf(sections, startsThreads);
}
