// What package-lock.json brings.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
  /** Only for development: in no image. */
  readonly isDev: boolean;
}

interface Entry extends Omit<LockedPackage, 'name' | 'isDev'> {
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
}

const ROOT = join(import.meta.dirname, '../..');
const FOLDER = 'node_modules/';

export const readJson = (file: string) => JSON.parse(readFileSync(join(ROOT, file), 'utf8'));

/** All but our own workspaces, by name. */
export function lockedPackages(lock = 'package-lock.json'): LockedPackage[] {
  const { packages } = readJson(lock) as { packages: Record<string, Entry> };
  return Object.entries(packages)
    .filter(([path, { link }]) => path.includes(FOLDER) && link !== true)
    .map(([path, entry]) => ({
      ...entry,
      name: path.slice(path.lastIndexOf(FOLDER) + FOLDER.length),
      isDev: entry.dev === true || entry.devOptional === true,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.version < b.version ? -1 : 1));
}

/** docs/licences.md. */
export function licencesPage(): string {
  const shipped = lockedPackages().filter(({ isDev }) => !isDev);
  const byLicence = Map.groupBy(shipped, ({ license }) => license ?? 'unknown');
  const rows = [...byLicence]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([licence, of]) => {
      const names = [...new Set(of.map(({ name, version }) => `${name} ${version}`))];
      return `- **${licence}**: ${names.join(', ')}`;
    });
  return [
    '# Licences',
    '',
    'Odonata is under the BSD-3-Clause licence (`LICENSE`). What runs beside its own code, by licence, as `package-lock.json` has',
    'it; each package brings its text. Made by `REWRITE=1 npx vitest run test/supply`. Each image has the same list for tools, with',
    'checksums: `/app/sbom.cdx.json` (CycloneDX). Of Debian come nats-server (Apache-2.0), bubblewrap (LGPL-2.0-or-later), libseccomp',
    '(LGPL-2.1), util-linux (GPL-2.0-or-later) and openssl (Apache-2.0), as programs and libraries of their own. The rules of messages',
    'in `proto/buf/validate` are of protovalidate (Apache-2.0; its licence stands beside them). The programs of a login are built of toybox 0.8.9 (0BSD), from',
    'Debian’s source package.',
    '',
    ...rows,
    '',
  ].join('\n');
}
