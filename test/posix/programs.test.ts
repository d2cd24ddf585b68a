// Programs that nobody here wrote, as their source packages have them, each as several processes of several nodes on one
// memory: LMDB with one writer and readers elsewhere, GDBM, and (which takes longer to build) SQLite with its WAL.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster } from '../cluster/cluster.ts';
import { LONG } from '../long.ts';
import { debianSource } from './debian-source.ts';
import { PosixLibrary } from './library.ts';

let cluster: TestCluster;
let library: PosixLibrary;
beforeAll(async () => {
  library = await PosixLibrary.build();
  cluster = await TestCluster.up({ nodes: 3 });
  cluster.addModule('posix', await library.link('posix', [join(import.meta.dirname, 'posix.c')]));
}, 150_000);
afterAll(async () => {
  await cluster.down();
  await library.close();
}, 90_000);

/** Links a program, and gives it its name on the cluster. */
async function program(name: string, sources: string[], flags: string[] = []): Promise<void> {
  cluster.addModule(name, await library.link(name, sources, ['-w', ...flags]));
}

async function sourceOf(name: string): Promise<string | undefined> {
  const found = await debianSource(name);
  if ('folder' in found) return found.folder;
  console.log(`${name} is skipped: ${found.missing}`);
  return undefined;
}

/** Where relative paths begin. */
const at = (folder: string) => ({ env: [`PWD=${folder}`] });

test('LMDB: its own tests, and readers on other nodes beside a writer', async () => {
  const source = await sourceOf('lmdb');
  if (source === undefined) return;
  const lmdb = (file: string) => join(source, 'libraries/liblmdb', file);
  const core = await library.objects([lmdb('mdb.c'), lmdb('midl.c')], ['-w']);
  const own = LONG ? ['mtest', 'mtest2', 'mtest3', 'mtest4', 'mtest5'] : ['mtest', 'mtest3'];
  const tools = ['mdb_load', 'mdb_dump', 'mdb_stat'];
  for (const name of [...own, ...tools]) await program(name, [lmdb(`${name}.c`), ...core]);
  for (const [i, name] of own.entries()) {
    const folder = `/shared/${name}`;
    for (const made of [folder, `${folder}/testdb`]) await cluster.output('node1', 'posix', ['mkdir', made]);
    await cluster.output(`node${(i % 3) + 1}`, name, [], at(folder));
    const [stat, dump] = await Promise.all([
      cluster.output('node1', 'mdb_stat', ['-a', 'testdb'], at(folder)),
      cluster.output('node2', 'mdb_dump', ['testdb'], at(folder)),
    ]);
    const entries = [...stat.matchAll(/Entries: (\d+)/g)].map(([, count]) => Number(count));
    expect(entries.length).toBeGreaterThan(0);
    expect(dump).toMatch(/DATA=END\n$/);
  }
  // Readers see whole transactions: mdb_load ends one after each hundred records.
  await cluster.output('node1', 'posix', ['mkdir', '/shared/load']);
  const records = Array.from(
    { length: LONG ? 20_000 : 2_000 },
    (_, i) => ` key${String(i).padStart(6, '0')}\n value ${i}\n`,
  );
  const text = `VERSION=3\nformat=print\ntype=btree\nmapsize=16777216\nHEADER=END\n${records.join('')}DATA=END\n`;
  let isLoaded = false;
  const loaded = cluster.output('node1', 'mdb_load', ['/shared/load'], { stdin: text }).finally(() => {
    isLoaded = true;
  });
  const counts: number[] = [];
  const read = async (node: string) => {
    do {
      const end = await cluster.run(node, 'mdb_dump', ['-p', '/shared/load']);
      // Before the writer has made it there is nothing to be read.
      if (end.code === 0) counts.push(end.stdout.toString().split('\n key').length - 1);
    } while (!isLoaded);
  };
  await Promise.all([loaded, read('node2'), read('node3')]);
  expect(counts.filter((count) => count % 100 !== 0)).toEqual([]);
  for (const node of ['node1', 'node2', 'node3']) {
    const dump = await cluster.output(node, 'mdb_dump', ['-p', '/shared/load']);
    expect(dump.slice(dump.indexOf('HEADER=END\n') + 11)).toBe(`${records.join('')}DATA=END\n`);
  }
}, 240_000);

test('GDBM: its own test programs, one file by three nodes', async () => {
  const source = await sourceOf('gdbm');
  if (source === undefined) return;
  // What its configure finds, where it may run programs; it is told by name what cannot be run where it is built.
  const has =
    'FLOCK FSYNC FTRUNCATE GETOPT_H GETOPT_LONG GETPAGESIZE INTTYPES_H LOCKF MMAP MSYNC SETLOCALE STDINT_H';
  const more = 'LOCALE_H STDLIB_H STRINGS_H STRING_H SYS_FILE_H SYS_STAT_H SYS_TYPES_H UNISTD_H';
  const stat = 'STRUCT_STAT_ST_BLKSIZE STRUCT_STAT_ST_MTIM';
  const defines = [...`${has} ${more} ${stat}`.split(' ').map((each) => `HAVE_${each}=1`), 'SIZEOF_OFF_T=8'];
  const version = {
    PACKAGE: 'gdbm',
    VERSION: '1',
    PACKAGE_NAME: 'gdbm',
    PACKAGE_VERSION: '1',
    PACKAGE_STRING: 'gdbm 1',
  };
  const texts = Object.entries({ ...version, PACKAGE_BUGREPORT: '', PACKAGE_URL: '' });
  const config = join(library.folder, 'gdbm');
  mkdirSync(config);
  writeFileSync(
    join(config, 'autoconf.h'),
    [
      ...defines.map((each) => `#define ${each.replace('=', ' ')}`),
      ...texts.map(([name, text]) => `#define ${name} "${text}"`),
      '#define GDBM_THREAD_LOCAL',
    ].join('\n'),
  );
  const header = readFileSync(join(source, 'src/gdbm.h.in'), 'utf8').replace(
    '@GDBM_COUNT_T@',
    'unsigned long long',
  );
  writeFileSync(join(config, 'gdbm.h'), header.replaceAll(/@GDBM_[A-Z_]+@/g, '0'));
  const parts =
    'close count delete dump errno exists exp fdesc fetch load open imp reorg seq setopt store sync';
  const others = 'avail base64 bucket falloc findkey fullio hash lock mmap recover update version';
  const files = [...parts.split(' ').map((part) => `gdbm${part}`), ...others.split(' ')];
  const flags = ['-DHAVE_CONFIG_H', '-I', config, '-I', join(source, 'src'), '-I', join(source, 'tests')];
  const sources = files.map((file) => join(source, 'src', `${file}.c`));
  const core = await library.objects(sources, ['-w', ...flags]);
  for (const name of ['gtload', 'gtdump', 'gtfetch', 'gtdel'])
    await program(name, [join(source, 'tests', `${name}.c`), ...core], flags);
  const text = Array.from({ length: 500 }, (_, i) => `key${i}\tvalue ${i}\n`).join('');
  await cluster.output('node1', 'gtload', ['/shared/g.db'], { stdin: text });
  const dump = async (node: string) =>
    (await cluster.output(node, 'gtdump', ['/shared/g.db'])).split('\n').sort().join('\n').trim();
  const whole = text.trim().split('\n').sort().join('\n');
  expect(await Promise.all([dump('node2'), dump('node3')])).toEqual([whole, whole]);
  await cluster.output('node2', 'gtdel', ['/shared/g.db', 'key7']);
  expect(await cluster.output('node3', 'gtfetch', ['/shared/g.db', 'key8'])).toBe('value 8\n');
  expect(await cluster.run('node1', 'gtfetch', ['/shared/g.db', 'key7'])).toMatchObject({ code: 2 });
}, 120_000);

const hasTcl = spawnSync('tclsh', { input: '' }).status === 0;
test.runIf(LONG)(
  "SQLite's shell: three nodes write to one database in WAL mode",
  async () => {
    const source = await sourceOf('sqlite3');
    if (source === undefined || !hasTcl)
      return console.log('SQLite is skipped: its sources, and tclsh to join them');
    const built = join(library.folder, 'sqlite');
    mkdirSync(built);
    const quiet = { cwd: built, stdio: 'ignore' } as const;
    execFileSync('sh', [join(source, 'configure'), '--disable-tcl'], quiet);
    execFileSync('make', ['sqlite3.c', 'shell.c'], quiet);
    const omit = ['THREADSAFE=0', 'OMIT_LOAD_EXTENSION', 'NOHAVE_SYSTEM'].map((each) => `-DSQLITE_${each}`);
    await program('sqlite3', [join(built, 'shell.c'), join(built, 'sqlite3.c')], ['-O1', ...omit]);
    const sql = (node: string, stdin: string) =>
      cluster.output(node, 'sqlite3', ['-cmd', '.timeout 60000', '/shared/t.db'], { stdin });
    expect(await sql('node1', 'pragma journal_mode=wal; create table t(n, i);')).toBe('wal\n');
    const rows = (n: number) =>
      Array.from({ length: 50 }, (_, i) => `insert into t values(${n}, ${i});`).join('\n');
    await Promise.all([1, 2, 3].map((n) => sql(`node${n}`, rows(n))));
    const asked =
      'select n, count(distinct i) from t group by n; pragma integrity_check; pragma journal_mode;';
    expect(await sql('node2', asked)).toBe('1|50\n2|50\n3|50\nok\nwal\n');
  },
  300_000,
);
