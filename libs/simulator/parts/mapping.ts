// A dataspace in the address space of a process. Which pages are asked for along with one is left to chance: the policy that
// pmapd has asks for some of these.
import type { Mapping } from '@odonata/coherency/node/memory/page-tables.ts';
import type { HolderId } from '@odonata/coherency/page.ts';
import type { Random } from '../random.ts';
import type { Layout } from '../world/layout.ts';

const AHEAD_MAX = 3;
/** With so many in use (`--pages`) a block is worth asking for; where all fight for a few, it would only hide what goes wrong. */
export const MANY_PAGES = 16;

/** The process, as far as the memory of its node knows it. */
export interface MappingProcess {
  readonly name: string;
  readonly pid: bigint;
  readonly vkernel: {
    readonly name: string;
    readonly session: HolderId;
    map(page: number, writable: boolean): void;
  };
  /** The page was mapped. */
  resume(): void;
  failed(): void;
}

export class ProcessMapping implements Mapping {
  readonly process: MappingProcess;
  readonly dataspace: { id: bigint; name: string };
  readonly writable = true;
  readonly firstPage: number;
  readonly endPage: number;
  readonly charged: number;
  readonly readahead: Mapping['readahead'];

  constructor(process: MappingProcess, dataspace: bigint, layout: Layout, random: Random) {
    this.process = process;
    this.dataspace = { id: dataspace, name: String(dataspace) };
    this.firstPage = layout.allOf(dataspace).firstPage;
    this.endPage = layout.pageCountEach;
    this.charged = Number(process.pid) + 1;
    this.readahead = chance(random, layout.pagesEach >= MANY_PAGES);
  }

  get holder(): HolderId {
    return this.process.vkernel.session;
  }
}

/** @param many whether faults of no run ask for blocks, and some for what is before their page, as in pmapd */
function chance(random: Random, many: boolean): Mapping['readahead'] {
  return {
    access: () => {},
    mapped: () => {},
    mappedBefore: () => {},
    cutShort: () => {},
    advised: 'normal',
    advise: () => {},
    forget: () => {},
    get sequential() {
      return random.oneIn(4);
    },
    get looking() {
      return false;
    },
    get scattered() {
      return many;
    },
    get mapPages() {
      return 1 + random.below(AHEAD_MAX);
    },
    get mapBefore() {
      return many ? random.below(AHEAD_MAX) : 0;
    },
    wanted: (page, within) => {
      const before = many && random.oneIn(2);
      const most = before ? page - within.firstPage : within.endPage - page;
      if (most === 0) return [{ firstPage: page, pageCount: 1, neededPages: 1 }];
      const pageCount = 1 + random.below(Math.min(AHEAD_MAX, most));
      const firstPage = before ? page - pageCount : page;
      const run = { firstPage, pageCount, neededPages: 1 + random.below(pageCount) };
      // The page itself first, and the others when that is asked for.
      return [{ firstPage: page, pageCount: 1, neededPages: 1 }, run];
    },
  };
}
