// A program in each language that nobody here wrote, unchanged, compared with what its own tests or Node say: esbuild in Go,
// Brotli in Rust, JsonCpp in C++, and an interpreter, Jim Tcl, with its own test scripts.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster } from '../cluster/cluster.ts';
import { findCompiler, run, systemPath } from '../guests/toolchain.ts';
import { LONG } from '../long.ts';
import { debianSource } from '../posix/debian-source.ts';
import { crateSource } from './crate-source.ts';
import { hasCpp, hasRust, rustc } from './toolchains.ts';

const ROOT = join(import.meta.dirname, '../..');
const MODULES = join(ROOT, 'node_modules');
const QUALITY = constants.BROTLI_PARAM_QUALITY;
const LIBC = join(ROOT, 'libs/guest/libc');
const folder = mkdtempSync(join(tmpdir(), 'odonata-programs-'));
let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 1, allowDirs: [folder, MODULES] });
}, 150_000);
afterAll(async () => {
  await cluster.down();
  rmSync(folder, { recursive: true });
}, 90_000);

/** An empty folder for a program. */
function made(name: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** What a compiler says is thrown, where it says no. */
async function compile(command: string, args: string[], cwd: string): Promise<void> {
  const { code, output } = await run(command, ['--target=wasm32-wasi', '-w', ...args], cwd);
  if (code !== 0) throw new Error(output);
}

/** Compiles two files at a time. @returns the objects */
async function objects(command: string, files: readonly string[], flags: string[], cwd: string) {
  const waiting = [...files];
  const each = async () => {
    for (let file = waiting.pop(); file !== undefined; file = waiting.pop())
      await compile(command, [...flags, '-c', file, '-o', `${file.split('/').at(-1)}.o`], cwd);
  };
  await Promise.all([each(), each()]);
  return files.map((file) => `${file.split('/').at(-1)}.o`);
}

test('Go: esbuild bundles a package of npm, whose bundle does what the package does', async () => {
  cluster.addModule('esbuild', readFileSync(join(MODULES, '@esbuild/wasi-preview1/esbuild.wasm')));
  const out = made('esbuild');
  const dirs = [
    { hostPath: MODULES, guestPath: '/node_modules', readOnly: true },
    { hostPath: out, guestPath: '/out' },
  ];
  const args = [
    '/node_modules/yaml/dist/index.js',
    '--bundle',
    '--platform=node',
    '--format=cjs',
    '--minify',
    '--outfile=/out/yaml.cjs',
  ];
  await cluster.output('node1', 'esbuild', args, { dirs, env: ['PWD=/'] });
  const require = createRequire(import.meta.url);
  const [bundle, whole] = [require(join(out, 'yaml.cjs')), require('yaml')];
  expect(Object.keys(bundle).sort()).toEqual(Object.keys(whole).sort());
  const document = { names: ['a', 'b: c'], more: { n: 1.5, none: null, text: 'two\nlines' } };
  expect(bundle.stringify(document)).toBe(whole.stringify(document));
  expect(bundle.parse(whole.stringify(document))).toEqual(document);
  // Standard input, and an end that is none.
  const options = { stdin: 'let n: number = 1 + 2; console.log(n)' };
  expect(await cluster.output('node1', 'esbuild', ['--loader=ts', '--minify'], options)).toBe(
    'let n=3;console.log(n);\n',
  );
  const broken = await cluster.run('node1', 'esbuild', ['--loader=ts'], { stdin: 'let = ;' });
  expect(broken).toMatchObject({ code: 1, stderr: expect.stringContaining('<stdin>:1:6:') });
}, 120_000);

test.runIf(hasRust)(
  `Rust: Brotli unpacks what Node packed${LONG ? ', and Node what it packed' : ''}`,
  async () => {
    const source = crateSource('brotli', '3.5.0');
    if ('missing' in source) return console.log(`Brotli is skipped: ${source.missing}`);
    const built = made('brotli-built');
    const std = ['--cfg', 'feature="std"', '--cfg', 'feature="alloc-stdlib"'];
    const crate = (name: string, file: string, ...args: string[]) =>
      rustc(
        built,
        ...['--cap-lints', 'allow', '-C', 'opt-level=1', '-L', built, '--out-dir', built, ...args],
        ...['--crate-name', name.replaceAll('-', '_'), join(source.folder, file)],
      );
    const library = (name: string) => crate(name, `${name}/src/lib.rs`, '--crate-type', 'rlib', ...std);
    const program = (name: string, file: string) => {
      const library = join(built, `lib${name.replaceAll('-', '_')}.rlib`);
      crate('program', file, ...std, '--extern', `${name.replaceAll('-', '_')}=${library}`);
      cluster.addModule(name, readFileSync(join(built, 'program.wasm')));
    };
    for (const name of ['alloc-no-stdlib', 'alloc-stdlib', 'brotli-decompressor']) library(name);
    program('brotli-decompressor', 'brotli-decompressor/src/bin/brotli-decompressor.rs');
    const path = made('brotli');
    const text = readFileSync(join(ROOT, 'package-lock.json'));
    writeFileSync(join(path, 'packed'), brotliCompressSync(text, { params: { [QUALITY]: 5 } }));
    const dirs = [{ hostPath: path, guestPath: '/work' }];
    const files = ['/work/packed', '/work/out'];
    await cluster.output('node1', 'brotli-decompressor', files, { dirs });
    expect(readFileSync(join(path, 'out')).equals(text)).toBe(true);
    const stdin = readFileSync(join(path, 'packed'));
    expect(await cluster.output('node1', 'brotli-decompressor', [], { stdin })).toBe(text.toString());
    if (!LONG) return;
    library('brotli');
    program('brotli', 'brotli/src/bin/brotli.rs');
    await cluster.output('node1', 'brotli', ['-c', '-5', '/work/out', '/work/own'], { dirs });
    expect(brotliDecompressSync(readFileSync(join(path, 'own'))).equals(text)).toBe(true);
  },
  180_000,
);

test.runIf(hasCpp)(
  "C++: JsonCpp's test program, on its own data",
  async () => {
    const source = await debianSource('libjsoncpp');
    if ('missing' in source) return console.log(`JsonCpp is skipped: ${source.missing}`);
    const { command } = await findCompiler();
    const built = made('jsoncpp-built');
    const flags = ['-O1', '-DJSON_USE_EXCEPTION=0', '-I', join(source.folder, 'include')];
    const at = (file: string) => join(source.folder, 'src', file);
    const library = ['reader', 'value', 'writer'].map((part) => at(`lib_json/json_${part}.cpp`));
    const cpp = command.replace('clang', 'clang++');
    const parts = await objects(cpp, library, [...flags, '-fno-exceptions'], built);
    // It has handlers, and nothing throws.
    await compile(cpp, [...flags, '-c', at('jsontestrunner/main.cpp'), '-o', 'main.o'], built);
    await compile(cpp, ['-c', join(LIBC, 'throw.cc'), '-o', 'throw.o'], built);
    await compile(cpp, ['main.o', 'throw.o', ...parts, '-o', 'runner.wasm'], built);
    cluster.addModule('jsontestrunner', readFileSync(join(built, 'runner.wasm')));
    const data = made('jsoncpp');
    cpSync(join(source.folder, 'test/data'), data, { recursive: true });
    const dirs = [{ hostPath: data, guestPath: '/data' }];
    const read = (file: string) => readFileSync(join(data, file), 'utf8').replaceAll('\r\n', '\n').trim();
    const names = readdirSync(data).filter((file) => file.endsWith('.json'));
    expect(names.length).toBeGreaterThan(50);
    const failed: string[] = [];
    const each = async () => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        const fails = name.startsWith('fail');
        const args = [...(fails ? ['--json-checker'] : []), '--json-writer', 'StyledWriter'];
        const { code } = await cluster.run('node1', 'jsontestrunner', [...args, `/data/${name}`], { dirs });
        const stem = name.replace(/\.json$/, '');
        const right =
          fails || code !== 0
            ? fails === (code !== 0)
            : ['actual', 'actual-rewrite'].every(
                (made) => read(`${stem}.${made}`) === read(`${stem}.expected`),
              );
        if (!right) failed.push(name);
      }
    };
    await Promise.all([each(), each(), each()]);
    expect(failed).toEqual([]);
  },
  180_000,
);

/** They start other processes, or want what WASI lacks: sockets of their own, signals, setjmp, a terminal. */
const notForWasi = 'aio exec exec2 history interactive jimsh load lsort lsortcmd signal socket ssl tty'.split(
  ' ',
);
/** Of the others these ask for the pid, and where the interpreter is, which only its module for POSIX tells. */
const wantPosix = [
  'event-7.4',
  'link-1.2',
  'link-1.3',
  'link-1.4',
  'lstat-1.3',
  'mtime-1.5',
  'rename-1.1',
  'rename-1.2',
  'stat-1.4',
  'writable-1.1',
];

test('an interpreter: Jim Tcl, by its own test scripts', async () => {
  const source = await debianSource('jimtcl');
  if ('missing' in source || !existsSync('/usr/bin/gcc'))
    return console.log('Jim Tcl is skipped: its source package of Debian, and gcc to make its configure');
  const { command } = await findCompiler();
  const built = made('jim-built');
  const stub = made('jim-built/stub/sys');
  // What wasi-libc lacks. Only a sort whose comparison fails jumps.
  writeFileSync(join(stub, 'wait.h'), '');
  writeFileSync(
    join(stub, '../setjmp.h'),
    'typedef int jmp_buf[1];\n#define setjmp(at) ((void)(at), 0)\n#define longjmp(at, value) __builtin_trap()\n',
  );
  writeFileSync(
    join(built, 'missing.c'),
    '#include <errno.h>\nint umask(int mask) { return mask; }\nchar *mktemp(char *name) { errno = ENOSYS; *name = 0; return name; }\n',
  );
  const flags = `-O1 -w -isystem ${join(stub, '..')} -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS`;
  const env = { ...process.env, PATH: systemPath(), CC: `${command} --target=wasm32-wasi`, CFLAGS: flags };
  const quiet = { cwd: built, env, stdio: 'pipe' } as const;
  const without = '--without-ext=exec,signal,syslog,posix,load';
  execFileSync(join(source.folder, 'configure'), ['--host=wasm32-wasi', '--disable-ssl', without], quiet);
  // Its configure finds these in headers of this machine.
  const config = join(built, 'jimautoconf.h');
  const found = readFileSync(config, 'utf8');
  writeFileSync(config, found.replaceAll(/^#define HAVE_(SHUTDOWN|STRUCT_FLOCK) 1$/gm, ''));
  execFileSync('make', ['-j2', 'libjim.a', 'jimsh.o', 'initjimsh.o'], quiet);
  const parts = readdirSync(built).filter((file) => file.endsWith('.o'));
  const link = ['-Wl,--stack-first,-z,stack-size=1048576', '-lwasi-emulated-signal'];
  const emulated = '-lwasi-emulated-process-clocks';
  await compile(command, [...parts, 'missing.c', ...link, emulated, '-o', 'jimsh.wasm'], built);
  cluster.addModule('jimsh', readFileSync(join(built, 'jimsh.wasm')));
  const home = made('jim');
  cpSync(join(source.folder, 'tests'), join(home, 'tests'), { recursive: true });
  for (const name of notForWasi) rmSync(join(home, 'tests', `${name}.test`));
  for (const file of readdirSync(source.folder).filter((name) => name.endsWith('.tcl')))
    copyFileSync(join(source.folder, file), join(home, file));
  const dirs = [{ hostPath: home, guestPath: '/' }];
  const options = { dirs, env: ['PWD=/tests', 'HOME=/'] };
  const { stdout } = await cluster.run('node1', 'jimsh', ['/tests/runall.tcl'], options);
  const failed = [...stdout.toString().matchAll(/^\S+:\d+\s+(\S+)$|^\t\S+:\d+\t(\S+)$/gm)].map(
    ([, one, other]) => one ?? other,
  );
  expect(failed.sort()).toEqual(wantPosix);
  const totals = /Totals: Total +\d+ +Passed +(\d+)/.exec(stdout.toString());
  expect(Number(totals?.[1])).toBeGreaterThan(4_500);
}, 180_000);
