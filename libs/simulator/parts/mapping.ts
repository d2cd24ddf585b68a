// A dataspace in the address space of a process. Which pages are asked for along with one is left to chance: the policy that
// pmapd has asks for some of these.
import type { Mapping } from '@odonata/coherency/node/page-tables.ts';
import type { HolderId } from '@odonata/coherency/page.ts';
import type { Process } from '../process.ts';
import type { World } from '../world.ts';

const AHEAD_MAX = 3;

export class ProcessMapping implements Mapping {
  readonly process: Process;
  readonly dataspace: { id: bigint; name: string };
  readonly writable = true;
  readonly endPage: number;
  readonly charged: number;
  readonly readahead: Mapping['readahead'];

  constructor(process: Process, dataspace: bigint) {
    const { world } = process.vkernel;
    this.process = process;
    this.dataspace = { id: dataspace, name: String(dataspace) };
    this.endPage = world.layout.pageCountEach;
    this.charged = Number(process.pid) + 1;
    this.readahead = chance(world);
  }

  get holder(): HolderId {
    return this.process.vkernel.session;
  }
}

function chance({ random }: World): Mapping['readahead'] {
  return {
    access: () => {},
    mapped: () => {},
    get sequential() {
      return random.oneIn(4);
    },
    get mapPages() {
      return 1 + random.below(AHEAD_MAX);
    },
    wanted: (firstPage, endPage) => {
      const pageCount = 1 + random.below(Math.min(AHEAD_MAX, endPage - firstPage));
      return [{ firstPage, pageCount, neededPages: 1 + random.below(pageCount) }];
    },
  };
}
