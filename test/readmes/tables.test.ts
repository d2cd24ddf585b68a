// A README with a table of files names every file beside it: who reads the table need not look for what it leaves out.
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

const LEFT_OUT = new Set(['test/scale']);

/** Folders whose README has a table that begins with a column of files. */
const folders = globSync(['{libs,services,test}/**/README.md', 'docs/README.md'], {
  cwd: root,
  exclude: (path) => path.endsWith('node_modules'),
})
  .filter((path) => /^\| file +\|/m.test(readFileSync(join(root, path), 'utf8')))
  .map((path) => dirname(path))
  .sort();

/** What the table has to name: code, and pages; not the tests of a file that is named itself. */
function filesOf(folder: string): string[] {
  const names = readdirSync(join(root, folder)).filter(
    (name) => /\.(ts|md)$/.test(name) && name !== 'README.md',
  );
  return names.filter(
    (name) => !name.endsWith('.test.ts') || !names.includes(name.replace('.test.ts', '.ts')),
  );
}

function unnamed(folder: string): string[] {
  const readme = readFileSync(join(root, folder, 'README.md'), 'utf8');
  return filesOf(folder).filter((name) => !readme.includes(`\`${name}\``) && !readme.includes(`(${name})`));
}

test('the folders with such a table are found', () => {
  expect(folders).toEqual(
    expect.arrayContaining(['docs', 'libs/coherency', 'libs/simulator', 'test/cluster']),
  );
});

test.each(folders.filter((folder) => !LEFT_OUT.has(folder)))('the table of %s names every file', (folder) => {
  expect(unnamed(folder)).toEqual([]);
});
