// Who is let into a cluster, and in which groups they are now: the file `people` beside the identity of a service, where whoever
// lets people in keeps one. What was made for a person before, as the token of a virtual kernel, has their groups of then.
//
//   alice physics+chess    is in, in these groups
//   bob                    is in, in no group
//   -carol                 was in
import { readFileSync } from 'node:fs';
import { PERSON } from './identity.ts';

export const PEOPLE_FILE = 'people';

export interface ListedPerson {
  readonly groups: readonly string[];
  /** They were in, and are no more. */
  readonly removed: boolean;
}

/** By name. */
export type PeopleList = ReadonlyMap<string, ListedPerson>;

export function formatPeople(list: PeopleList): string {
  const lineOf = ([name, { groups, removed }]: [string, ListedPerson]): string =>
    removed ? `-${name}` : [name, groups.join('+')].filter(Boolean).join(' ');
  return [...list].map((each) => `${lineOf(each)}\n`).join('');
}

/** Undefined where there is none. @throws Error where it cannot be read, or a line of it is none of the above */
export function readPeople(file: string): PeopleList | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const list = new Map<string, ListedPerson>();
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const [, minus, name = '', words = ''] = /^(-?)(\S+)(?: (\S+))?\s*$/.exec(line) ?? [];
    const groups = words.split('+').filter(Boolean);
    if (![name, ...groups].every((word) => PERSON.test(word)))
      throw new Error(`line ${i + 1} of ${file} is not NAME, NAME GROUP+GROUP or -NAME`);
    list.set(name, { groups: minus ? [] : groups, removed: minus === '-' });
  }
  return list;
}
