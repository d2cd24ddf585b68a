import { execFile, spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BundleRecord } from '@odonata/rpc/bundle.ts';
import { RELEASE, WIRE } from '@odonata/rpc/wire-version.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inPlace } from './stay-in-place.ts';

const ROOT = join(import.meta.dirname, '../../..');
const run = promisify(execFile);

describe('a module in a bundle', () => {
  const threads = new Map([['/app/a/thread.ts', './thread.mjs']]);
  const placed = (code: string, source = '/app/a/b.ts') => inPlace(code, source, threads);

  it('has the place of its source', () => {
    expect(placed("const main: URL = new URL('./main.ts', import.meta.url);")).toBe(
      'const main: URL = new URL(\'./main.ts\', "file:///app/a/b.ts");',
    );
    expect(placed('f(import.meta.dirname, import.meta.filename)')).toBe('f("/app/a", "/app/a/b.ts")');
    const script = 'load(__dirname + x, __filename, y.__dirname, { __dirname: 1 })';
    expect(placed(script, '/app/a/c.cjs')).toBe(
      'load("/app/a" + x, "/app/a/c.cjs", y.__dirname, { __dirname: 1 })',
    );
  });

  it('finds its threads beside the bundle', () => {
    const code = "new Worker(new URL('./thread.ts', import.meta.url))";
    expect(placed(code)).toBe("new Worker(new URL('./thread.mjs', import.meta.url))");
  });

  it('keeps what only looks so', () => {
    const code =
      "/* import.meta.url */ const text = 'import.meta.url __dirname'; url; import.meta.resolve('x');";
    expect(placed(code)).toBe(code);
  });
});

describe('the bundle of a checkout', () => {
  const checkout = mkdtempSync(join(tmpdir(), 'odonata-bundle-'));
  const at = (path: string) => join(checkout, path);
  const node = at('node_modules/.bin/node');
  const bundles = at('build/bundle');
  const source = at('services/vkctl/command-line.ts');
  const version = async (env: object = {}) =>
    (
      await run(node, [at('services/vkctl/bin/vkctl.js'), '--version'], { env: { ...process.env, ...env } })
    ).stdout.trim();
  // Of no git directory: no commit.
  const said = (release: string) => `${release} (wire ${WIRE.newest})`;
  // From a folder that has nothing to do with it, as whoever runs `vkctl up` is in.
  const make = () => run(node, [at('services/vkctl/bundle/main.ts')], { cwd: tmpdir() });
  const record = () => JSON.parse(readFileSync(join(bundles, 'current.json'), 'utf8')) as BundleRecord;

  beforeAll(async () => {
    const isCode = (path: string) =>
      !/\/(node_modules|testdata)(\/|$)|\.test\.ts$/.test(path.slice(ROOT.length));
    for (const path of ['libs', 'services', 'package.json', 'vkctl'])
      cpSync(join(ROOT, path), at(path), { recursive: true, filter: isCode });
    mkdirSync(at('node_modules/@odonata'), { recursive: true });
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      if (name !== '@odonata') symlinkSync(join(ROOT, 'node_modules', name), at(`node_modules/${name}`));
    }
    for (const place of ['libs', 'services']) {
      for (const name of readdirSync(at(place)))
        symlinkSync(at(`${place}/${name}`), at(`node_modules/@odonata/${name}`));
    }
    await make();
  });
  afterAll(() => rmSync(checkout, { recursive: true, force: true }));

  it('starts without anything that must be stripped of types first', async () => {
    const args = ['--no-strip-types', at('services/vkctl/bin/vkctl.js'), '--version'];
    expect((await run(node, args)).stdout.trim()).toBe(said(RELEASE));
  });

  it('is what runs', async () => {
    const { folder, programs } = record();
    expect(programs[at('services/pmapd/main.ts')]).toBe(join(folder, 'pmapd.mjs'));
    // Told by what it says, for only the bundle says so.
    const file = programs[at('services/vkctl/main.ts')]!;
    const chunk = readdirSync(folder)
      .map((name) => join(folder, name))
      .find((path) => path.endsWith('.mjs') && readFileSync(path, 'utf8').includes('releaseLine(RELEASE)'));
    expect(chunk).toBe(file);
    writeFileSync(file, readFileSync(file, 'utf8').replace('releaseLine(RELEASE)', 'releaseLine("bundle")'));
    expect(await version()).toBe(said('bundle'));
    expect(await version({ ODONATA_BUNDLE: 'off' })).toBe(said(RELEASE));
  });

  it('names no folder of whoever made it', () => {
    const { folder } = record();
    const files = readdirSync(folder).filter((name) => name.endsWith('.mjs'));
    const requires = files.flatMap(
      (name) => readFileSync(join(folder, name), 'utf8').match(/createRequire\([^()]*\)/g) ?? [],
    );
    expect(requires).toContain('createRequire(import.meta.url)');
    expect(
      requires.filter((each) => each.includes('file:') && !each.includes(`file://${checkout}/`)),
    ).toEqual([]);
  });

  describe('has a snapshot of vkctl', () => {
    const snapshot = () => readFileSync(join(bundles, 'snapshot'), 'utf8').split('\n')[2]!;
    const typed = async (env: object = {}) =>
      (await run(at('vkctl'), ['--version'], { env: { ...process.env, ...env } })).stdout.trim();
    const broken = async (use: () => Promise<unknown>) => {
      const bytes = readFileSync(snapshot());
      writeFileSync(snapshot(), 'no snapshot');
      try {
        await use();
      } finally {
        writeFileSync(snapshot(), bytes);
      }
    };

    it('which is what runs', async () => {
      expect(await typed()).toBe(said(RELEASE));
      await broken(() => expect(typed()).rejects.toThrow(/snapshot/));
    });

    it('which is not what runs where the environment, the boot or the place are others', async () => {
      const record = readFileSync(join(bundles, 'snapshot'), 'utf8');
      const fields = record.split('\n');
      // The test above made the bundle say that it is what runs.
      expect(await typed({ GRPC_TRACE: 'none' })).toBe(said('bundle'));
      await broken(() => expect(typed({ NODE_OPTIONS: '--no-warnings' })).resolves.toBe(said('bundle')));
      for (const field of [0, 1, 2]) {
        writeFileSync(join(bundles, 'snapshot'), fields.with(field, '/elsewhere').join('\n'));
        expect(await typed()).toBe(said('bundle'));
      }
      writeFileSync(join(bundles, 'snapshot'), '');
      expect(await typed()).toBe(said('bundle'));
      // As one that is copied from another folder, and started by hand.
      const flags = ['--no-flush-bytecode', '--no-rehash-snapshot', '--snapshot-blob', fields[2]!];
      const main = join(ROOT, 'services/vkctl/bin/vkctl.js');
      const { stdout } = await run(node, [...flags, main, '--version']);
      expect(stdout).toContain(RELEASE);
      writeFileSync(join(bundles, 'snapshot'), record);
    });

    it('which is made anew of files that were written again as they were', async () => {
      writeFileSync(source, readFileSync(source));
      await make();
      // Where the snapshot does not count, the bundle says that it is what runs.
      expect([await typed(), await version()]).toEqual([said(RELEASE), said('bundle')]);
    });

    it('with what Node compiled of those of its modules alone that commands load', () => {
      const bytes = readFileSync(snapshot());
      const hasCodeOf = (module: string): boolean => {
        const length = Buffer.alloc(8);
        length.writeBigUInt64LE(BigInt(module.length));
        return bytes.includes(Buffer.concat([length, Buffer.from(module)]));
      };
      expect(['internal/http2/core', 'internal/repl/utils'].map(hasCodeOf)).toEqual([true, false]);
    });

    it('which several make at a time, and one is there', async () => {
      rmSync(join(bundles, 'snapshot'));
      await Promise.all([make(), make()]);
      await broken(() => expect(typed()).rejects.toThrow(/snapshot/));
      expect(readdirSync(join(snapshot(), '..')).filter((name) => name.startsWith('new-'))).toEqual([]);
    });
  });

  it('is not what runs after an edit, not even one of the same size and time, until it is made anew', async () => {
    const { atime, mtime } = statSync(source);
    writeFileSync(
      source,
      readFileSync(source, 'utf8').replace('releaseLine(RELEASE)', "releaseLine('0.9.9')"),
    );
    utimesSync(source, atime, mtime);
    expect(await version()).toBe(said('0.9.9'));
    expect((await run(at('vkctl'), ['--version'])).stdout.trim()).toBe(said('0.9.9'));
    const { folder: old } = record();
    await make();
    const { folder } = record();
    expect(folder).not.toBe(old);
    expect(await version()).toBe(said('0.9.9'));
    const places = join(folder, 'vkctl.mjs');
    rmSync(places);
    expect(await version()).toBe(said('0.9.9'));
  });

  it('leaves eight folders, and those that processes run from', async () => {
    const used = join(bundles, 'used');
    for (const path of [used, ...Array.from({ length: 12 }, (_, i) => join(bundles, `old-${i}`))]) {
      mkdirSync(path);
      utimesSync(path, 1, 1);
    }
    const user = spawn(node, ['-e', 'setInterval(() => {}, 1000)', used], { stdio: 'ignore' });
    try {
      // Nothing is current any more.
      rmSync(join(bundles, 'current.json'));
      await make();
      const names = readdirSync(bundles).filter((name) => !['current.json', 'snapshot'].includes(name));
      expect(names).toContain('used');
      expect(names.filter((name) => name !== 'used').length).toBeLessThanOrEqual(8);
      expect(names.some((name) => join(bundles, name) === record().folder)).toBe(true);
    } finally {
      user.kill('SIGKILL');
    }
  });
});
