// What a virtual kernel sees of the files of its machine: the Node that runs us, the libraries that it and the programs on
// the way to it load, and the code that it runs. All read-only; no folder of anybody's data is among them.
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NATIVE_FILE, NATIVE_FOLDER } from '../koffi.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const KOFFI = join(ROOT, 'node_modules/koffi');
/** Of a checkout or an image: what runs where there is no bundle. */
const SOURCES = ['package.json', 'libs', 'services', 'node_modules'].map((name) => join(ROOT, name));

const LIBRARY = /(?:=> )?(\/\S+) \(0x/;
/** ldd is a script that has the dynamic linker say what it finds. */
const LDD_MS = 10_000;

/** Files of the machine that these programs, and what Node loads, are linked with. @throws Error */
function librariesOf(programs: readonly string[]): string[] {
  const files = new Set<string>();
  for (const program of programs) {
    const out = execFileSync('ldd', [program], { encoding: 'utf8', timeout: LDD_MS, stdio: 'pipe' });
    for (const line of out.split('\n')) {
      const path = LIBRARY.exec(line)?.[1];
      if (path !== undefined) files.add(path);
    }
  }
  return [...files];
}

let base: { readonly tools: string; readonly files: readonly string[] } | undefined;

/** Paths that are shown where they are, with all below. @param tools programs that are run before Node */
export function runtimeView(tools: readonly string[], programs: readonly string[]): string[] {
  // Asked once: what a program is linked with takes some starts of it to find out.
  if (base?.tools !== tools.join()) {
    const files = [process.execPath, ...tools, ...librariesOf([process.execPath, ...tools, NATIVE_FILE])];
    base = { tools: tools.join(), files };
  }
  return [...new Set([...base.files, ...codeOf(programs)])];
}

function codeOf(programs: readonly string[]): string[] {
  // Of a program at the very top only itself: its folder would be everything.
  const folders = programs.map((program) => (dirname(program) === '/' ? program : dirname(program)));
  const isSource = folders.some((folder) => SOURCES.some((source) => isBelow(folder, source)));
  return isSource
    ? [...SOURCES, ...folders.filter((folder) => !SOURCES.some((source) => isBelow(folder, source)))]
    : [KOFFI, NATIVE_FOLDER, ...folders];
}

const isBelow = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);
