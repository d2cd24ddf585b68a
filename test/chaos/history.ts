// The records of the workers as histories: the operations on each object.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Operation } from './linearizable.ts';

/** Operations by object, as `<dataspace> <object>`. File names: `<dataspace>.<worker>`. */
export function readHistories(folder: string): Map<string, Operation[]> {
  const histories = new Map<string, Operation[]>();
  for (const file of readdirSync(folder)) {
    const dataspace = file.slice(0, file.lastIndexOf('.'));
    const open = new Map<string, Operation>();
    // Whoever was killed while it wrote a line leaves half of it: as if it had not begun, or not ended.
    const lines = readFileSync(join(folder, file), 'utf8').split('\n').slice(0, -1);
    for (const line of lines) {
      const [kind, id, ...rest] = line.split(' ');
      if (kind === 'b') {
        const [object, op, a, b, ns] = rest as [string, Operation['op'], string, string, string];
        const operation: Operation = {
          ...{ op, a: Number(a), b: Number(b) },
          ...{ result: undefined, beginNs: Number(ns), endNs: Number.POSITIVE_INFINITY },
        };
        open.set(id!, operation);
        const key = `${dataspace} ${object}`;
        const history = histories.get(key) ?? [];
        history.push(operation);
        histories.set(key, history);
      } else {
        const operation = open.get(id!)!;
        operation.result = Number(rest[0]);
        operation.endNs = Number(rest[1]);
      }
    }
  }
  return histories;
}

/** How many operations ended. */
export const endedOperations = (histories: ReadonlyMap<string, Operation[]>): number =>
  [...histories.values()].flat().filter(({ result }) => result !== undefined).length;
