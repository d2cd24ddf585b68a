// Faults in the home of processes, each of which must be found: the shipped class with one method overridden.
import { Home, type HomeAction } from './home.ts';
import type { Reply, Status } from './message.ts';
import type { Kept } from './outbox.ts';
import type { MakeHome } from './world.ts';

class TellsOnce extends Home {
  override messagesFor(node: number) {
    const messages = super.messagesFor(node);
    for (const message of messages) if (message.kind === 'exited') this.told(node, message);
    return messages;
  }
}

class HoldIsToldOnce extends Home {
  override messagesFor(node: number) {
    const messages = super.messagesFor(node);
    for (const message of messages) if (message.kind === 'held') this.told(node, message);
    return messages;
  }
}

class AnyHoldIsNew extends Home {
  private turns = 1;
  protected override childHeld(...[parent, child, hold]: Parameters<Home['childHeld']>): void {
    this.turns += 1;
    super.childHeld(parent, child, { ...hold, turn: this.turns });
  }
}

class NoRevoke extends Home {
  override doubted(token: bigint): HomeAction[] {
    return super.unspawned(token);
  }
}

class LateSpawnBegins extends Home {
  protected override take(from: number, message: Kept): void {
    if (message.kind === 'revoked') this.orphan(message.token);
    else super.take(from, message);
  }
}

class RevokedOnly extends Home {
  protected override take(from: number, message: Kept): void {
    if (message.kind !== 'orphaned') super.take(from, message);
  }
  override replied(node: number, reply: Reply): HomeAction[] {
    return super.replied(node, { ...reply, noParents: [] });
  }
}

class LostStaysUnknown extends Home {
  override lost(): HomeAction[] {
    return [];
  }
}

class NoAudit extends Home {
  override replied(node: number, { taken }: Reply): HomeAction[] {
    return super.replied(node, { taken, noChildren: [], noParents: [] });
  }
}

class AnyEndIsBelieved extends Home {
  override end(pid: bigint, status: Status): HomeAction[] {
    return super.end(pid, { ...status, code: 0 });
  }
}

class ChildrenOutliveTheirFamily extends Home {
  protected override endFamily(): void {}
}

class AuditOfEverything extends Home {
  protected override isParent(): boolean {
    return false;
  }
}

class ForgetsWhatWasGiven extends Home {
  override record() {
    const record = super.record();
    return { ...record, families: record.families.map((family) => ({ ...family, given: [] })) };
  }
}

class ForgetsSpawnsUnderWay extends Home {
  override record() {
    const record = super.record();
    const known = ({ children }: (typeof record.families)[number]) =>
      children.filter(({ pid }) => pid !== 0n);
    return { ...record, families: record.families.map((each) => ({ ...each, children: known(each) })) };
  }
}

class NotKeptOverAStart extends Home {
  override record() {
    return { ...super.record(), kept: [] };
  }
}

class EarlyEndIsDropped extends Home {
  protected override take(from: number, message: Kept): void {
    if (message.kind === 'exited' && !this.isKnown(message.token)) return;
    super.take(from, message);
  }
  private readonly known = new Set<bigint>();
  private isKnown(token: bigint): boolean {
    return this.known.has(token);
  }
  override spawned(token: bigint, pid: bigint): boolean {
    this.known.add(token);
    return super.spawned(token, pid);
  }
}

export const HOME_MUTANTS: readonly [string, MakeHome][] = [
  ['an end is told once', (o) => new TellsOnce(o)],
  ['that a child was stopped is told once', (o) => new HoldIsToldOnce(o)],
  ['an older change replaces a newer one', (o) => new AnyHoldIsNew(o)],
  ['a spawn of which nobody knows is not revoked', (o) => new NoRevoke(o)],
  ['a spawn that comes after it was revoked begins', (o) => new LateSpawnBegins(o)],
  ['a child does not hear that its parent is over', (o) => new RevokedOnly(o)],
  ['a node that is lost leaves its children running', (o) => new LostStaysUnknown(o)],
  ['what an audit finds is not heeded', (o) => new NoAudit(o)],
  ['the status is another one', (o) => new AnyEndIsBelieved(o)],
  ['the family of who ended stays', (o) => new ChildrenOutliveTheirFamily(o)],
  ['an audit denies parents that are there', (o) => new AuditOfEverything(o)],
  ['spawns under way are forgotten by a new start', (o) => new ForgetsSpawnsUnderWay(o)],
  ['an answer that got lost is not given again', (o) => new ForgetsWhatWasGiven(o)],
  ['what was not taken is forgotten by a new start', (o) => new NotKeptOverAStart(o)],
  ['an end before the answer to the spawn is dropped', (o) => new EarlyEndIsDropped(o)],
];
