import { join } from 'node:path';

/** One guest program: what it is built from. Paths are relative to the repository's root. */
export interface GuestSource {
  readonly language: 'c' | 'assemblyscript';
  readonly sources: readonly string[];
  /** Folders whose headers count for the cache and are searched by the compiler. */
  readonly includes: readonly string[];
  readonly flags: readonly string[];
  /** It goes through `wasm-opt --asyncify`. */
  readonly parkable?: boolean;
}

const C_FLAGS = ['-std=gnu11', '-O2', '-matomics', '-Wall', '-Wextra', '-Werror'];
/** Sources of others: their warnings are theirs. */
const FOREIGN_FLAGS = ['-std=gnu11', '-O2', '-w'];

function c(...sources: string[]): GuestSource {
  return {
    language: 'c',
    sources: sources.map((file) => join('test/guests', file)),
    includes: ['libs/guest', 'test/guests'],
    flags: C_FLAGS,
  };
}

function kernel(file: string, flags: string[] = []): GuestSource {
  return {
    language: 'c',
    sources: [join('test/bench/kernels', file)],
    includes: ['libs/guest', 'test/guests', 'test/bench/kernels'],
    flags: [...C_FLAGS, ...flags],
  };
}

function parallel(file: string): GuestSource {
  return { ...c(`parallel/${file}`), includes: ['libs/guest', 'test/guests', 'test/guests/parallel'] };
}

function assemblyscript(file: string, ...library: string[]): GuestSource {
  const abort = 'abort=libs/guest/assembly/wasi/onAbort';
  return {
    language: 'assemblyscript',
    sources: [
      join('test/guests/assembly', file),
      ...['wasi.ts', ...library].map((each) => join('libs/guest/assembly', each)),
    ],
    includes: [],
    flags: ['--optimize', '--enable', 'threads', '--exportStart', '_start', '--use', abort],
  };
}

const SQLITE = 'node_modules/better-sqlite3/deps/sqlite3';
const LZ4 = 'node_modules/lz4/deps/lz4';

/** Every guest by name. Command lines and output formats: README.md beside this file. */
export const guests: Readonly<Record<string, GuestSource>> = {
  // The demo's job.
  wordcount: c(
    'wordcount/main.c',
    'wordcount/words.c',
    'wordcount/job.c',
    'wordcount/outbox.c',
    'wordcount/shared-table.c',
    'wordcount/report.c',
  ),

  // Shared memory, locks, wait and wake.
  counter: c('counter.c'),
  litmus: c('litmus.c'),
  pingpong: c('pingpong.c'),
  futex: c('futex.c'),
  meet: c('meet.c'),
  rangelock: c('rangelock.c'),
  image: c('image.c'),
  warm: c('warm.c'),
  sleeper: { ...c('sleeper.c'), parkable: true },
  'small-image': { ...c('image.c'), flags: [...C_FLAGS, '-DPAGES=400'] },
  peek: c('peek.c'),
  wide: c('wide.c'),
  history: c('history.c'),
  pattern: c('pattern.c'),
  dataspace: c('dataspace.c'),
  swap: c('swap.c'),
  far: c('far.c'),
  readonly: { ...c('readonly.c'), flags: [...C_FLAGS, '-mbulk-memory'] },

  // One process and its virtual kernel.
  hello: c('hello.c'),
  args: c('args.c'),
  echo: c('echo.c'),
  copy: c('copy.c'),
  files: c('files.c'),
  'fresh-reads': c('fresh-reads.c'),
  misbehave: c('misbehave.c'),
  hog: c('hog.c'),
  beat: c('beat.c'),
  probe: c('probe.c'),
  paging: c('paging.c'),
  'missing-import': c('missing-import.c'),
  'shared-counter': assemblyscript('shared-counter.ts', 'odonata.ts'),
  greeting: assemblyscript('greeting.ts'),
  talk: assemblyscript('talk.ts', 'odonata.ts', 'connection.ts'),
  terminal: { ...c('terminal.c'), sources: ['test/guests/terminal.c', 'libs/guest/libc/terminal.c'] },

  // Measurements.
  matmul: kernel('matmul.c'),
  qsort: kernel('qsort.c'),
  chase: kernel('chase.c'),
  crc32: kernel('crc32.c'),
  hashtable: kernel('hashtable.c'),
  alloc: kernel('alloc.c'),
  fib: kernel('fib.c'),
  spin: kernel('spin.c'),
  calls: kernel('calls.c'),
  touch: kernel('touch.c'),
  chosen: kernel('chosen.c'),
  stream: kernel('stream.c'),
  relatives: kernel('relatives.c'),
  sections: kernel('sections.c'),
  fought: kernel('fought.c'),
  queue: kernel('queue.c'),
  table: kernel('table.c'),
  // Without a C library: that of most machines has no threads.
  threads: kernel('threads.c', [
    ...['-ffreestanding', '-nostdlib', '-fno-math-errno', '-mbulk-memory'],
    ...['shared-memory', 'import-memory', 'initial-memory=4194304', 'max-memory=4194304'].map(
      (flag) => `-Wl,--${flag}`,
    ),
  ]),

  // Teams (parallel/README.md).
  matrix: parallel('matrix.c'),
  tsp: parallel('tsp.c'),
  kmeans: parallel('kmeans.c'),
  jacobi: parallel('jacobi.c'),
  quicksort: parallel('quicksort.c'),
  words: parallel('words.c'),

  // Programs that we did not write; their sources come out of npm packages when built.
  sqlite: {
    language: 'c',
    sources: ['test/guests/sqlite/shell.c', `${SQLITE}/sqlite3.c`],
    includes: ['test/guests', SQLITE],
    // -O1: it is 9 MB of C, and takes twice as long with -O2.
    flags: [...FOREIGN_FLAGS, '-O1', '-DSQLITE_THREADSAFE=0', '-DSQLITE_OMIT_LOAD_EXTENSION'],
  },
  lz4: {
    language: 'c',
    sources: [
      'test/guests/lz4/missing-from-wasi.c',
      ...['lz4cli', 'lz4io', 'bench', 'datagen'].map((file) => `${LZ4}/programs/${file}.c`),
      ...['lz4', 'lz4frame', 'lz4hc', 'xxhash'].map((file) => `${LZ4}/lib/${file}.c`),
    ],
    includes: [`${LZ4}/lib`, `${LZ4}/programs`],
    flags: [
      ...FOREIGN_FLAGS,
      '-DXXH_NAMESPACE=LZ4_',
      // lz4cli.c mentions this variable even where it does not define it.
      '-Drecursive=0',
      '-D_WASI_EMULATED_SIGNAL',
      '-D_WASI_EMULATED_PROCESS_CLOCKS',
    ],
  },
};
