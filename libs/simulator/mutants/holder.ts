// Holders that do one thing wrong.
import { Holder } from '@odonata/coherency/holder/holder.ts';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder/holder-messages.ts';
import type { Mutant } from './mutant.ts';

/** Takes any copy away, however new it is. */
class NoVersionCheck extends Holder {
  override step(event: HolderEvent): HolderAction[] {
    if (event.type !== 'invalidate') return super.step(event);
    return super.step({ ...event, version: event.version + 1_000 }).map((action) => {
      return action.type === 'ack' ? { ...action, version: event.version } : action;
    });
  }
}

class AcksBeforeRevoke extends Holder {
  private late: HolderAction[] = [];

  override step(event: HolderEvent): HolderAction[] {
    const actions = [...this.late, ...super.step(event)];
    if (event.type !== 'invalidate') {
      this.late = [];
      return actions;
    }
    this.late = actions.filter((a) => a.type === 'revoke' || a.type === 'drop');
    return actions.filter((a) => a.type !== 'revoke' && a.type !== 'drop');
  }
}

class SendsWithoutRevoke extends Holder {
  override step(event: HolderEvent): HolderAction[] {
    const actions = super.step(event);
    return event.type === 'recall' ? actions.filter((a) => a.type !== 'revoke') : actions;
  }
}

/** Sends again what is in the frame now. */
class ResendsNotRetained extends Holder {
  override step(event: HolderEvent): HolderAction[] {
    return super.step(event).map((action) => {
      return action.type === 'resend' ? { ...action, type: 'send', retain: false } : action;
    });
  }
}

class ForgetsKeptInReport extends Holder {
  override step(event: HolderEvent): HolderAction[] {
    return super.step(event).map((action) => {
      if (action.type !== 'report') return action;
      return { ...action, held: action.held.filter((h) => !h.kept) };
    });
  }
}

export const HOLDER_MUTANTS: readonly Mutant[] = [
  {
    name: 'no version check in invalidate',
    profile: 'faulty',
    machines: { holder: (runsOf) => new NoVersionCheck(runsOf) },
  },
  {
    name: 'ack before revoke',
    profile: 'faulty',
    machines: { holder: (runsOf) => new AcksBeforeRevoke(runsOf) },
  },
  {
    name: 'send without revoke',
    profile: 'calm',
    machines: { holder: (runsOf) => new SendsWithoutRevoke(runsOf) },
  },
  {
    name: 'resend not retained',
    profile: 'faulty',
    machines: { holder: (runsOf) => new ResendsNotRetained(runsOf) },
  },
  {
    name: 'report without what is kept',
    profile: 'failover',
    machines: { holder: (runsOf) => new ForgetsKeptInReport(runsOf) },
  },
];
