import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { weighSession } from './session-weight.ts';

const proc = mkdtempSync(join(tmpdir(), 'odonata-session-'));
afterAll(() => rmSync(proc, { recursive: true }));

function weighed(stat: string, autogroup = '/autogroup-7 nice 0\n'): string {
  writeFileSync(join(proc, 'stat'), stat);
  writeFileSync(join(proc, 'autogroup'), autogroup);
  weighSession(proc);
  return readFileSync(join(proc, 'autogroup'), 'utf8');
}

test('only who leads its session weighs it', () => {
  // Whatever a process is called.
  expect(weighed('41 (node) 9 9 9) S 7 41 41 0 -1')).toMatch(/^-12/);
  expect(weighed('42 (node) S 41 42 41 0 -1')).toBe('/autogroup-7 nice 0\n');
});

test('a kernel without such groups is no trouble', () => {
  rmSync(join(proc, 'autogroup'));
  expect(weighSession(proc)).toBe(false);
});
