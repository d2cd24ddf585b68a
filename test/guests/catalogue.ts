import { join } from 'node:path';

/** One guest program: what it is built from. Paths are relative to the repository's root. */
export interface GuestSource {
  readonly language: 'c' | 'assemblyscript';
  readonly sources: readonly string[];
  /** Folders whose headers count for the cache and are searched by the compiler. */
  readonly includes: readonly string[];
  readonly flags: readonly string[];
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

const SQLITE = 'node_modules/better-sqlite3/deps/sqlite3';
const BZIP2 = 'node_modules/node-bzip2/lib/bzip2';

/** Every guest by name. Command lines and output formats: README.md beside this file. */
export const guests: Readonly<Record<string, GuestSource>> = {
  // The demo's job.
  wordcount: c(
    'wordcount/main.c',
    'wordcount/words.c',
    'wordcount/job.c',
    'wordcount/shared-table.c',
    'wordcount/report.c',
  ),

  // Shared memory, locks, wait and wake.
  counter: c('counter.c'),
  litmus: c('litmus.c'),
  pingpong: c('pingpong.c'),
  futex: c('futex.c'),
  rangelock: c('rangelock.c'),
  peek: c('peek.c'),
  pattern: c('pattern.c'),
  dataspace: c('dataspace.c'),
  readonly: { ...c('readonly.c'), flags: [...C_FLAGS, '-mbulk-memory'] },

  // One process and its virtual kernel.
  hello: c('hello.c'),
  args: c('args.c'),
  echo: c('echo.c'),
  copy: c('copy.c'),
  misbehave: c('misbehave.c'),
  'missing-import': c('missing-import.c'),
  'shared-counter': {
    language: 'assemblyscript',
    sources: ['test/guests/assembly/shared-counter.ts', 'libs/guest/assembly/odonata.ts'],
    includes: [],
    flags: ['--optimize', '--enable', 'threads', '--use', 'abort=test/guests/assembly/shared-counter/onAbort'],
  },

  // Measurements.
  matmul: kernel('matmul.c'),
  qsort: kernel('qsort.c'),
  chase: kernel('chase.c'),
  crc32: kernel('crc32.c'),
  hashtable: kernel('hashtable.c'),
  alloc: kernel('alloc.c'),
  fib: kernel('fib.c'),
  touch: kernel('touch.c'),
  stream: kernel('stream.c'),

  // Programs that we did not write; their sources come out of npm packages when built.
  sqlite: {
    language: 'c',
    sources: ['test/guests/sqlite/shell.c', `${SQLITE}/sqlite3.c`],
    includes: ['test/guests', SQLITE],
    flags: [
      ...FOREIGN_FLAGS,
      '-DSQLITE_THREADSAFE=0',
      '-DSQLITE_OMIT_LOAD_EXTENSION',
      '-DSQLITE_OS_UNIX=1',
      '-D_WASI_EMULATED_GETPID',
    ],
  },
  bzip2: {
    language: 'c',
    sources: ['blocksort', 'bzip2', 'bzlib', 'compress', 'crctable', 'decompress', 'huffman', 'randtable'].map(
      (file) => `${BZIP2}/${file}.c`,
    ),
    includes: ['test/guests/bzip2', BZIP2],
    flags: [...FOREIGN_FLAGS, '-include', 'test/guests/bzip2/missing-from-wasi.h', '-D_WASI_EMULATED_SIGNAL'],
  },
};
