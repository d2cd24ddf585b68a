// Faults of processes that are served with more than their own page, and one thing wrong.

import { ShardedHolder } from '@odonata/coherency/holder/sharded-holder.ts';
import { Home } from '@odonata/coherency/node/home.ts';
import { Faults } from '@odonata/coherency/node/memory/faults.ts';
import { NodeMemory } from '@odonata/coherency/node/memory/memory.ts';
import { MANY_PAGES, type ProcessMapping } from '../parts/mapping.ts';
import type { PageValues } from '../parts/page-values.ts';
import type { Machines } from '../world/machines.ts';
import type { Mutant } from './mutant.ts';

type NodeFaults = Faults<ProcessMapping, PageValues>;

/** What is before a page that only this node has is mapped as if that were so of all of it. */
class MapsAllAlike extends Faults<ProcessMapping, PageValues> {
  protected override isAlike(): boolean {
    return true;
  }
}

/** What may be read is mapped to be written. */
class MapsWhatMayBeRead extends Faults<ProcessMapping, PageValues> {
  protected override isReady(...[dataspace, page]: Parameters<NodeFaults['isReady']>): boolean {
    return super.isReady(dataspace, page, false);
  }
}

const memoryOf = (Served: typeof Faults<ProcessMapping, PageValues>): Pick<Machines, 'memory'> => ({
  memory(this: Machines, ports, shards) {
    class Memory extends NodeMemory<ProcessMapping, PageValues> {
      protected override makeFaults(): NodeFaults {
        return new Served(this.context);
      }
    }
    return new Memory(ports, {
      holder: new ShardedHolder(shards, this.holder),
      home: new Home(ports.tables, this.home()),
    });
  },
});

export const FAULT_MUTANTS: readonly Mutant[] = [
  {
    name: 'pages before one are mapped as it is',
    profile: 'calm',
    pages: 3 * MANY_PAGES,
    machines: memoryOf(MapsAllAlike),
  },
  {
    name: 'neighbours that may be read are mapped for writing',
    profile: 'calm',
    pages: 3 * MANY_PAGES,
    machines: memoryOf(MapsWhatMayBeRead),
  },
];
