// What programs call ranges of their dataspaces, for reports of hot pages. A name is a label: nothing is decided by it. Each
// node has those that its own programs gave. People have room of their own: nobody's names give way to another one's.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';

/** People with names; who comes then has none. */
export const PEOPLE_MAX = 256;
/** Dataspaces with names that one of them gave; the one that was named first gives way. */
export const DATASPACES_MAX = 64;
/** Ranges of one dataspace that one of them named. */
export const RANGES_MAX = 1_024;
/** UTF-8. */
export const RANGE_NAME_BYTES = 64;
/** Names of one page, in a report. */
export const PAGE_NAMES_MAX = 8;

interface NamedRange {
  readonly begin: bigint;
  /** Exclusive. */
  readonly end: bigint;
  readonly name: string;
}

export class RangeNames {
  readonly #byPerson = new Map<string, Map<bigint, NamedRange[]>>();

  /** Names [begin, end); the same range is named anew, and by an empty name has none. @returns false: there are too many */
  set(person: string, dataspace: bigint, begin: bigint, end: bigint, name: string): boolean {
    const ranges = this.#of(person, dataspace);
    if (ranges === undefined) return false;
    const at = ranges.findIndex((range) => range.begin === begin && range.end === end);
    if (at >= 0) ranges.splice(at, 1);
    if (name === '') return true;
    if (ranges.length >= RANGES_MAX) return false;
    ranges.push({ begin, end, name });
    return true;
  }

  /** Of the ranges that lie on a page, in part or as a whole, by their begin. */
  ofPage(dataspace: bigint, page: number): string[] {
    const begin = BigInt(page) * BigInt(PAGE_BYTES);
    const end = begin + BigInt(PAGE_BYTES);
    const here = [...this.#byPerson.values()].flatMap((dataspaces) =>
      (dataspaces.get(dataspace) ?? []).filter((range) => range.begin < end && range.end > begin),
    );
    here.sort((a, b) => (a.begin < b.begin ? -1 : a.begin > b.begin ? 1 : 0));
    return [...new Set(here.map(({ name }) => name))].slice(0, PAGE_NAMES_MAX);
  }

  /** The dataspace is not here any more. */
  forget(dataspace: bigint): void {
    for (const [person, dataspaces] of this.#byPerson) {
      dataspaces.delete(dataspace);
      if (dataspaces.size === 0) this.#byPerson.delete(person);
    }
  }

  #of(person: string, dataspace: bigint): NamedRange[] | undefined {
    let dataspaces = this.#byPerson.get(person);
    if (dataspaces === undefined) {
      if (this.#byPerson.size >= PEOPLE_MAX) return undefined;
      dataspaces = new Map();
      this.#byPerson.set(person, dataspaces);
    }
    const known = dataspaces.get(dataspace);
    if (known !== undefined) return known;
    if (dataspaces.size >= DATASPACES_MAX) {
      const [first] = dataspaces.keys();
      dataspaces.delete(first!);
    }
    const made: NamedRange[] = [];
    dataspaces.set(dataspace, made);
    return made;
  }
}
