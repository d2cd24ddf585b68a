// A package: its JavaScript by rolldown, with all of ours in it and the packages of others beside it, declarations by tsc, and a
// package.json that names what is used and no more.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commitHere } from '../../services/vkctl/release.ts';
import { declarations } from './declarations.ts';
import { built } from './javascript.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const at = (path: string) => join(ROOT, path);

interface Recipe {
  readonly name: string;
  readonly folder: string;
  readonly description: string;
  /** Sources by the name of their file; the first is what is imported or run. */
  readonly entries: Readonly<Record<string, string>>;
  readonly isProgram?: true;
  /** For what only a checkout does. */
  readonly without: readonly string[];
}

const RECIPES: readonly Recipe[] = [
  {
    name: '@odonata/client',
    folder: 'libs/client',
    description: 'The way of a Node program into an Odonata cluster',
    entries: {
      client: 'libs/client/client.ts',
      'pmap-thread': 'libs/client/memory/pmap-thread.ts',
      'copy-thread': 'libs/client/memory/copy-thread.ts',
      'fault-thread': 'libs/pmap/fault-thread.ts',
    },
    without: [],
  },
  {
    name: '@odonata/vkctl',
    folder: 'services/vkctl',
    description: 'The command of an Odonata cluster, for clusters that run elsewhere',
    entries: {
      vkctl: 'services/vkctl/packed.ts',
      'pmap-thread': 'libs/client/memory/pmap-thread.ts',
      'copy-thread': 'libs/client/memory/copy-thread.ts',
    },
    isProgram: true,
    without: ['rolldown'],
  },
];

/** @returns the files that npm pack made */
export async function makePackages(out: string): Promise<string[]> {
  mkdirSync(out, { recursive: true });
  const files: string[] = [];
  for (const recipe of RECIPES) {
    const folder = mkdtempSync(join(tmpdir(), 'odonata-package-'));
    try {
      await fill(folder, recipe);
      files.push(join(out, pack(folder, out)));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  return files;
}

async function fill(folder: string, recipe: Recipe): Promise<void> {
  const entries = Object.entries(recipe.entries).map(([name, source]) => [name, at(source)] as const);
  const made = await built(Object.fromEntries(entries));
  mkdirSync(join(folder, 'dist'));
  for (const { fileName, code } of made.files) writeFileSync(join(folder, 'dist', fileName), code);
  writeFileSync(join(folder, 'dist/COMMIT'), `${commitHere() ?? ''}\n`);
  const named = recipe.isProgram
    ? []
    : declarations(at(Object.values(recipe.entries)[0]!), join(folder, 'types'));
  for (const file of ['LICENSE', `${recipe.folder}/README.md`])
    cpSync(at(file), join(folder, basename(file)));
  writeFileSync(
    join(folder, 'package.json'),
    `${JSON.stringify(manifest(recipe, [...made.imports, ...named]), null, 2)}\n`,
  );
}

function manifest(
  { name, folder, description, entries, isProgram, without }: Recipe,
  imports: readonly string[],
): object {
  const { version, license } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
  const [main] = Object.keys(entries);
  const versions = versionsFor(folder);
  const used = [...new Set(imports)].filter((each) => !without.includes(each)).sort();
  return {
    ...{ name, version, description, license, type: 'module', engines: { node: '>=24' } },
    ...(isProgram
      ? { bin: { [main!]: `dist/${main}.js` } }
      : { exports: { '.': { types: `./types/libs/client/${main}.d.ts`, default: `./dist/${main}.js` } } }),
    files: ['dist', 'types'],
    dependencies: Object.fromEntries(used.map((each) => [each, versions[each]])),
  };
}

/** As the workspaces have them: that of the folder itself counts before others. */
function versionsFor(folder: string): Record<string, string> {
  const { packages } = JSON.parse(readFileSync(at('package-lock.json'), 'utf8'));
  const others = Object.keys(packages).filter((path) => /^(libs|services)\//.test(path));
  return Object.assign({}, ...[...others, folder].map((path) => packages[path].dependencies));
}

function pack(folder: string, out: string): string {
  const { status, stdout, stderr } = spawnSync(
    'npm',
    ['pack', '--ignore-scripts', '--json', '--pack-destination', out],
    { cwd: folder, encoding: 'utf8', timeout: 60_000 },
  );
  if (status !== 0) throw new Error(`npm pack failed: ${stderr}`);
  return (Object.values(JSON.parse(stdout))[0] as { filename: string }).filename;
}
