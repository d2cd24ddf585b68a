import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { limitsPage } from './page.ts';

it('docs/limits.md says what the constants say', () => {
  const file = join(import.meta.dirname, '../../docs/limits.md');
  if (process.env.REWRITE) writeFileSync(file, limitsPage());
  expect(readFileSync(file, 'utf8')).toBe(limitsPage());
});
