import { SaxesParser } from 'saxes';
import { expect, test } from 'vitest';
import { benchHtml } from '../bench/html.ts';
import { columns } from '../bench/part.ts';
import { machine } from '../bench/report.ts';
import { chaosHtml } from '../chaos/html.ts';
import { html, htmlTable, page } from './html.ts';

/** The text of a page, whose tags must all be closed but those of HTML that never are. */
function read(file: string): string {
  let text = '';
  const parser = new SaxesParser();
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('text', (more) => {
    text += more;
  });
  parser.write(file.replace(/^<!doctype html>\n/, '').replace(/<(meta [^>]*)>/g, '<$1/>')).close();
  return text;
}

test('what is put into a page is text, unless it was made as HTML', () => {
  const hostile = `<script>alert('1')</script>"&`;
  const table = htmlTable(columns('A', '>B'), [[hostile, 1]], hostile);
  const file = page(hostile, [hostile], [html`<p title="${hostile}">${hostile}</p>`, table]);
  expect(file).not.toContain('<script');
  expect(read(file).split(hostile).length - 1).toBe(6);
  expect(file).toContain('<td class="number">1</td>');
});

test('the bench has each figure beside its target', async () => {
  const figures = [
    { name: 'p50 <of> a fault', value: 3, unit: 'us', target: { most: 2 }, verdict: 'falls short' },
    { name: 'reads', value: 3, unit: 'M/s', target: { least: 1 }, verdict: 'meets' },
  ] as const;
  const tables = [{ title: 'Faults', columns: columns('A'), rows: [['x']], notes: ['as it was'] }];
  const results = [{ figures: [...figures], tables, measured: {} }];
  const run = { startedAt: 'now', quick: true, machine: machine(), loadAverageAfter: [0, 0, 0], results };
  const text = read(await benchHtml(run));
  for (const said of ['1 of 2 falls short', 'p50 <of> a fault', '<= 2 us', 'as it was', 'quick run'])
    expect(text).toContain(said);
});

test('a chaos run says what is wrong, and draws what was broken', async () => {
  const report = {
    ...{
      seed: 7,
      minutes: 1,
      cuts: false,
      operations: 10,
      amidFaults: 2,
      open: 1,
      objects: 3,
      undecided: [],
    },
    ...{
      troubles: ['node2 waits'],
      longestStallMs: 1500,
      ends: { 'exit 0': 3 },
      made: { whole: 2 },
      logins: {},
      pmapFlushes: 3,
    },
    faults: [
      { what: 'kill node1/pmapd', atMs: 100, forMs: 0 },
      { what: 'stop cohd', atMs: 500, forMs: 900 },
    ],
    violations: ['object 1'],
  };
  const text = read(await chaosHtml(report));
  for (const said of ['something is wrong', 'Violation: object 1', 'Does not go on: node2', 'stop cohd'])
    expect(text).toContain(said);
  expect(read(await chaosHtml({ ...report, faults: [], violations: [], troubles: [] }))).toContain(
    'nothing is wrong',
  );
});
