// libodonata-posix.a, and programs that are linked with it, built in a folder of their own.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { findCompiler, systemPath } from '../guests/toolchain.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const POSIX = join(ROOT, 'libs/guest/posix');

export class PosixLibrary {
  readonly folder: string;
  readonly #clang: string;

  private constructor(folder: string, clang: string) {
    this.folder = folder;
    this.#clang = clang;
  }

  static async build(): Promise<PosixLibrary> {
    const { command } = await findCompiler();
    const folder = await mkdtemp(join(tmpdir(), 'odonata-posix-'));
    const linker = await run(command, ['--target=wasm32-wasi', '-print-prog-name=wasm-ld']);
    const env = { ...process.env, PATH: systemPath(), CLANG: command, WASM_LD: linker.stdout.trim() };
    await run('sh', [join(POSIX, 'build.sh'), folder], { env: { ...env, CFLAGS: '-Wall -Wextra -Werror' } });
    return new PosixLibrary(folder, command);
  }

  /** The module of a program, by the command that docs/programs.md has. */
  async link(name: string, sources: readonly string[], flags: readonly string[] = []): Promise<Uint8Array> {
    const out = join(this.folder, `${name}.wasm`);
    const emulated = ['signal', 'process-clocks'].map((part) => `-lwasi-emulated-${part}`);
    const link = [
      '-Wl,--stack-first,-z,stack-size=1048576',
      '-L',
      this.folder,
      '-lodonata-posix',
      ...emulated,
    ];
    await this.#run([...flags, ...sources, ...link, '-o', out]);
    return await readFile(out);
  }

  /** Objects of sources that several programs have in common. */
  async objects(sources: readonly string[], flags: readonly string[] = []): Promise<string[]> {
    const folder = await mkdtemp(join(this.folder, 'objects-'));
    const waiting = [...sources];
    const compile = async () => {
      for (let source = waiting.pop(); source !== undefined; source = waiting.pop())
        await this.#run([...flags, '-c', source, '-o', join(folder, `${basename(source)}.o`)]);
    };
    await Promise.all([compile(), compile()]);
    return sources.map((source) => join(folder, `${basename(source)}.o`));
  }

  async #run(args: readonly string[]): Promise<void> {
    const ours = ['--target=wasm32-wasi', '-O2', '-matomics', '-I', join(POSIX, 'include')];
    const env = { ...process.env, PATH: systemPath() };
    await run(this.#clang, [...ours, '-D_WASI_EMULATED_PROCESS_CLOCKS', ...args], {
      env,
      maxBuffer: 1 << 26,
    });
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}
