// Programs of the distribution that put a virtual kernel where it is to be.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where services look, whatever PATH they were given. */
const PLACES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Its path; undefined where it is not installed. */
export function toolNamed(name: string): string | undefined {
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter).filter((folder) => folder.startsWith('/')),
    ...PLACES,
  ];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
