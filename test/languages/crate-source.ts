// Programs of crates.io: a crate and what it needs, fetched by cargo into build/sources, once.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCES = join(import.meta.dirname, '../../build/sources');

/** The folder with a folder for each crate, or the reason why there is none. */
export function crateSource(name: string, version: string): { folder: string } | { missing: string } {
  const folder = join(SOURCES, `crate-${name}`);
  if (existsSync(folder)) return { folder };
  const work = join(SOURCES, `.crate-${name}-${process.pid}`);
  try {
    mkdirSync(join(work, 'src'), { recursive: true });
    writeFileSync(join(work, 'src/lib.rs'), '');
    const wanted = `[dependencies]\n${name} = "=${version}"\n`;
    writeFileSync(
      join(work, 'Cargo.toml'),
      `[package]\nname = "fetch"\nversion = "0.1.0"\nedition = "2018"\n${wanted}`,
    );
    execFileSync('cargo', ['vendor', '--quiet'], { cwd: work, timeout: 60_000, stdio: 'pipe' });
    renameSync(join(work, 'vendor'), folder);
    return { folder };
  } catch (error) {
    return { missing: `crate ${name} cannot be had: ${(error as Error).message.split('\n')[0]}` };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
