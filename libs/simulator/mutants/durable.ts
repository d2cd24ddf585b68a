// Syncs, and pages that come back from the store, with one thing wrong.
import { Directory } from '@odonata/coherency/directory/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory/directory-messages.ts';
import { Holder } from '@odonata/coherency/holder/holder.ts';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder/holder-messages.ts';
import { type BackingAction, type BackingEvent, NodeBacking } from '@odonata/coherency/node/backing.ts';
import { Lines } from '@odonata/coherency/node/lines/lines.ts';
import type { PageValues } from '../parts/page-values.ts';
import { MemoryStore } from '../stores/durable-store.ts';
import type { CapturedValues } from '../world/machines.ts';
import type { Mutant } from './mutant.ts';

type Event = BackingEvent<CapturedValues, PageValues, Error>;
type Action = BackingAction<CapturedValues, PageValues, Error>;

class BelievesTornPages extends MemoryStore {
  protected override intact(): boolean {
    return true;
  }
}

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

/** Says that pages are stored when they are on their way. */
class AcknowledgesEarly extends NodeBacking<CapturedValues, PageValues, Error> {
  override step(event: Event, nowMs: number): Action[] {
    return super.step(event, nowMs).flatMap((action) => {
      if (action.type !== 'put') return [action];
      return [action, ...this.step({ type: 'stored', attempt: action.attempt }, nowMs)];
    });
  }
}

class BelievesTheStore extends NodeBacking<CapturedValues, PageValues, Error> {
  protected override isDurable(): boolean {
    return true;
  }
}

class ForgetsEpochs extends Lines {
  override epochOf(): bigint {
    return 0n;
  }
}

export const DURABLE_MUTANTS: readonly Mutant[] = [
  {
    name: 'sync acknowledged before it is stored',
    profile: 'faulty',
    machines: { backing: (options) => new AcknowledgesEarly(options) },
  },
  {
    name: 'sync of a lost page is acknowledged',
    profile: 'partition',
    seed: 490_418_064,
    machines: { backing: (options) => new BelievesTheStore(options) },
  },
  {
    name: 'the store forgets the epoch',
    seldom: true,
    profile: 'faulty',
    ...{ nodes: 2, pages: 4, shards: 1 },
    machines: { lines: (options, inherited) => new ForgetsEpochs(options, inherited) },
  },
  { name: 'recovery looks at one copy', profile: 'faulty', machines: { pick: ([first]) => first } },
  {
    name: 'begin anew though somebody has it',
    profile: 'faulty',
    machines: { directory: () => new SkipsFence({ home: false }) },
  },
  {
    name: 'what was read before a loss is believed',
    seldom: true,
    profile: 'partition',
    ...{ nodes: 3, pages: 1, shards: 1 },
    machines: { holder: (runsOf) => new BelievesEarlyReads(runsOf) },
  },
  { name: 'sync with one copy', profile: 'faulty', duties: { awaitBothStores: false } },
  { name: 'torn pages believed', profile: 'faulty', machines: { store: () => new BelievesTornPages() } },
];
