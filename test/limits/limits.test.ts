import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { COUNTED, NODE_LIMITS } from './node-limits.ts';
import { limitsPage } from './page.ts';

it('docs/limits.md says what the constants say', () => {
  const file = join(import.meta.dirname, '../../docs/limits.md');
  if (process.env.REWRITE) writeFileSync(file, limitsPage());
  expect(readFileSync(file, 'utf8')).toBe(limitsPage());
});

it('whatever is bounded in pmapd counts as something when it is hit, and what counts stands there', () => {
  for (const row of NODE_LIMITS) expect(row[5], `${row[0]}: ${row[1]}`).toBeTruthy();
  const root = join(import.meta.dirname, '../..');
  const sources = ['services/pmapd', 'libs/coherency/node', 'libs/rpc/limits.ts'].flatMap((where) =>
    where.endsWith('.ts') ? [where] : filesIn(root, where),
  );
  const text = sources.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
  const limited = /(?:ofLimit|limits\.hit|limits\.count|limited|most|this\.count)\(\s*'([a-z-]+)'/g;
  const words = [...text.matchAll(limited), ...text.matchAll(/limit: '([a-z-]+)'/g)].map(([, word]) => word!);
  // 'vkernel': a refusal whose limit has no word of its own.
  const inFault = text.includes("'page-waiters'") ? ['page-waiters'] : [];
  expect([...new Set([...words, ...inFault])].sort()).toEqual([...new Set(COUNTED)].sort());
});

function filesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join(folder, name));
}
