// docs/a-fault.md names functions that are there, where it says.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const PAGE = fileURLToPath(new URL('../../docs/a-fault.md', import.meta.url));
const page = readFileSync(PAGE, 'utf8');
const named = [
  ...[...page.matchAll(/^\| `(\w+)` +\| \[[^\]]+\]\(([^)]+)\)/gm)].map(
    ([, name, file]) => [name!, file!] as const,
  ),
  ...[...page.matchAll(/`(\w+)` of \[[^\]]+\]\(([^)]+)\)/g)].map(([, name, file]) => [name!, file!] as const),
];

test('it names enough of them', () => {
  expect(named.length).toBeGreaterThan(40);
});

test.each(named)('%s in %s', (name, file) => {
  const code = readFileSync(join(dirname(PAGE), file), 'utf8');
  const declared = new RegExp(
    `^(export )?(async )?function ${name}\\b|^  ((private|protected|override|async|static) )*${name}(<[^>]*>)?\\(`,
    'm',
  );
  expect(code).toMatch(declared);
});

test.each([...page.matchAll(/\]\((\.\.[^)]+)\)/g)].map(([, file]) => file!))('%s is there', (file) => {
  expect(readFileSync(join(dirname(PAGE), file), 'utf8')).not.toBe('');
});
