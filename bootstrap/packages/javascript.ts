// Sources as the JavaScript of a package.
import { basename } from 'node:path';
import { type Plugin, rolldown } from 'rolldown';

export interface Built {
  readonly files: readonly { readonly fileName: string; readonly code: string }[];
  /** Packages of others that it imports, by name. */
  readonly imports: readonly string[];
}

const THREAD = /new URL\('(\.[^']*?)([\w-]+)\.ts', import\.meta\.url\)/g;

/** A thread's file lies beside the others. */
const threadsBeside = (names: ReadonlySet<string>): Plugin => ({
  name: 'threads-beside',
  transform: {
    filter: { code: THREAD },
    handler: (code) => ({
      code: code.replace(THREAD, (whole, _folder, name) =>
        names.has(name) ? `new URL('./${name}.js', import.meta.url)` : whole,
      ),
    }),
  },
});

const isOurs = (id: string): boolean => /^[./]|^@odonata\//.test(id);
/** `@a/b` of `@a/b/c`. */
export const packageOf = (id: string): string => /^(@[^/]+\/)?[^/]+/.exec(id)![0];

export async function built(entries: Readonly<Record<string, string>>): Promise<Built> {
  const names = new Set(Object.values(entries).map((source) => basename(source, '.ts')));
  const bundle = await rolldown({
    input: { ...entries },
    platform: 'node',
    tsconfig: false,
    external: (id) => !isOurs(id),
    plugins: [threadsBeside(names)],
  });
  try {
    const { output } = await bundle.generate({
      ...{ format: 'esm', keepNames: true, entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
    });
    const chunks = output.filter((each) => each.type === 'chunk');
    const own = new Set(chunks.map(({ fileName }) => fileName));
    const imports = chunks
      .flatMap((chunk) => [...chunk.imports, ...chunk.dynamicImports])
      .filter((id) => !id.startsWith('node:') && !own.has(id));
    return { files: chunks, imports: [...new Set(imports.map(packageOf))].sort() };
  } finally {
    await bundle.close();
  }
}
