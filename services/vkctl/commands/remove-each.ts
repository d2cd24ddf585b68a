import { explain } from '../failure.ts';
import { printJson } from '../json.ts';
import { printError } from '../output.ts';

/** As rm(1) does: one that cannot be removed keeps no other one. @throws what the first of those failed with; the others are said */
export async function removeEach(
  names: readonly string[],
  { json }: { json?: boolean },
  remove: (name: string) => Promise<unknown>,
): Promise<void> {
  const failed: unknown[] = [];
  const removed: object[] = [];
  for (const name of names) {
    try {
      await remove(name);
      removed.push({ name, removed: true });
    } catch (error) {
      failed.push(error);
    }
  }
  if (json) printJson(removed);
  for (const error of failed.slice(1)) printError(`vkctl: ${explain(error)}`);
  if (failed.length > 0) throw failed[0];
}
