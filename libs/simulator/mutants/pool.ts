// Nodes that give pages away because they are short of frames, with one thing wrong.
import { Directory } from '@odonata/coherency/directory/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory/directory-messages.ts';
import { Holder } from '@odonata/coherency/holder/holder.ts';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder/holder-messages.ts';
import type { Mutant } from './mutant.ts';

/** Does not wait for the directory to take what it could spare. */
class DropsAtOnce extends Holder {
  override step(event: HolderEvent): HolderAction[] {
    const actions = super.step(event);
    if (event.type !== 'spare') return actions;
    return [...actions, ...super.step({ ...event, type: 'release' })];
  }
}

/** Takes the word of a holder for that it has a copy no more, also where it is the only one. */
class BelievesSpared extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    if (event.type !== 'ack' || event.kind !== 'SPARED') return super.step(event);
    const actions: DirectoryAction[] = [];
    const { dataspace, firstPage, pageCount } = event.run;
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      const known = this['dataspaces'].get(dataspace)?.pages.get(page);
      if (known?.owner === event.holder && known.sharers.length === 0) {
        this['out'].begin();
        this['changes'].ownerLost(this['dataspaces'].get(dataspace)!, known);
        actions.push(...this['out'].take());
      } else actions.push(...super.step({ ...event, run: { dataspace, firstPage: page, pageCount: 1 } }));
    }
    return actions;
  }
}

/** Makes the heir of an owner before that has dropped its copy: two of them report to the next leader. */
class HeirAtOnce extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    if (event.type !== 'ack' || event.kind !== 'SPARED') return super.step(event);
    const { run, holder } = event;
    const known = this['dataspaces'].get(run.dataspace)?.pages.get(run.firstPage);
    const heir = known?.sharers[0];
    if (known?.owner !== holder || known.change !== undefined || known.restore || heir === undefined)
      return super.step(event);
    known.owner = heir;
    known.sharers = [holder, ...known.sharers.slice(1)].sort((a, b) => a - b);
    this['out'].begin();
    this['out'].grant(run.dataspace, known, { holder: heir, state: 'MASTER', version: known.version });
    return [...this['out'].take(), ...super.step(event)];
  }
}

/** Tells all who follow the dataspace, those who keep the page among them. */
class TellsAll extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    return super.step(event).map((action) => {
      if (action.type !== 'invalidate' || !action.sparing) return action;
      const { sparing: _, ...toAll } = action;
      return toAll;
    });
  }
}

export const POOL_MUTANTS: readonly Mutant[] = [
  {
    name: 'drops what it could spare at once',
    profile: 'shortage',
    machines: { holder: (runsOf) => new DropsAtOnce(runsOf) },
  },
  {
    name: 'the only copy is spared',
    profile: 'shortage',
    machines: { directory: () => new BelievesSpared({ home: false }) },
  },
  {
    name: 'an heir before the owner dropped its copy',
    profile: 'shortage',
    seed: 932_682_116,
    renewals: 6,
    machines: { directory: () => new HeirAtOnce({ home: false }) },
  },
  {
    name: 'who keeps a page hears that it is spared',
    profile: 'shortage',
    machines: { directory: () => new TellsAll({ home: false }) },
  },
];
