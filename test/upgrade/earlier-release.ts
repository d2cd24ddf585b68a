// Earlier releases, out of the repository's history.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { generate, linkPackages, ROOT } from './checkout.ts';

/** 0.1.0: of before identities and versions of the wire. It has no tag, and cannot be rolled. */
export const BEFORE_VERSIONS = '37e6e06';

const git = (...args: string[]): string | undefined => {
  const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
};

/** False in a shallow clone, and where there is no repository. */
export const isInHistory = (commit: string): boolean =>
  git('cat-file', '-e', `${commit}^{commit}`) !== undefined;

/** The newest tag v* before what is checked out; undefined: there is none yet. */
export const previousRelease = (): string | undefined =>
  git('describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*', 'HEAD^');

/** Takes a release into a folder, ready to run. @returns its folder of services */
export function takeRelease(commit: string, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const archive = execFileSync(
    'git',
    ['archive', commit, 'package.json', 'buf.yaml', 'buf.gen.yaml', 'proto', 'libs', 'services'],
    {
      cwd: ROOT,
      maxBuffer: 1 << 28,
    },
  );
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  linkPackages(folder);
  generate(folder);
  return join(folder, 'services');
}
