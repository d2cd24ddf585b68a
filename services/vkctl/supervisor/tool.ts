import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Where system daemons are, although the PATH of a plain user lacks it. */
const SYSTEM_PATH = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The path of an installed program, or undefined. */
export function findTool(name: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  for (const folder of [...(env.PATH ?? '').split(':').filter(Boolean), ...SYSTEM_PATH]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}
