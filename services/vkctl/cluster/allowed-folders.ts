// The folders that `up --allow-dir` names, and what of them no program gets: where clusters of this user keep their keys, sockets
// and memory.
import { closeSync, constants, openSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileSystemOf, holdsFiles } from '@odonata/userfault/file-system-kind.ts';
import { EXIT, Failure } from '../failure.ts';

interface Places {
  readonly stateDir: string;
  readonly runtimeDir: string;
}

/** Of this cluster and all others: paths, or with `*` at the end all that begin so. */
export function hiddenFolders({ stateDir, runtimeDir }: Places): string[] {
  const sockets = dirname(runtimeDir);
  const inTmp = `/tmp/odonata-${process.getuid!()}-*`;
  return [
    ...new Set([dirname(stateDir), '/dev/shm/odonata-*', inTmp]),
    ...(sockets === '/tmp' ? [] : [join(sockets, 'odonata-*')]),
  ];
}

/** @throws Failure of what is no folder, or holds no files */
export function allowedFolders(
  said: readonly string[],
  places: Places,
  onNote?: (line: string) => void,
): string[] {
  return said.map((path) => {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw refusal(`"${path}" is not a folder`);
    const real = realpathSync(path);
    const kind = kindOf(real);
    if (!holdsFiles(kind))
      throw refusal(
        `"${path}" is on a file system of kind ${kind ?? 'unknown'}, which is not granted to programs; name a folder that holds files`,
      );
    const all = hiddenFolders(places);
    const within = all.find((each) => isWithin(real, each));
    if (within !== undefined)
      throw refusal(
        `"${path}" is of clusters themselves (${within}), and no program gets it; name another folder`,
      );
    const inside = all.filter((each) => isWithin(each.endsWith('*') ? dirname(each) : each, real));
    if (inside.length > 0)
      onNote?.(
        `--allow-dir ${path} holds ${inside.join(', ')}, of clusters themselves: no program gets that`,
      );
    return real;
  });
}

const refusal = (text: string): Failure => new Failure(`--allow-dir: ${text}`, { exitCode: EXIT.usage });

function kindOf(folder: string): string | undefined {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return fileSystemOf(fd);
  } finally {
    closeSync(fd);
  }
}

/** @param folder with `*` at its end all that begin so */
function isWithin(path: string, folder: string): boolean {
  if (folder.endsWith('*')) return path.startsWith(folder.slice(0, -1));
  return folder === '/' || path === folder || path.startsWith(`${folder}/`);
}
