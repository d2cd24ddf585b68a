// Directories that do one thing wrong.
import { Directory } from '@odonata/coherency/directory/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory/directory-messages.ts';
import type { Mutant } from './mutant.ts';

type Ack = Extract<DirectoryEvent, { type: 'ack' }>;

/** Performs the acks of others together with the first one. */
class GrantsAtFirstAck extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    if (event.type !== 'ack' || event.kind !== 'INVALIDATED') return super.step(event);
    const acks: Ack[] = this.known().map((holder) => ({ ...event, holder }));
    return acks.flatMap((ack) => super.step(ack));
  }

  protected known(): number[] {
    return [...this['holders'].keys()];
  }
}

class ForgetsSharer extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    const actions = super.step(event);
    for (const action of [...actions]) {
      if (action.type !== 'invalidate' || action.resend) continue;
      const holder = action.holders.at(-1)!;
      const { run, version } = action;
      actions.push(...super.step({ type: 'ack', holder, run, version, kind: 'INVALIDATED' }));
    }
    return actions;
  }
}

class LosesWriters extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    const busy =
      event.type === 'acquire' &&
      event.mode === 'WRITE' &&
      this['dataspaces'].get(event.run.dataspace)?.pages.get(event.run.firstPage)?.change !== undefined;
    return busy ? [] : super.step(event);
  }
}

class RestoresOldCopies extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    if (event.type !== 'report') return super.step(event);
    const held = event.held.map((h) => (h.kept ? { ...h, version: h.version + 1 } : h));
    return super.step({ ...event, held });
  }
}

/** Puts back what was sent on, though the receiver is no more. */
class TrustsKept extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    if (event.type !== 'report') return super.step(event);
    const held = event.held.map(({ keptFor: _, ...h }) => h);
    return super.step({ ...event, held });
  }
}

/** Does not hear which versions holders saw that have nothing now. */
class IgnoresAbsent extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    if (event.type !== 'report') return super.step(event);
    return super.step({ ...event, held: event.held.filter((h) => h.state !== 'INVALID') });
  }
}

class ZeroInsteadOfLost extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    return super.step(event).map((action) => {
      if (action.type !== 'refuse' || action.reason !== 'LOST') return action;
      const { holder, run } = action;
      return {
        type: 'grant',
        holder,
        run,
        state: 'EXCLUSIVE',
        version: 1_000_000,
        zero: true,
        restore: false,
        stored: false,
      };
    });
  }
}

/** Gives the pages of a dead owner to somebody who has no copy. */
class WrongHeir extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    const actions = super.step(event);
    if (event.type !== 'leave') return actions;
    return actions.map((action) => {
      if (action.type !== 'grant' || action.state !== 'MASTER') return action;
      const page = this['dataspaces'].get(action.run.dataspace)!.pages.get(action.run.firstPage)!;
      const heir = [...this['holders'].keys()].find((h) => h !== action.holder && !page.sharers.includes(h));
      if (heir === undefined) return action;
      page.owner = heir;
      return { ...action, holder: heir };
    });
  }
}

/** A home that thinks a writer lost its access at once, and takes nothing away. */
class SkipsRevoke extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    return super.step(event).flatMap((action) => {
      if (action.type !== 'recall') return [action];
      const { holder, run, version } = action;
      return this.step({ type: 'ack', holder, run, version, kind: 'SENT' });
    });
  }
}

class ForgetsResend extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    return event.type === 'tick' ? [] : super.step(event);
  }
}

const cohd = (make: () => Directory) => ({ directory: make });

export const DIRECTORY_MUTANTS: readonly Mutant[] = [
  {
    name: 'grant before the last ack',
    profile: 'faulty',
    machines: cohd(() => new GrantsAtFirstAck({ home: false })),
  },
  { name: 'forget a sharer', profile: 'faulty', machines: cohd(() => new ForgetsSharer({ home: false })) },
  {
    name: "lose the writer's queue",
    profile: 'calm',
    machines: cohd(() => new LosesWriters({ home: false })),
  },
  {
    name: 'restore an old kept copy',
    profile: 'failover',
    machines: cohd(() => new RestoresOldCopies({ home: false })),
  },
  {
    name: 'put back without the receiver',
    profile: 'failover',
    seed: 2_593_252_921,
    machines: cohd(() => new TrustsKept({ home: false })),
  },
  {
    name: 'later versions that were seen do not count',
    profile: 'failover',
    machines: cohd(() => new IgnoresAbsent({ home: false })),
  },
  {
    name: 'zero instead of LOST',
    profile: 'faulty',
    machines: cohd(() => new ZeroInsteadOfLost({ home: false })),
  },
  {
    name: 'wrong heir',
    profile: 'partition',
    seed: 2_745_506_712,
    machines: cohd(() => new WrongHeir({ home: false })),
  },
  { name: 'never send again', profile: 'faulty', machines: cohd(() => new ForgetsResend({ home: false })) },
  {
    name: 'skip revoke at the home',
    profile: 'calm',
    machines: { home: () => new SkipsRevoke({ home: true }) },
  },
];
