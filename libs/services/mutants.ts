// Faults in the keeper, each of which must be found: the shipped class with one method overridden.
import type { Instance } from './instance.ts';
import { Keeper } from './keeper.ts';
import type { KeeperEvent, Start } from './keeper-messages.ts';
import type { InstanceRecord, ServiceRecord } from './record.ts';
import { HOLD_MS } from './times.ts';
import type { MakeKeeper } from './world.ts';

class TakesOverAtOnce extends Keeper {
  protected override isSilent(): boolean {
    return true;
  }
}

class KeepsRunning extends Keeper {
  protected override loseLease(): void {}
}

class CountsFromTheAnswer extends Keeper {
  override step(event: KeeperEvent, nowMs: number) {
    if (event.type === 'stored' && event.key === `n/${this.node}`) this.lease.asked(nowMs);
    return super.step(event, nowMs);
  }
}

class BeginsAnewTooEarly extends Keeper {
  protected override mayBeginAnew(): boolean {
    return true;
  }
}

class ClaimsWhatIsTaken extends Keeper {
  protected override isFree({ state }: InstanceRecord): boolean {
    return state !== 'healthy';
  }
}

class RollsOutAllAtOnce extends Keeper {
  protected override mayUpdate(): boolean {
    return true;
  }
}

class NeverRollsOut extends Keeper {
  protected override mayUpdate(): boolean {
    return false;
  }
}

class DoesNotWaitForOthers extends Keeper {
  protected override isReady(_service: ServiceRecord): boolean {
    return true;
  }
}

class StartsTwice extends Keeper {
  protected override begin(one: Instance, start: Start): void {
    super.begin(one, start);
    super.begin(one, start);
  }
}

class NoBackoff extends Keeper {
  override step(event: KeeperEvent, nowMs: number) {
    for (const one of this.here.values()) {
      one.untilMs = 0;
      one.restarts = 0;
    }
    return super.step(event, nowMs);
  }
}

class StopsLate extends Keeper {
  override step(event: KeeperEvent, nowMs: number) {
    const actions = super.step(event, nowMs);
    return actions.map((action) =>
      action.do === 'lease' ? { ...action, untilMs: action.untilMs + 2 * HOLD_MS } : action,
    );
  }
}

const of =
  (Kind: new (...args: ConstructorParameters<typeof Keeper>) => Keeper): MakeKeeper =>
  (node, found) =>
    new Kind(node, found);

export const KEEPER_MUTANTS: readonly (readonly [name: string, make: MakeKeeper])[] = [
  ['a silent node is taken over at once', of(TakesOverAtOnce)],
  ['what runs goes on though the lease is over', of(KeepsRunning)],
  ['the lease counts from the answer', of(CountsFromTheAnswer)],
  ['a new epoch before all has stopped', of(BeginsAnewTooEarly)],
  ['what another has is claimed', of(ClaimsWhatIsTaken)],
  ['a rollout of all at once', of(RollsOutAllAtOnce)],
  ['no rollout', of(NeverRollsOut)],
  ['a start before what it depends on', of(DoesNotWaitForOthers)],
  ['two starts', of(StartsTwice)],
  ['no backoff', of(NoBackoff)],
  ['the alarm rings after others may take it', of(StopsLate)],
];
