// The files of the repository and what each of them imports, types included.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** Imports by file; paths from the root, generated code left out. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

// Biome lays the code out, so a statement begins with its line, and a name stands in single quotes. What stands further
// in may be a type (`import('./x.ts').X`) or code that loads another file when it runs.
const STATEMENT = /^(?:import|export)\b(?:[^'";]*?\bfrom\s+)?\s*'([^']+)'/gm;
const INLINE = /\bimport\('([^']+)'\)/g;

/** Names of modules as the code has them. */
export function importedNames(code: string): string[] {
  return [STATEMENT, INLINE].flatMap((pattern) => [...code.matchAll(pattern)].map(([, name]) => name!));
}

/** `@odonata/pmapd/node.ts` -> `services/pmapd/node.ts`; undefined for packages and for generated code. */
function fileOf(name: string, importer: string, places: ReadonlyMap<string, string>): string | undefined {
  if (name.startsWith('.')) return normalize(join(dirname(importer), name));
  const [, workspace, rest] = /^@odonata\/([^/]+)\/(.+)$/.exec(name) ?? [];
  return workspace === undefined ? undefined : `${places.get(workspace) ?? workspace}/${rest}`;
}

export function importsOf(root: string): ImportGraph {
  const places = new Map(
    ['libs', 'services'].flatMap((folder) =>
      globSync(`${folder}/*`, { cwd: root }).map((path) => [path.slice(folder.length + 1), path] as const),
    ),
  );
  const files = globSync(['libs/**/*.ts', 'services/**/*.ts', 'test/**/*.ts', 'bootstrap/**/*.ts'], {
    cwd: root,
    exclude: (path) => /(^|\/)(node_modules|gen|assembly)$/.test(path),
  });
  return new Map(
    files.sort().map((file) => {
      const names = importedNames(readFileSync(join(root, file), 'utf8'));
      const imported = names.map((name) => fileOf(name, file, places)).filter((path) => path !== undefined);
      // Generated code, `proto/coherency/v1/coherency`, is no file of ours, but a place.
      return [
        file,
        [...new Set(imported)].filter((path) => existsSync(join(root, path)) || !path.endsWith('.ts')),
      ];
    }),
  );
}
