import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const BINDING = join(import.meta.dirname, '../../libs/guest/go');

/** Builds one file of Go that uses module `odonata`, in a folder. @returns the program's path */
export function buildGo(source: string, folder: string): string {
  const name = basename(source, '.go');
  const cwd = join(folder, `${name}-go`);
  const program = join(folder, `${name}.wasm`);
  mkdirSync(cwd);
  copyFileSync(source, join(cwd, 'main.go'));
  const needs = `require odonata v0.0.0\n\nreplace odonata => ${BINDING}\n`;
  writeFileSync(join(cwd, 'go.mod'), `module ${name}\n\ngo 1.21\n\n${needs}`);
  const env = { ...process.env, GOOS: 'wasip1', GOARCH: 'wasm', GOFLAGS: '-mod=mod' };
  execFileSync('go', ['build', '-o', program, '.'], { cwd, env });
  return program;
}
