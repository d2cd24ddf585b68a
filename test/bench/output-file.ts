// A file that a measuring command writes at its end.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { EXIT, Failure, reasonOf } from '../../services/vkctl/failure.ts';

/**
 * Before minutes of work: a place that cannot be written is told now.
 * @param options.folder makes its folder where that is missing
 * @throws Failure with the usage code
 */
export function mustBeWritable(option: string, file: string, { folder = false } = {}): void {
  try {
    if (folder) mkdirSync(dirname(file), { recursive: true });
    closeSync(openSync(file, 'a'));
  } catch (cause) {
    throw new Failure(`${option}: cannot write ${file}: ${reasonOf(cause)}`, { exitCode: EXIT.usage, cause });
  }
}
