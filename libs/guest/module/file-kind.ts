// What a file is that somebody gives as a program, and what to do where it is none that runs here.

/** For who has a component: the flag of each toolchain that makes a module of preview 1. */
export const PREVIEW_1_FLAGS =
  'build a module of WASI preview 1: rustc and cargo --target wasm32-wasip1, clang --target=wasm32-wasip1 (or wasm32-wasi), ' +
  'go GOOS=wasip1 GOARCH=wasm, tinygo -target=wasip1; JavaScript (jco, ComponentizeJS) and Python (componentize-py) have none, ' +
  'there it takes an interpreter that is such a module';

export interface Unrunnable {
  /** As the end of "FILE is ...". */
  readonly what: string;
  /** Empty: nothing that is known. */
  readonly fix: string;
}

const wasm = '\0asm';
/** First bytes of what is no WebAssembly in binary format, a character a byte. */
const foreign: readonly (readonly [start: string, what: string, fix: string])[] = [
  ['\x7fELF', 'a program of this machine (ELF)', 'compile it for WASI, as clang --target=wasm32-wasi'],
  ['MZ', 'a program of Windows', 'compile it for WASI, as clang --target=wasm32-wasi'],
  ['\xcf\xfa\xed\xfe', 'a program of macOS', 'compile it for WASI, as clang --target=wasm32-wasi'],
  ['\x1f\x8b', 'compressed by gzip', 'unpack it first: gunzip'],
  ['\x28\xb5\x2f\xfd', 'compressed by zstd', 'unpack it first: unzstd'],
  ['\xfd7zXZ', 'compressed by xz', 'unpack it first: unxz'],
  ['BZh', 'compressed by bzip2', 'unpack it first: bunzip2'],
  ['PK\x03\x04', 'a zip archive', 'unpack it first: unzip'],
  ['!<arch>\n', 'an archive of object files', 'link a program with it: wasm-ld, or the compiler'],
  ['BC\xc0\xde', 'LLVM bitcode', 'link it without -flto, or to the end: wasm-ld'],
  ['#!', 'a script', 'run its interpreter, if that is a module, with it as an argument'],
];
const textFormat = /^\s*(;;[^\n]*\n\s*|\(;.*?;\)\s*)*\(\s*(module|component)\b/s;

/** Undefined: a module of version 1, whatever it needs. @param bytes all, or the first 4 KiB */
export function unrunnable(bytes: Uint8Array): Unrunnable | undefined {
  const start = Buffer.from(bytes.subarray(0, 4096)).toString('latin1');
  if (start === '') return { what: 'empty', fix: 'look whether what made it failed' };
  if (start.startsWith(wasm)) return ofVersion(start);
  for (const [magic, what, fix] of foreign) if (start.startsWith(magic)) return { what, fix };
  if (textFormat.test(start))
    return { what: 'WebAssembly in text format', fix: 'assemble it first: wat2wasm' };
  return {
    what: 'not a WebAssembly module',
    fix: 'give a module that a WASI compiler made, as clang --target=wasm32-wasi',
  };
}

function ofVersion(start: string): Unrunnable | undefined {
  if (start.length < 8)
    return { what: 'not a WebAssembly module: it is cut short', fix: 'look whether what made it failed' };
  const version = Buffer.from(start.slice(4, 8), 'latin1').readUInt32LE();
  if (version === 1) return undefined;
  // The upper half is the layer: 1 is a component, whose version still moves.
  if (version >>> 16 === 1) {
    return { what: 'a WebAssembly component (WASI preview 2 or 3), not a module', fix: PREVIEW_1_FLAGS };
  }
  return { what: `a WebAssembly module of an unknown version (${version})`, fix: '' };
}

/** Names of modules that programs import from, where they were built for something else. */
const elsewhere: readonly (readonly [module: RegExp, hint: string])[] = [
  [/^wasi:|^\[export\]/, `it is the core of a component: ${PREVIEW_1_FLAGS}`],
  [/^wasi_unstable$/, 'it was built for the WASI before preview 1: build it with a newer compiler'],
  [/^(gojs|go)$/, 'it was built for a browser: go GOOS=wasip1, not GOOS=js'],
  [
    /^(__wbindgen_placeholder__|wbg)$|_bg\.js$/,
    'it was built for a browser by wasm-bindgen: cargo --target wasm32-wasip1, without it',
  ],
  [/^wasix_/, 'it was built for WASIX: build it for plain WASI preview 1'],
];

/** As module.name: names that compilers leave to somebody else. */
const left: readonly (readonly [name: RegExp, hint: string])[] = [
  [
    /^env\.(abort|seed|trace)$/,
    'it is of AssemblyScript: build it with --use abort=libs/guest/assembly/wasi/onAbort (docs/programs.md)',
  ],
  [
    /^env\.(_?emscripten_|__syscall_|invoke_)/,
    'it was built by Emscripten, for JavaScript: build it by clang --target=wasm32-wasi',
  ],
  [
    /^env\.__cxa_/,
    'exceptions of C++, which its library is built without: link libs/guest/libc/throw.cc, or build with -fno-exceptions (docs/programs.md)',
  ],
  [
    /^wasi_snapshot_preview1\.sock_/,
    "they are WasmEdge's or WASIX's: listen by vkctl run --listen, connect by odonata_connect (docs/programs.md)",
  ],
];
const NAMES_MAX = 100;

/** What is known of a program that imports from these modules, among them these names; undefined: nothing. */
export function hintOfImports(modules: Iterable<string>, names: readonly string[]): string | undefined {
  for (const module of modules) for (const [known, hint] of elsewhere) if (known.test(module)) return hint;
  for (const name of names.slice(0, NAMES_MAX))
    for (const [known, hint] of left) if (known.test(name)) return hint;
  return undefined;
}
