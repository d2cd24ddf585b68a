import { statSync } from 'node:fs';

export const NO_FILE = '-';

/** What changes when a file is written or replaced; NO_FILE where there is none. @throws where it may not be looked at */
export function fileStamp(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? NO_FILE : `${stat.mtimeMs}:${stat.size}:${stat.ino}`;
}
