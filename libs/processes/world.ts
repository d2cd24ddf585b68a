// Several homes and what lies between them, for tests: messages that are lost, doubled and late, homes that start anew, nodes
// that die or are taken for dead. It knows what really happened, and says what of it a parent was told wrong.
import { Home, type HomeAction, INIT } from './home.ts';
import type { Message, Reply, Status } from './message.ts';
import { type HomeRecord, recordOf, recordText } from './record.ts';

export const PIDS = 10_000n;
const nodeOf = (pid: bigint): number => Number(pid / PIDS);

export type MakeHome = (options: ConstructorParameters<typeof Home>[0]) => Home;
export const shipped: MakeHome = (options) => new Home(options);

interface Truth {
  readonly pid: bigint;
  readonly parent: bigint;
  status: Status | undefined;
  /** Its parent's spawn came back with it. */
  known: boolean;
  /** A status may be made up for it: its node was taken for lost, or its home's record was torn. */
  mayBeLost: boolean;
  waited: boolean;
  /** What stopped it; empty: nothing. */
  hold: string;
}

type Packet =
  | { what: 'tell'; from: number; to: number; messages: readonly Message[] }
  | { what: 'reply'; from: number; to: number; reply: Reply }
  | { what: 'spawn'; from: number; to: number; token: bigint; parent: bigint }
  | { what: 'spawned'; from: number; to: number; token: bigint; pid: bigint | undefined };

export interface Step {
  readonly op: 'spawn' | 'end' | 'wait' | 'tell' | 'deliver' | 'hold' | 'restart' | 'tear' | 'die' | 'cut';
  readonly a: number;
  readonly b: number;
  /** 0: the packet is lost, 1: it is doubled. */
  readonly luck: number;
}

export class World {
  readonly processes = new Map<bigint, Truth>();
  readonly #homes = new Map<number, Home>();
  readonly #make: MakeHome;
  #packets: Packet[] = [];
  #last = 0n;
  #lastWaiter = 0;
  /** A record was torn, or a verdict wrong: a spawn under way may be init's. */
  #isTorn = false;
  /** Asked and not answered: by waiter. */
  readonly #waits = new Map<number, bigint>();
  /** Decided, and not heard yet: a new start of the home loses these. */
  #unheard: Extract<HomeAction, { do: 'answer' }>[] = [];

  constructor(nodes: number, make: MakeHome = shipped) {
    this.#make = make;
    for (let node = 1; node <= nodes; node++) {
      this.#homes.set(node, make({ node, nodeOf }));
      this.#begin(node, 0n);
    }
  }

  step({ op, a, b, luck }: Step): void {
    const node = (a % this.#homes.size) + 1;
    const to = (b % this.#homes.size) + 1;
    const here = this.#running(node);
    const one = here[b % Math.max(1, here.length)];
    if (op === 'deliver') this.#hear();
    switch (op) {
      case 'spawn':
        if (one !== undefined) this.#spawn(one.pid, (luck % this.#homes.size) + 1);
        return;
      case 'end':
        if (one !== undefined && here.length > 1)
          this.#end(one, { code: Number(one.pid), signal: '', reason: '' });
        return;
      case 'wait':
        if (one !== undefined) this.#wait(one.pid, luck % 2 === 0);
        return;
      case 'hold':
        if (one !== undefined) this.#hold(one);
        return;
      case 'tell':
        if (to !== node) this.#tell(node, to);
        return;
      case 'deliver':
        this.#deliver(a, luck);
        return;
      case 'restart':
        this.#restart(node, recordOf(recordText(this.#home(node).record())));
        return;
      case 'tear':
        this.#mayLose(node);
        this.#restart(node, undefined);
        return;
      case 'die':
        this.#die(node);
        return;
      case 'cut':
        this.#mayLose(node);
        this.#lost(node);
        return;
    }
  }

  /** Nothing is lost any more: it must come to rest, all that ended must be waited for, and nothing may be left. */
  settle(): void {
    this.#flush();
    this.#expectAtRest();
    this.#expectHoldsKnown();
    for (const each of [...this.processes.values()])
      if (each.status === undefined && each.parent !== 0n)
        this.#end(each, { code: Number(each.pid), signal: '', reason: '' });
    this.#flush();
    const parents = [...this.processes.values()].filter(({ status }) => status === undefined);
    for (const { pid } of parents) for (let i = 0; this.#waitAndHear(pid) && i < 5_000; i++);
    this.#flush();
    this.#hear();
    if (this.#waits.size > 0) throw new Error(`${this.#waits.size} waits never end`);
    for (const each of this.processes.values())
      if (each.known && !each.waited && parents.some(({ pid }) => pid === each.parent) && !each.mayBeLost)
        throw new Error(`the status of ${each.pid} got lost`);
    for (const [node, home] of this.#homes) {
      const { own, kept, families } = home.record();
      const left = own.filter(({ status }) => status !== undefined).length;
      const zombies = families.flatMap(({ children }) => [...children]).length;
      if (left + kept.length + zombies > 0)
        throw new Error(
          `at rest node ${node} keeps ${left} that ended, ${kept.length} messages, ${zombies} zombies`,
        );
    }
  }

  #home(node: number): Home {
    return this.#homes.get(node)!;
  }

  #running(node: number): Truth[] {
    return [...this.processes.values()].filter(
      ({ pid, status }) => nodeOf(pid) === node && status === undefined,
    );
  }

  #begin(node: number, parent: bigint, token?: bigint): bigint | undefined {
    this.#last += 1n;
    const pid = BigInt(node) * PIDS + this.#last;
    const by =
      parent === 0n ? undefined : { parent, group: 0n, session: 0n, ...(token !== undefined && { token }) };
    if (!this.#home(node).begin(pid, by)) return undefined;
    const truth = { pid, parent, status: undefined, mayBeLost: false, waited: false, hold: '' };
    this.processes.set(pid, { ...truth, known: token === undefined });
    return pid;
  }

  #spawn(parent: bigint, to: number): void {
    const node = nodeOf(parent);
    if (to === node) {
      this.#begin(node, parent);
      return;
    }
    this.#last += 1n;
    const token = this.#last;
    if (this.#home(node).spawning(parent, token, to, 0n))
      this.#packets.push({ what: 'spawn', from: node, to, token, parent });
  }

  #end(process: Truth, status: Status): void {
    process.status = status;
    for (const [waiter, parent] of this.#waits) if (parent === process.pid) this.#waits.delete(waiter);
    this.#perform(this.#home(nodeOf(process.pid)).end(process.pid, status));
  }

  #hold(process: Truth): void {
    process.hold = process.hold === '' ? 'SIGSTOP' : '';
    this.#perform(this.#home(nodeOf(process.pid)).held(process.pid, process.hold));
  }

  /** What parents were told last of those that run is so. */
  #expectHoldsKnown(): void {
    for (const [, home] of this.#homes)
      for (const { children } of home.record().families)
        for (const { pid, status, hold } of children) {
          const child = this.processes.get(pid);
          if (child === undefined || status !== undefined || child.mayBeLost || child.status !== undefined)
            continue;
          const told = hold?.signal ?? '';
          if (told !== child.hold)
            throw new Error(`of ${pid} its parent believes "${told}", and it is "${child.hold}"`);
        }
  }

  #wait(parent: bigint, hang: boolean): void {
    this.#lastWaiter += 1;
    const waiter = this.#lastWaiter;
    this.#waits.set(waiter, parent);
    this.#perform(
      this.#home(nodeOf(parent)).wait(parent, waiter, 'any', { hang, settled: 0, stopped: waiter % 2 === 0 }),
    );
  }

  /** True: somebody was waited for. */
  #waitAndHear(parent: bigint): boolean {
    const waited = () => [...this.processes.values()].filter((each) => each.waited).length;
    const before = waited();
    this.#wait(parent, false);
    this.#hear();
    return waited() > before;
  }

  /** Who runs has a parent that knows of it, or is init's. */
  #expectAtRest(): void {
    for (const { pid, parent, status, known } of this.processes.values()) {
      if (status !== undefined || parent === 0n) continue;
      const own = this.#home(nodeOf(pid)).find(pid);
      const isOrphan = own === undefined || own.parent === INIT || own.parent === 0n;
      if (!isOrphan && this.processes.get(parent)!.status !== undefined)
        throw new Error(`${pid} does not know that its parent is over`);
      if (!known && !(this.#isTorn && isOrphan) && this.processes.get(parent)!.status === undefined)
        throw new Error(`${pid} runs, and its parent was told that it does not`);
    }
  }

  #tell(node: number, to: number): void {
    const messages = this.#home(node).messagesFor(to);
    if (messages.length > 0) this.#packets.push({ what: 'tell', from: node, to, messages });
  }

  #deliver(at: number, luck: number): void {
    const index = at % Math.max(1, this.#packets.length);
    const packet = this.#packets[index];
    if (packet === undefined) return;
    if (luck !== 1) this.#packets.splice(index, 1);
    // A call is not doubled; where it is lost, its caller knows that it does not know.
    else if (packet.what === 'spawn' || packet.what === 'spawned') this.#packets.splice(index, 1);
    if (luck !== 0) this.#arrive(packet);
    else if (packet.what === 'spawn') this.#perform(this.#home(packet.from).doubted(packet.token));
    else if (packet.what === 'spawned') this.#perform(this.#home(packet.to).doubted(packet.token));
  }

  #arrive(packet: Packet): void {
    const { from, to } = packet;
    const home = this.#home(to);
    switch (packet.what) {
      case 'tell': {
        const { reply, actions } = home.receive(from, packet.messages);
        this.#perform(actions);
        this.#packets.push({ what: 'reply', from: to, to: from, reply });
        return;
      }
      case 'reply':
        this.#perform(home.replied(from, packet.reply));
        return;
      case 'spawn': {
        const pid = this.#begin(to, packet.parent, packet.token);
        this.#packets.push({ what: 'spawned', from: to, to: from, token: packet.token, pid });
        return;
      }
      case 'spawned': {
        const { token, pid } = packet;
        if (pid === undefined) this.#perform(home.unspawned(token));
        else if (home.spawned(token, pid)) this.processes.get(pid)!.known = true;
        return;
      }
    }
  }

  #restart(node: number, record: HomeRecord | undefined): void {
    this.#homes.set(node, this.#make({ node, nodeOf, ...(record && { record }) }));
    if (record === undefined) for (const { pid } of this.#running(node)) this.#home(node).begin(pid);
    // Answers of the last one reach nobody.
    this.#unheard = this.#unheard.filter(({ parent }) => nodeOf(parent) !== node);
    this.#packets = this.#packets.filter(({ what, to }) => what !== 'spawned' || to !== node);
    for (const [waiter, parent] of [...this.#waits])
      if (nodeOf(parent) === node)
        this.#perform(this.#home(node).wait(parent, waiter, 'any', { hang: true, settled: 0 }));
  }

  #mayLose(node: number): void {
    this.#isTorn = true;
    for (const each of this.processes.values())
      if (nodeOf(each.pid) === node || nodeOf(each.parent) === node) each.mayBeLost = true;
  }

  /** With all that runs there; another one begins in its place. */
  #die(node: number): void {
    for (const each of this.processes.values()) {
      if (nodeOf(each.pid) !== node) continue;
      each.mayBeLost = true;
      if (each.status === undefined) each.status = { code: 137, signal: 'SIGKILL', reason: 'its node died' };
    }
    for (const [waiter, parent] of this.#waits) if (nodeOf(parent) === node) this.#waits.delete(waiter);
    this.#restart(node, undefined);
    this.#packets = this.#packets.filter(
      ({ what, from, to }) => what !== 'spawn' || (from !== node && to !== node),
    );
    this.#lost(node);
    this.#begin(node, 0n);
  }

  #lost(node: number): void {
    for (const [other, home] of this.#homes)
      if (other !== node) this.#perform(home.lost(node, `node ${node} died`));
  }

  #flush(): void {
    for (let round = 0; round < 12; round++) {
      for (const [node, home] of this.#homes) for (const to of home.peers()) this.#tell(node, to);
      while (this.#packets.length > 0) this.#deliver(0, 2);
    }
  }

  #perform(actions: readonly HomeAction[]): void {
    for (const action of actions) {
      if (action.do === 'signal') {
        const process = this.processes.get(action.pid);
        if (action.signal === 'SIGKILL' && process?.status === undefined && process !== undefined)
          this.#end(process, { code: 137, signal: 'SIGKILL', reason: 'revoked' });
        continue;
      }
      this.#unheard.push(action);
    }
  }

  #hear(): void {
    const unheard = this.#unheard;
    this.#unheard = [];
    for (const { waiter, parent, result } of unheard) {
      if (!this.#waits.delete(waiter) || result.child === undefined) continue;
      const said = JSON.stringify(result, (_, value) => (typeof value === 'bigint' ? String(value) : value));
      const child = this.processes.get(result.child);
      if (child === undefined) throw new Error(`waited for ${result.child}, which never was`);
      if (child.parent !== parent) throw new Error(`${parent} waited for ${child.pid} of ${child.parent}`);
      if ('hold' in result) continue;
      if (child.waited) throw new Error(`${child.pid} is waited for twice`);
      child.waited = true;
      const isTrue = child.status !== undefined && child.status.code === result.status.code;
      if (!isTrue && !(child.mayBeLost && result.status.reason.startsWith('lost')))
        throw new Error(`of ${child.pid} was told ${said}, and that is not so`);
    }
  }
}
