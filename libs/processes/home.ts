// The processes of one node, and who is whose parent: pure. Events in, actions out; no clock, no chance, no socket.
//
// There is no table of the cluster. A pid says its node, and that node is its home: what a process does is decided there. Of
// a parent and a child on two nodes each home keeps one half:
//
//   home of the parent                                       home of the child
//     spawning --spawned--> running --exited--> ended          begun --ends--> ended (untold)
//        |  \                  |  \               |               |               |
//        |   `--unspawned      |   `--lost--------+--waited       |               `--taken--> nothing
//        `--doubted: revoked   `--parent ends: orphaned           `--orphaned, revoked: nobody's
//
// A wait asks the parent's home alone. The child's home tells the end until it was taken, so each child is waited for once,
// and none is forgotten; what is lost all the same (a record that was torn, a node that began anew) the audits find.
//
// The caller's duties:
//   1. `messagesFor` each of `peers()`, soon after `dirty` and every few seconds; what comes back goes to `replied`.
//   2. `lost(node)` only when that node can touch nothing that is shared any more: never for a broken line.
//   3. What `record()` says is kept before an answer leaves, and given to the next start.
//   4. Tokens are never used twice, by any node.

import { type Changes, type Child, Family, type WaitResult, type Which } from './family.ts';
import type { Hold, Message, Reply, Status } from './message.ts';
import { type Kept, Outbox } from './outbox.ts';
import type { HomeRecord, Own } from './record.ts';

/** Of one parent: those that run, and those that nobody waited for. */
export const CHILDREN_MAX = 1_024;
/** Spawns that came to nothing and may arrive yet, of all nodes. */
const REVOKED_MAX = 4_096;
/** The parent of whoever has none: it waits for all, and keeps nothing. */
export const INIT = 1n;
const NO_CHILD: WaitResult = { child: undefined, none: false };

export type HomeAction =
  | { readonly do: 'answer'; readonly parent: bigint; readonly waiter: number; readonly result: WaitResult }
  /** To a process of this node. */
  | { readonly do: 'signal'; readonly pid: bigint; readonly signal: 'SIGCHLD' | 'SIGKILL' };

export class Home {
  readonly node: number;
  readonly #nodeOf: (pid: bigint) => number;
  readonly #own = new Map<bigint, Own>();
  readonly #tokens = new Map<bigint, Own>();
  readonly #families = new Map<bigint, Family>();
  readonly #spawns = new Map<bigint, { readonly parent: bigint; readonly child: Child }>();
  readonly #outbox = new Outbox();
  /** The oldest first. */
  readonly #revoked = new Set<bigint>();
  #actions: HomeAction[] = [];

  constructor(options: { node: number; nodeOf: (pid: bigint) => number; record?: HomeRecord }) {
    this.node = options.node;
    this.#nodeOf = options.nodeOf;
    if (options.record !== undefined) this.#restore(options.record);
  }

  find(pid: bigint): Own | undefined {
    return this.#own.get(pid);
  }

  members(group: bigint): Own[] {
    return [...this.#own.values()].filter((own) => own.group === group && own.status === undefined);
  }

  /** Those that did not end. */
  membersOfSession(session: bigint): Own[] {
    return [...this.#own.values()].filter((own) => own.session === session && own.status === undefined);
  }

  /**
   * As POSIX has it: none of its members here has a parent of its session in another group, who could let it go on again. Of a parent on
   * another node it is believed that he is one.
   */
  isOrphaned(group: bigint): boolean {
    return this.members(group).every(({ parent, session }) => {
      if (parent <= INIT) return true;
      const own = this.#own.get(parent);
      if (own === undefined) return this.#nodeOf(parent) === this.node;
      return own.session !== session || own.group === group || own.status !== undefined;
    });
  }

  /** Groups of a session that have processes here, or children of these elsewhere. */
  groupsOf(session: bigint): bigint[] {
    const running = [...this.#own.values()].filter(
      (own) => own.session === session && own.status === undefined,
    );
    const elsewhere = running.flatMap(({ pid }) =>
      [...(this.#families.get(pid)?.children ?? [])].filter(
        ({ token, group, status }) => token !== undefined && group !== 0n && status === undefined,
      ),
    );
    return [...new Set([...running, ...elsewhere].map(({ group }) => group))];
  }

  childrenOf(parent: bigint): number {
    return this.#families.get(parent)?.children.size ?? 0;
  }

  /** By their numbers. */
  nodesOfChildren(parent: bigint): Set<number> {
    const children = this.#families.get(parent)?.children.values() ?? [];
    return new Set([...children].filter(({ status }) => status === undefined).map(({ node }) => node));
  }

  /** Nodes to which something is to be told soon; asked once. */
  takeDirty(): number[] {
    return this.#outbox.takeDirty();
  }

  // ---- processes of this node

  /** From outside, a parent here, or one elsewhere. False: that spawn was revoked, and must come to nothing. */
  begin(pid: bigint, by?: { parent: bigint; token?: bigint; group: bigint; session: bigint }): boolean {
    const { token, group = 0n, session = 0n } = by ?? {};
    if (token !== undefined && this.#revoked.has(token)) return false;
    // A parent here that is over by now has no children.
    const isOver = by !== undefined && token === undefined && !this.#own.has(by.parent);
    const parent = isOver ? INIT : (by?.parent ?? 0n);
    const own = { pid, parent, token, group: group || pid, session: session || pid, status: undefined };
    this.#own.set(pid, own);
    if (token !== undefined) this.#tokens.set(token, own);
    else if (parent !== 0n && parent !== INIT)
      this.#child(parent, { pid, token, node: this.node, group: own.group, status: undefined });
    return true;
  }

  end(pid: bigint, status: Status): HomeAction[] {
    const own = this.#own.get(pid);
    if (own === undefined || own.status !== undefined) return [];
    own.status = status;
    this.endFamily(pid);
    if (own.token !== undefined) {
      this.keep(this.#nodeOf(own.parent), { kind: 'exited', token: own.token, child: pid, status });
      return this.#taken();
    }
    this.#own.delete(pid);
    const family = this.#families.get(own.parent);
    const child = family && [...family.children].find((each) => each.pid === pid && each.token === undefined);
    if (child !== undefined) this.childEnded(own.parent, child, status);
    return this.#taken();
  }

  /** A signal stopped it, or (empty) it goes on. */
  held(pid: bigint, signal: string): HomeAction[] {
    const own = this.#own.get(pid);
    // After a new start it is said again.
    if (own === undefined || own.status !== undefined || (own.hold?.signal ?? '') === signal) return [];
    const hold = { turn: (own.hold?.turn ?? 0) + 1, signal };
    own.hold = hold;
    if (own.token !== undefined)
      this.keep(this.#nodeOf(own.parent), { kind: 'held', token: own.token, child: pid, hold });
    else
      for (const child of this.#families.get(own.parent)?.children ?? [])
        if (child.pid === pid && child.token === undefined) this.childHeld(own.parent, child, hold);
    return this.#taken();
  }

  setGroup(pid: bigint, group: bigint): void {
    const own = this.#own.get(pid);
    if (own === undefined) return;
    own.group = group;
    const family = this.#families.get(own.parent);
    for (const child of family?.children ?? []) if (child.pid === pid) child.group = group;
  }

  /** The parent's half of the same, for a child elsewhere. */
  childGroup(parent: bigint, pid: bigint, group: bigint): void {
    for (const child of this.#families.get(parent)?.children ?? [])
      if (child.pid === pid) child.group = group;
  }

  setSession(pid: bigint): void {
    const own = this.#own.get(pid);
    if (own !== undefined) own.session = pid;
    this.setGroup(pid, pid);
  }

  // ---- spawns on other nodes

  /** Before anything is asked of that node. False: the parent has as many children as it may, or is over. */
  spawning(parent: bigint, token: bigint, node: number, group: bigint): boolean {
    const own = this.#own.get(parent);
    if (own === undefined || own.status !== undefined || this.childrenOf(parent) >= CHILDREN_MAX)
      return false;
    const child: Child = { pid: 0n, token, node, group, status: undefined };
    this.#child(parent, child);
    this.#spawns.set(token, { parent, child });
    return true;
  }

  /** That node answered. False: nobody waits for it any more, and it is revoked. */
  spawned(token: bigint, pid: bigint): boolean {
    const spawn = this.#spawns.get(token);
    if (spawn === undefined) return this.#knowsChild(token);
    this.#spawns.delete(token);
    spawn.child.pid = pid;
    if (spawn.child.group === 0n) spawn.child.group = pid;
    return true;
  }

  /** That node refused: there is nothing. */
  unspawned(token: bigint): HomeAction[] {
    this.#forgetSpawn(token);
    return this.#taken();
  }

  /** Nobody knows what came of it. */
  doubted(token: bigint): HomeAction[] {
    const spawn = this.#forgetSpawn(token);
    if (spawn !== undefined) this.keep(spawn.child.node, { kind: 'revoked', token });
    return this.#taken();
  }

  // ---- waits

  /**
   * The same waiter may ask again, after a new start of this home: it gets what it was given.
   * @param settled waiters below this one have their answers
   */
  wait(
    parent: bigint,
    waiter: number,
    which: Which,
    how: { hang: boolean; settled: number } & Changes,
  ): HomeAction[] {
    const family = this.#families.get(parent);
    const result = family === undefined ? NO_CHILD : family.wait(waiter, which, how);
    return result === undefined ? [] : [{ do: 'answer', parent, waiter, result }];
  }

  /** A signal ended it, or whoever waited is gone. */
  cancelWait(parent: bigint, waiter: number): void {
    this.#families.get(parent)?.cancel(waiter);
  }

  // ---- other homes

  /** Those with which there is anything to talk about. */
  peers(): number[] {
    const nodes = new Set(this.#outbox.nodes());
    for (const { token, parent } of this.#tokens.values())
      if (token !== undefined) nodes.add(this.#nodeOf(parent));
    for (const { children } of this.#families.values())
      for (const { token, node, status } of children)
        if (token !== undefined && status === undefined) nodes.add(node);
    return [...nodes];
  }

  messagesFor(node: number): Message[] {
    const children: bigint[] = [];
    for (const family of this.#families.values())
      for (const child of family.children)
        if (
          child.token !== undefined &&
          child.node === node &&
          child.pid !== 0n &&
          child.status === undefined
        )
          children.push(child.token);
    const parents: bigint[] = [];
    for (const own of this.#tokens.values())
      if (this.#nodeOf(own.parent) === node && own.token !== undefined && own.status === undefined)
        parents.push(own.token);
    const kept = this.#outbox.of(node);
    return children.length + parents.length === 0 ? kept : [...kept, { kind: 'audit', children, parents }];
  }

  receive(from: number, messages: readonly Message[]): { reply: Reply; actions: HomeAction[] } {
    const taken: Message[] = [];
    const noChildren: bigint[] = [];
    const noParents: bigint[] = [];
    for (const message of messages) {
      if (message.kind === 'audit') {
        for (const token of message.children) if (!this.isChild(token)) noChildren.push(token);
        for (const token of message.parents) if (!this.isParent(from, token)) noParents.push(token);
        continue;
      }
      // Not before the answer to its spawn: should that get lost, the child is revoked. It is said again.
      if (message.kind === 'held' && this.#spawns.has(message.token)) continue;
      this.take(from, message);
      taken.push(message);
    }
    return { reply: { taken, noChildren, noParents }, actions: this.#taken() };
  }

  replied(node: number, { taken, noChildren, noParents }: Reply): HomeAction[] {
    for (const message of taken) if (message.kind !== 'audit') this.told(node, message);
    for (const token of noChildren) this.#lostChild(token, `node ${node} has no such process any more`);
    for (const token of noParents) this.orphan(token);
    return this.#taken();
  }

  /** That node is over: none of its processes can do anything that others see. It may come back, and is told then. */
  lost(node: number, reason: string): HomeAction[] {
    for (const [parent, family] of this.#families)
      for (const child of [...family.children]) {
        if (child.token === undefined || child.node !== node || child.status !== undefined) continue;
        this.keep(node, { kind: 'revoked', token: child.token });
        // Whoever asked for it hears so from the call itself.
        if (this.#spawns.has(child.token)) this.#forgetSpawn(child.token);
        else this.childEnded(parent, child, lostStatus(reason));
      }
    for (const own of [...this.#tokens.values()])
      if (this.#nodeOf(own.parent) === node && own.token !== undefined) this.orphan(own.token);
    return this.#taken();
  }

  // ---- within

  #child(parent: bigint, child: Child): void {
    const family = this.#families.get(parent) ?? new Family();
    this.#families.set(parent, family);
    family.children.add(child);
  }

  /** A parent is over: its children are init's, and nobody waits for those that ended. */
  protected endFamily(parent: bigint): void {
    const family = this.#families.get(parent);
    if (family === undefined) return;
    this.#families.delete(parent);
    for (const child of family.children) {
      if (child.token === undefined) {
        const own = this.#own.get(child.pid);
        if (own !== undefined && child.status === undefined) own.parent = INIT;
      } else if (this.#spawns.delete(child.token))
        this.keep(child.node, { kind: 'revoked', token: child.token });
      else if (child.status === undefined) this.keep(child.node, { kind: 'orphaned', token: child.token });
    }
  }

  #forgetSpawn(token: bigint): { parent: bigint; child: Child } | undefined {
    const spawn = this.#spawns.get(token);
    if (spawn === undefined) return undefined;
    this.#spawns.delete(token);
    const family = this.#families.get(spawn.parent);
    family?.children.delete(spawn.child);
    if (family !== undefined) this.#look(spawn.parent, family);
    return spawn;
  }

  #childOf(token: bigint): { parent: bigint; child: Child } | undefined {
    for (const [parent, { children }] of this.#families)
      for (const child of children) if (child.token === token) return { parent, child };
    return undefined;
  }

  #knowsChild(token: bigint): boolean {
    return this.#childOf(token) !== undefined;
  }

  protected childEnded(parent: bigint, child: Child, status: Status): void {
    if (child.status !== undefined) return;
    child.status = status;
    const family = this.#families.get(parent);
    if (family === undefined) return;
    this.#actions.push({ do: 'signal', pid: parent, signal: 'SIGCHLD' });
    this.#look(parent, family);
  }

  protected childHeld(parent: bigint, child: Child, hold: Hold): void {
    const family = this.#families.get(parent);
    if (family === undefined || child.status !== undefined || (child.hold?.turn ?? 0) >= hold.turn) return;
    child.hold = hold;
    child.untold = true;
    this.#actions.push({ do: 'signal', pid: parent, signal: 'SIGCHLD' });
    this.#look(parent, family);
  }

  #look(parent: bigint, family: Family): void {
    for (const answer of family.look()) this.#actions.push({ do: 'answer', parent, ...answer });
  }

  protected take(from: number, message: Kept): void {
    switch (message.kind) {
      case 'exited': {
        // Its end may be here before the answer to its spawn.
        this.spawned(message.token, message.child);
        const found = this.#childOf(message.token);
        if (found?.child.node === from) this.childEnded(found.parent, found.child, message.status);
        return;
      }
      case 'held': {
        const found = this.#childOf(message.token);
        if (found?.child.node === from) this.childHeld(found.parent, found.child, message.hold);
        return;
      }
      case 'orphaned':
        this.orphan(message.token);
        return;
      case 'revoked': {
        const own = this.#tokens.get(message.token);
        this.orphan(message.token);
        if (own !== undefined && own.status === undefined)
          this.#actions.push({ do: 'signal', pid: own.pid, signal: 'SIGKILL' });
        this.#revoked.add(message.token);
        for (const oldest of this.#revoked) {
          if (this.#revoked.size <= REVOKED_MAX) break;
          this.#revoked.delete(oldest);
        }
        return;
      }
    }
  }

  /** Whoever was its parent wants to hear nothing of it. */
  protected orphan(token: bigint): void {
    const own = this.#tokens.get(token);
    if (own === undefined) return;
    this.#tokens.delete(token);
    const to = this.#nodeOf(own.parent);
    if (own.hold !== undefined) this.told(to, { kind: 'held', token, child: own.pid, hold: own.hold });
    this.told(to, { kind: 'exited', token, child: own.pid, status: lostStatus('') });
    own.parent = INIT;
    own.token = undefined;
    if (own.status !== undefined) this.#own.delete(own.pid);
  }

  #lostChild(token: bigint, reason: string): void {
    const found = this.#childOf(token);
    if (found !== undefined && found.child.pid !== 0n)
      this.childEnded(found.parent, found.child, lostStatus(reason));
  }

  protected isChild(token: bigint): boolean {
    return this.#tokens.has(token);
  }

  /** One that is to be revoked has one yet: who was told otherwise would go on. */
  protected isParent(node: number, token: bigint): boolean {
    return (
      this.#spawns.has(token) || this.#knowsChild(token) || this.#outbox.has(node, { kind: 'revoked', token })
    );
  }

  protected keep(node: number, message: Kept): void {
    this.#outbox.keep(node, message);
  }

  protected told(node: number, message: Kept): void {
    if (!this.#outbox.drop(node, message) || message.kind !== 'exited') return;
    const own = this.#tokens.get(message.token);
    if (own?.status === undefined) return;
    this.#tokens.delete(message.token);
    this.#own.delete(own.pid);
  }

  #taken(): HomeAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  // ---- over a new start

  record(): HomeRecord {
    return {
      own: [...this.#own.values()].map((own) => ({ ...own })),
      families: [...this.#families].map(([parent, { children, given }]) => ({
        parent,
        children: [...children].map((child) => ({ ...child })),
        given: [...given].map(([waiter, result]) => ({ waiter, result })),
      })),
      kept: this.#outbox.all(),
      revoked: [...this.#revoked],
    };
  }

  #restore({ own, families, kept, revoked }: HomeRecord): void {
    for (const each of own) {
      const restored: Own = { ...each, token: each.token, status: each.status };
      this.#own.set(each.pid, restored);
      if (restored.token !== undefined) this.#tokens.set(restored.token, restored);
    }
    for (const { node, message } of kept) this.keep(node, message);
    for (const token of revoked) this.#revoked.add(token);
    for (const { parent, children, given } of families) {
      const family = new Family();
      this.#families.set(parent, family);
      for (const child of children) {
        if (child.pid !== 0n) this.#child(parent, { ...child, token: child.token, status: child.status });
        // A spawn that was under way.
        else if (child.token !== undefined) this.keep(child.node, { kind: 'revoked', token: child.token });
      }
      for (const { waiter, result } of given) family.given.set(waiter, result);
    }
  }
}

const lostStatus = (reason: string): Status => ({ code: 137, signal: 'SIGKILL', reason: `lost: ${reason}` });
