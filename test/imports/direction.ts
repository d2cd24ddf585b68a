// Which way imports go: services -> libs -> the core (libs/coherency), which knows generated messages only. No service
// imports another one; tests may import all, and nothing that ships imports them.
import type { ImportGraph } from './source.ts';

/** `services/pmapd`, `libs/rpc`, `test`. */
export function placeOf(file: string): string {
  const [top, next] = file.split('/');
  return top === 'libs' || top === 'services' ? `${top}/${next}` : top!;
}

/** Code that runs only in tests. */
const isTest = (file: string): boolean =>
  /\.test\.ts$|\/testdata\//.test(file) || /^(test|bootstrap)\//.test(file);

function complaint(from: string, to: string, file: string): string | undefined {
  if (from === to) return undefined;
  if (from === 'libs/coherency' && to !== 'libs/proto') return 'the core imports generated messages only';
  if (from.startsWith('libs/') && !to.startsWith('libs/')) return 'a library imports libraries only';
  if (from.startsWith('services/') && to.startsWith('services/')) return 'a service imports no other service';
  return from.startsWith('services/') && !to.startsWith('libs/')
    ? `${file} ships, and ${to} does not`
    : undefined;
}

/** Imports against the direction, as `importer -> imported`, with what is wrong about each. */
export function againstDirection(graph: ImportGraph): Map<string, string> {
  const found = new Map<string, string>();
  for (const [file, imports] of graph) {
    // A test of the core may use what the core may not.
    if (isTest(file)) continue;
    for (const imported of imports) {
      const wrong = complaint(placeOf(file), placeOf(imported), file);
      if (wrong !== undefined) found.set(`${file} -> ${imported}`, wrong);
    }
  }
  return found;
}
