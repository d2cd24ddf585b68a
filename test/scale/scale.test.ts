// The scaling run works: quick runs of each service, their exit codes, JSON and pictures, and what they leave. What the
// figures are is not tested. Two services are measured, and all in make test-long.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SaxesParser } from 'saxes';
import { afterAll, describe, expect, test } from 'vitest';
import { spawnCommand } from '../bench/spawned.ts';
import { LONG } from '../long.ts';
import { parseOptions } from './options.ts';
import { missingCosts } from './projection/costs.ts';
import { Scrape } from './prometheus.ts';
import { SERVICE_NAMES } from './scaled-service.ts';
import { cohd } from './services/cohd.ts';
import type { Row } from './sweep.ts';
import { judged } from './verdict.ts';

const folder = mkdtempSync(join(tmpdir(), 'scale-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const scale = (args: string[], onShown?: (shown: string) => void) =>
  spawnCommand(join(import.meta.dirname, 'main.ts'), args, folder, onShown);

function left(pid: number): string[] {
  const shared = ['/tmp', '/dev/shm'].flatMap((where) => readdirSync(where));
  const files = shared.filter((name) => name.includes(`bench-${pid}-`));
  files.push(...readdirSync(folder).filter((name) => name.startsWith('odonata-scale-')));
  return [...files, ...groupOf(pid).map((member) => `process ${member}`)];
}

function groupOf(pid: number): string[] {
  return readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]) === pid;
    } catch {
      return false; // It ended meanwhile.
    }
  });
}

/** Names of elements and the text of a document. @throws what makes it no XML */
function xml(document: string): { elements: string[]; text: string } {
  const parser = new SaxesParser();
  const elements: string[] = [];
  let all = '';
  parser.on('opentag', ({ name }) => elements.push(name));
  parser.on('text', (piece) => {
    all += `${piece}\n`;
  });
  parser.on('error', (error) => {
    throw error;
  });
  parser.write(document).close();
  return { elements, text: all };
}

const MEASURED = SERVICE_NAMES.filter((name) => LONG || name === 'syslinkd');

describe('a quick run', () => {
  let costs: string[] = [];

  test.for(MEASURED)('%s: measures one and two replicas', { timeout: 120_000 }, async (service) => {
    const json = join(folder, `${service}.json`);
    const svg = join(folder, `${service}.svg`);
    const html = join(folder, `${service}.html`);
    const files = ['--json', json, '--svg', svg, '--html', html, ...costs];
    const { child, result } = scale(['--quick', '--service', service, '--replicas', '1,2', ...files]);
    const { code, stdout, stderr } = await result;
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(left(child.pid!)).toEqual([]);

    const report = JSON.parse(readFileSync(json, 'utf8'));
    const { rows, standing, bounds } = report.services[service];
    const patterns = Object.keys(bounds);
    expect(patterns.length).toBeGreaterThanOrEqual(2);
    expect(rows.map((row: Row) => [row.pattern, row.replicas])).toEqual(
      patterns.flatMap((pattern) => [
        [pattern, 1],
        [pattern, 2],
      ]),
    );
    for (const row of rows as Row[]) {
      for (const key of ['operations', 'perS', 'p50Us', 'p99Us', 'residentMib'] as const)
        expect(row[key], `${row.pattern}: ${key}`).toBeGreaterThan(0);
      expect(row.cores.replicas).toBeGreaterThan(0);
      expect(row.p99Us).toBeGreaterThanOrEqual(row.p50Us);
      expect(row.cpuShare).toBeGreaterThanOrEqual(1);
    }
    expect(standing).toHaveLength(2);
    // Two figures a pattern, each printed, whether it meets its target or not.
    expect(report.figures).toHaveLength(2 * patterns.length);
    const page = readFileSync(html, 'utf8');
    expect(page).toContain('<svg');
    for (const { name } of report.figures) {
      expect(stdout).toContain(name);
      expect(page).toContain(name);
    }
    for (const lines of Object.values<string[]>(bounds)) expect(lines[0]).toMatch(/^Bound by /);

    const picture = xml(readFileSync(svg, 'utf8'));
    expect(picture.elements[0]).toBe('svg');
    for (const pattern of patterns) expect(picture.text).toContain(pattern);

    // The next one goes on with the costs of this one; the last one has all.
    costs = ['--costs', json];
    const all = missingCosts(report.costs).length === 0;
    expect(stdout).toContain(all ? 'First bottleneck: ' : 'No projection: ');
    expect(report.projection !== undefined).toBe(all);
    if (LONG && service === MEASURED.at(-1)) expect(all).toBe(true);
  });

  test('ends with its clusters on Ctrl-C', { timeout: 60_000 }, async () => {
    const { child, result } = scale(
      ['--service', 'syslinkd', '--replicas', '2', '--svg', join(folder, 'x.svg')],
      (shown) => {
        if (shown.includes('warming up')) child.kill('SIGINT');
      },
    );
    expect((await result).code).toBe(130);
    expect(left(child.pid!)).toEqual([]);
  });
});

describe('its command line', () => {
  test.each([
    [['--service', 'lunch']],
    [['--replicas', '0']],
    [['--replicas', '1,x']],
    [['--svg', 'all.svg']],
    [['--assume', 'lunch=1']],
    [['--costs', '/nowhere.json']],
    [['--fast']],
    [['--service', 'pmapd', '--kubernetes']],
  ])('%j: one line, exit code 2', async (args) => {
    const { code, stderr } = await scale(args).result;
    expect(code).toBe(2);
    expect(stderr.trim()).toMatch(/^scale: .+$/);
  });

  test('takes services, replicas in order, assumptions', () => {
    expect(parseOptions(['--service', 'pmapd', '--replicas', '4,1,4', '--assume', 'nodes=7'])).toMatchObject({
      services: ['pmapd'],
      replicas: [1, 4],
      assumptions: { nodes: 7, vkernels: 100_000 },
      costs: {},
    });
    expect(parseOptions([])).toMatchObject({
      services: [...SERVICE_NAMES],
      replicas: [1, 2, 4],
      quick: false,
    });
    expect(parseOptions(['-h'])).toBe('help');
  });
});

describe('verdicts', () => {
  const pattern = cohd.patterns[0]!.name;
  const row = (replicas: number, changes: Partial<Row>): Row => ({
    ...{ pattern, operation: 'acquire', replicas, operations: 100, perS: 10, p50Us: 1, p99Us: 2, cpuUs: 10 },
    ...{ standingUs: 0, besideUs: 0, perSleep: 8, workShare: 1, cpuShare: 1.5, residentMib: 100 },
    cores: { replicas: 0.5, busiest: 0.2, beside: 0, neighbours: 0.3, machine: 0.8 },
    ...changes,
  });
  const of = (...rows: Row[]) => judged(cohd, rows.concat(others(rows)))[0]!;
  const others = (rows: Row[]): Row[] =>
    cohd.patterns.slice(1).flatMap(({ name }) => rows.map((each) => ({ ...each, pattern: name })));

  test('flat up to 15 %, even up to 1.3, by the work where it is counted', () => {
    const { flat, even } = of(row(1, {}), row(2, { cpuUs: 11.4, workShare: 1.29 }));
    expect([flat.verdict, even.verdict]).toEqual(['meets', 'meets']);
    const short = of(row(1, {}), row(2, { cpuUs: 11.6, workShare: undefined }));
    expect([short.flat.verdict, short.even.verdict]).toEqual(['falls short', 'falls short']);
  });

  test('what bounds it', () => {
    const bound = (cores: Partial<Row['cores']>) =>
      of(
        row(2, {
          cores: { replicas: 0.5, busiest: 0.2, beside: 0, neighbours: 0.3, machine: 0.8, ...cores },
        }),
      ).bounds[0];
    expect(bound({})).toMatch(/^Bound by waiting/);
    expect(bound({ busiest: 0.95, machine: 1 })).toMatch(/^Bound by the event loop of one replica/);
    expect(bound({ neighbours: 0.95, machine: 1 })).toMatch(/^Bound by the simulated neighbours/);
    expect(bound({ machine: 1000 })).toMatch(/^Bound by this machine's cores/);
    expect(of(row(1, {}), row(4, { cpuUs: 20, perSleep: 2 })).bounds[1]).toMatch(
      /fewer operations share .*: 8.00 to 2.00\)\.$/,
    );
  });
});

test('a scrape sums the series of a name', () => {
  const scrape = new Scrape(
    '# HELP a_total x\na_total{method="/b/C",code="0"} 2\na_total{method="/b/D"} 3\na_total_x 9\nb 1.5e3\n',
  );
  expect(scrape.sum('a_total')).toBe(5);
  expect(scrape.sum('a_total', 'method="/b/D"')).toBe(3);
  expect(scrape.sum('b')).toBe(1500);
  expect(scrape.sum('c')).toBe(0);
});
