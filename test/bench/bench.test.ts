// The bench works: a quick run, its exit code, its JSON and what it leaves. What the figures are is not tested. Parts that
// start many processes run in make test-long only.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LAYERS } from '@odonata/userfault/sandbox/layer-names.ts';
import { afterAll, describe, expect, test } from 'vitest';
import { LONG } from '../long.ts';
import { sharesOf } from './fault-profile.ts';
import { PART_NAMES, PROGRAM_NAMES, parseOptions } from './options.ts';
import { geometricMean, latencyOf, median, percentile } from './samples.ts';
import { spawnCommand } from './spawned.ts';

const folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bench = (args: string[], onShown?: (shown: string) => void) =>
  spawnCommand(join(import.meta.dirname, 'main.ts'), args, folder, onShown);

function left(pid: number): string[] {
  const clusters = [folder, '/tmp', '/dev/shm'].flatMap((where) => readdirSync(where));
  return clusters.filter((name) => name.includes(`bench-${pid}`) || name.startsWith('odonata-bench-'));
}

/** Every number in a value, with where it stands. */
function numbers(value: unknown, path = ''): [string, number][] {
  if (typeof value === 'number') return [[path, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => numbers(item, `${path}.${key}`));
}

const MANY_PROCESSES: string[] = [
  'bulk',
  'directory',
  'handover',
  'identity',
  'locks',
  'paging',
  'parallel',
  'peers',
  'processes',
  'sequential',
  'sharing',
  'snapshots',
  'syslink',
  'vmspaces',
  'walls',
];
const PARTS = PART_NAMES.filter((name) => LONG || !MANY_PROCESSES.includes(name));

/** A part, and the step of it in which it is interrupted. */
const INTERRUPTED: [string, string][] = [
  ['compute', 'matmul'],
  ...(LONG ? [['directory', 'failover: replica 1'] as [string, string]] : []),
];

describe('a quick run', () => {
  test('measures its parts, judges each figure and leaves nothing', { timeout: 280_000 }, async () => {
    const json = join(folder, 'report.json');
    const html = join(folder, 'report.html');
    const { child, result } = bench(['--quick', '--only', PARTS.join(), '--json', json, '--html', html]);
    const { code, stdout, stderr } = await result;
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(left(child.pid!)).toEqual([]);

    const report = JSON.parse(readFileSync(json, 'utf8'));
    const drawn = readFileSync(html, 'utf8');
    for (const { name } of report.figures)
      expect(drawn).toContain(`<td class="text">${name.replaceAll("'", '&#39;')}</td>`);
    expect(drawn).toContain('<svg');
    expect(Object.keys(report.parts).sort()).toEqual([...PARTS].sort());
    expect(report.parts.compute.kernels).toHaveLength(8);
    expect(report.parts.faults.rows.map((row: { place: string }) => row.place)).toEqual([
      'vkernel',
      'node',
      'remote',
      'remote',
      'upgrade',
      'upgrade',
    ]);
    if (LONG) {
      const { throughput, replicas, failover, upgrade } = report.parts.directory;
      expect(throughput.loads).toHaveLength(3);
      expect(replicas.rows.map((row: { replicas: number }) => row.replicas)).toEqual([1, 2, 1, 2]);
      expect(failover.kills).toHaveLength(1);
      expect(upgrade.rows.map((row: { sharers: number }) => row.sharers)).toEqual([2, 16]);
      const { rows } = report.parts.identity;
      expect(rows.map((row: { way: string }) => row.way).join(' ')).toBe('unix tcp '.repeat(4).trim());
    }
    expect(report.machine.loadAverage).toHaveLength(3);
    for (const figure of report.figures) {
      // What is measured is more than nothing; a difference may be less.
      if (figure.name.endsWith('torn or old')) expect(figure.value, figure.name).toBe(0);
      else if (!figure.name.endsWith(', more')) expect(figure.value, figure.name).toBeGreaterThan(0);
      expect(['meets', 'falls short']).toContain(figure.verdict);
      expect(stdout).toContain(figure.name);
    }
    const measured = numbers(report.parts).filter(
      ([path]) =>
        !/pauseMs|pagesMoved|0\.messages|cpuUs|waitedUs|\.more$|rate$|torn$|old$|PerWrite$|pagesPerFault$|cores|guestsMs$|members$|\.faults$|\.pages$/.test(
          path,
        ),
    );
    expect(measured.length).toBeGreaterThan(LONG ? 100 : 30);
    for (const [path, value] of measured) expect(value, path).toBeGreaterThan(0);
    const short = report.figures.filter((each: { verdict: string }) => each.verdict === 'falls short').length;
    expect(stdout).toMatch(new RegExp(`^${short} figures? of ${report.figures.length} falls? short:$`, 'm'));
  });

  test.each(INTERRUPTED)('ends with its clusters on Ctrl-C: %s', { timeout: 90_000 }, async (part, step) => {
    const { child, result } = bench(['--quick', '--only', part], (shown) => {
      if (shown.includes(step)) child.kill('SIGINT');
    });
    expect((await result).code).toBe(130);
    expect(left(child.pid!)).toEqual([]);
  });
});

describe('its command line', () => {
  test.each([
    ['--only', 'lunch'],
    ['--fast'],
    ['--without', 'doors'],
    ['--program', 'sokoban'],
    ['--json', '/no/such/folder/report.json'],
    ['compute'],
  ])('%s %s: one line, exit code 2', async (...args) => {
    const { code, stderr } = await bench(args).result;
    expect(code).toBe(2);
    expect(stderr.trim()).toMatch(/^bench: .+$/);
  });

  test('takes some parts, or all', () => {
    expect(parseOptions(['--only', 'faults,start'])).toEqual({
      only: ['faults', 'start'],
      quick: false,
      profile: false,
      without: [...LAYERS],
      programs: [...PROGRAM_NAMES],
      json: undefined,
    });
    expect(parseOptions(['--quick'])).toMatchObject({ only: [...PART_NAMES], quick: true });
    expect(parseOptions(['--without', 'cgroup,seccomp'])).toMatchObject({ without: ['cgroup', 'seccomp'] });
    expect(parseOptions(['--profile'])).toMatchObject({ profile: true });
    expect(parseOptions(['--program', 'tsp', '--program', 'words'])).toMatchObject({
      programs: ['tsp', 'words'],
    });
    expect(parseOptions(['-h'])).toBe('help');
  });

  test.each([
    [['--profile'], 'of the parts faults and sequential'],
    [['--without', 'cgroup'], 'of the part walls'],
    [['--program', 'tsp'], 'of the part parallel'],
  ])('%s says nothing to a start', (option, said) => {
    expect(() => parseOptions([...option, '--only', 'start'])).toThrow(`${said}, which --only leaves out`);
  });
});

test('a profile is told by whose code it is, in us a fault, without idle time', () => {
  const frame = (id: number, functionName: string, url = '') => ({ id, callFrame: { functionName, url } });
  const nodes = [
    frame(1, '(idle)'),
    frame(2, 'step', 'file:///o/libs/coherency/directory/directory.ts'),
    frame(3, 'write', 'file:///o/node_modules/@grpc/grpc-js/build/src/stream-decoder.js'),
    frame(4, 'poll'),
    frame(5, '(garbage collector)'),
    frame(6, 'nextTick', 'node:internal/process/task_queues'),
  ];
  const { byOwner, top } = sharesOf(
    { nodes, samples: [1, 2, 2, 3, 4, 5, 6], timeDeltas: [900, 10, 20, 4, 6, 8, 2] },
    2,
  );
  expect(byOwner).toEqual({
    ...{ system: 3, protobuf: 0, 'grpc-js': 2, nats: 0, node: 1, core: 15, services: 0, gc: 4 },
  });
  expect(top[0]).toEqual({ name: 'step directory/directory.ts', us: 15 });
});

test('medians, percentiles and geometric means', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(percentile([1, 2, 3, 4, 5], 0.5)).toBe(3);
  expect(percentile([1, 2], 0.99)).toBe(1);
  expect(geometricMean([2, 8])).toBeCloseTo(4);
  expect(latencyOf([1000, 3000, 2000])).toEqual({ samples: 3, p50Us: 2, p99Us: 2 });
});
