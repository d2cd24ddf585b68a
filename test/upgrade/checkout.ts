// A copy of the source in another folder, as one can run it: with the packages of this checkout.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The same packages, but the workspaces' own are the copies. */
export function linkPackages(folder: string): void {
  const [from, to] = [join(ROOT, 'node_modules'), join(folder, 'node_modules')];
  mkdirSync(join(to, '@odonata'), { recursive: true });
  for (const name of readdirSync(from))
    if (name !== '@odonata') symlinkSync(join(from, name), join(to, name));
  for (const lib of readdirSync(join(folder, 'libs'))) {
    const { name } = JSON.parse(readFileSync(join(folder, 'libs', lib, 'package.json'), 'utf8'));
    const link = join(to, name);
    symlinkSync(relative(dirname(link), join(folder, 'libs', lib)), link);
  }
}

/** Makes the code of its interfaces. */
export function generate(folder: string): void {
  const bin = join(ROOT, 'node_modules/.bin');
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
  execFileSync('npm', ['run', '--silent', 'generate'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
