// Syncs, and pages that come back from the store, with one thing wrong.
import { Directory } from '@odonata/coherency/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory-messages.ts';
import { Holder } from '@odonata/coherency/holder.ts';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder-messages.ts';
import type { Mutant } from './mutant.ts';

/** Says LOST, and gives what is stored, though somebody may have the page after all. */
class SkipsFence extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    const actions = super.step(event);
    for (const { pages } of this['dataspaces'].values()) for (const page of pages) page.fenced ||= page.lost;
    return actions;
  }
}

/** Takes what was read of an earlier loss for what is stored now. */
class BelievesEarlyReads extends Holder {
  override step(event: HolderEvent): HolderAction[] {
    if (event.type !== 'stored') return super.step(event);
    const page = this['dataspaces'].get(event.run.dataspace)?.pages.get(event.run.firstPage);
    return super.step({ ...event, lostVersion: page?.lostVersion ?? 0 });
  }
}

export const DURABLE_MUTANTS: readonly Mutant[] = [
  { name: 'sync acknowledged before it is stored', profile: 'faulty', duties: { awaitStored: false } },
  { name: 'sync of a lost page is acknowledged', profile: 'partition', duties: { storeLostAnew: false } },
  {
    name: 'the store forgets the epoch',
    profile: 'faulty',
    seed: 509_124_064,
    ...{ nodes: 2, pages: 4, shards: 1 },
    duties: { storeByEpoch: false },
  },
  { name: 'recovery looks at one copy', profile: 'faulty', machines: { pick: ([first]) => first } },
  {
    name: 'begin anew though somebody has it',
    profile: 'faulty',
    machines: { directory: () => new SkipsFence({ home: false }) },
  },
  {
    name: 'what was read before a loss is believed',
    profile: 'partition',
    seed: 1_003_912_926,
    ...{ nodes: 3, pages: 1, shards: 1 },
    machines: { holder: (runsOf) => new BelievesEarlyReads(runsOf) },
  },
];
