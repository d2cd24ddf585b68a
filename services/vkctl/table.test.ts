import { expect, test } from 'vitest';
import { type Column, table } from './table.ts';

const columns: Column[] = [
  { head: 'PID' },
  { head: 'NODE' },
  { head: 'PAGES', align: 'right' },
  { head: 'COMMAND', flex: true },
];
const rows = [
  ['100001', 'node1', 12, 'serve --port 80 --name a-long-name-of-a-thing'],
  ['200001', 'node2', 7, 'x'],
];

test('as wide as it is where that fits, or where there is no terminal', () => {
  const whole = [
    'PID     NODE   PAGES  COMMAND',
    '100001  node1     12  serve --port 80 --name a-long-name-of-a-thing',
    '200001  node2      7  x',
  ].join('\n');
  expect(table(columns, rows, undefined)).toBe(whole);
  expect(table(columns, rows, 80)).toBe(whole);
});

test('words are broken first, between them where that can be', () => {
  expect(table(columns, rows, 50)).toBe(
    [
      'PID     NODE   PAGES  COMMAND',
      '100001  node1     12  serve --port 80 --name',
      '                      a-long-name-of-a-thing',
      '200001  node2      7  x',
    ].join('\n'),
  );
});

test('then columns go into blocks, each with the first one', () => {
  expect(table(columns, rows, 24)).toBe(
    [
      'PID     NODE   PAGES',
      '100001  node1     12',
      '200001  node2      7',
      '',
      'PID     COMMAND',
      '100001  serve --port 80',
      '        --name a-long-na',
      '        me-of-a-thing',
      '200001  x',
    ].join('\n'),
  );
});

test('a column that says something of another one stays beside it', () => {
  const faults: Column[] = [
    { head: 'NODE' },
    { head: 'A' },
    { head: 'p50', beside: true },
    { head: 'B' },
    { head: 'p50', beside: true },
  ];
  expect(table(faults, [['n', 1111, 2222, 3333, 4444]], 22)).toBe(
    ['NODE  A     p50', 'n     1111  2222', '', 'NODE  B     p50', 'n     3333  4444'].join('\n'),
  );
});

test('nothing is wider than the terminal, wide characters counted as such', () => {
  for (const width of [26, 30, 40, 60, 80]) {
    const shown = table(
      columns,
      [...rows, ['300001', '\u30ce\u30fc\u30c9', 1, '\u6f22\u5b57'.repeat(40)]],
      width,
    );
    const wide = (line: string) => [...line].reduce((sum, c) => sum + (c > '\u2fff' ? 2 : 1), 0);
    expect(Math.max(...shown.split('\n').map(wide)), shown).toBeLessThanOrEqual(width);
  }
});

test('a long listing takes no longer than its length says', () => {
  const many = Array.from({ length: 10_000 }, (_, i) => [String(i), 'node1', i, 'serve']);
  const startMs = performance.now();
  expect(table(columns, many, 80).split('\n')).toHaveLength(10_001);
  // Some 100 ms; a table that is laid out cell by cell against all others took half a minute.
  expect(performance.now() - startMs).toBeLessThan(3_000);
});
