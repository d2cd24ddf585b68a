// The desk of a dataspace at its home, a gateway that asks it for nodes of another cluster, those nodes with their relays and processes, and
// a process at home; between them letters that are late, lost, doubled and out of turn, a line that is cut and silent, nodes and gateways
// that die. All by one clock and one source of chance.
import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import {
  DirectoryEventSchema,
  HolderEventSchema,
  LockMode,
  LockRequestSchema,
  SyncStatus,
  UnlockRequestSchema,
  WaitRequestSchema,
  WakeRequestSchema,
} from '@odonata/proto/coherency/v1/coherency';
import type { SyncAnswer } from '../../locks/sync-desk.ts';
import { SyncDesk } from '../../locks/sync-desk.ts';
import type { HolderEventInit } from '../../node/lines/holder-wire.ts';
import { Relay } from '../../node/relay/relay.ts';
import type { RelayAction, RelayEvent, SyncEvent } from '../../node/relay/relay-messages.ts';
import {
  type SyncEvent as ShardSync,
  shardEventOf,
  stepSync,
  syncAnswerOf,
} from '../../replica/shard/shard-events.ts';
import type { DeskAskInit } from '../desk-wire.ts';
import { FarDesk, type FarDeskAction } from '../far-desk.ts';
import { type AskingNode, HomeDesk, type HomeDeskAction } from '../home-desk.ts';
import { gatewayOwner, isGatewayOwner } from '../owners.ts';

export const HOME_LEASE_MS = 6_000;
const TURN_MS = 10;
const HOME = 7n;
const FAR = 1;
const NODES = 2;
const PROCESSES = 2;

export type Chance = (most: number) => number;
type Answer = Extract<RelayEvent, { type: 'answered' }>['event'];
type Far = FarDesk<DeskAskInit, Answer>;

export interface Making {
  far?: (session: bigint) => Far;
  home?: (options: ConstructorParameters<typeof HomeDesk>[0]) => HomeDesk;
  faults?: { line?: boolean; nodes?: boolean; gateway?: boolean };
}

/** One that locks, works, unlocks; or sleeps until a word is another one. */
interface Process {
  readonly pid: bigint;
  readonly node: Node | undefined;
  request: bigint;
  what: 'idle' | 'locks' | 'holds' | 'waits' | 'sleeps';
  begin: bigint;
  expected: number;
  untilMs: number;
}

interface Node {
  readonly name: string;
  relay: Relay;
  far: Far;
  processes: Process[];
  /** Wakes that are not answered. */
  wakes: Set<bigint>;
}

interface Gateway {
  readonly holder: number;
  readonly desk: HomeDesk;
}

export class DeskWorld {
  nowMs = 1_000;
  locks = { home: 0, far: 0 };
  wakes = 0;
  lost = 0;
  deadlocks = 0;
  private word = 0;
  private readonly chance: Chance;
  private readonly make: Making;
  private readonly desk = new SyncDesk();
  private nodes: Node[] = [];
  private readonly home: Process[] = [];
  private gateway!: Gateway;
  private readonly dead: { holder: number; atMs: number }[] = [];
  private lastHolder = 1;
  private lastPid = 0n;
  private lastNumber = 0n;
  private lastSession = 0n;
  private letters: { dueMs: number; order: number; isOnLine: boolean; deliver: () => void }[] = [];
  private order = 0;
  private cut = false;
  /** Nothing is lost. */
  private calm = false;
  private silentUntilMs = 0;

  constructor(chance: Chance, make: Making = {}) {
    this.chance = chance;
    this.make = make;
    for (let i = 0; i < NODES; i++) this.nodes.push(this.newNode(`node${i}`));
    for (let i = 0; i < PROCESSES; i++) this.home.push(this.newProcess(undefined));
    this.beginGateway();
  }

  // ---- what chance does

  step(): void {
    const { faults = {} } = this.make;
    const what = this.chance(100);
    if (what < 60) this.act();
    else if (what < 63) this.killProcess();
    else if (what < 66 && faults.line) this.cut = !this.cut;
    else if (what < 68 && faults.line) this.silentUntilMs = this.nowMs + this.chance(3_000);
    else if (what < 69 && faults.nodes) this.killNode();
    else if (what < 70 && faults.gateway) this.killGateway();
    this.pass(faults.line && this.chance(30) === 0 ? this.chance(9_000) : this.chance(120));
  }

  /** Nothing fails any more: who holds gives it back, and everybody is answered. */
  settle(): void {
    this.cut = false;
    this.silentUntilMs = 0;
    this.calm = true;
    for (let i = 0; i < 60; i++) {
      for (const process of this.all()) if (process.what === 'holds') this.unlock(process);
      this.pass(500);
    }
    for (const { what, pid, expected } of this.all()) {
      assert(what !== 'locks', `process ${pid} waits for a lock`);
      assert(what !== 'waits', `process ${pid} waits for a word of the desk`);
      assert(what !== 'sleeps' || expected === this.word, `process ${pid} sleeps, and was to be woken`);
    }
    const session = this.gateway.desk.sessionCount;
    assert(session <= NODES, `${session} sessions of ${NODES} nodes`);
  }

  private all(): Process[] {
    return [...this.home, ...this.nodes.flatMap(({ processes }) => processes)];
  }

  private act(): void {
    const all = this.all();
    const process = all[this.chance(all.length)]!;
    if (process.what === 'holds' && this.nowMs > process.untilMs) this.unlock(process);
    else if (process.what === 'idle' && this.chance(3) > 0) this.lock(process);
    else if (process.what === 'idle' && this.chance(2) === 0) this.wait(process);
    else if (process.what === 'idle') this.wake(process);
  }

  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.nowMs < untilMs) {
      this.nowMs += TURN_MS;
      this.turn();
    }
  }

  private turn(): void {
    for (const { holder, atMs } of this.dead.splice(0))
      if (this.nowMs < atMs + HOME_LEASE_MS) this.dead.push({ holder, atMs });
      else this.answerAll(this.desk.holderGone(holder, true));
    this.answerAll(this.desk.tick(this.nowMs));
    const due = this.letters.filter(
      ({ dueMs, isOnLine }) => dueMs <= this.nowMs && !(isOnLine && this.isSilent()),
    );
    this.letters = this.letters.filter((letter) => !due.includes(letter));
    for (const { deliver } of due.sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)) deliver();
    this.performHome(this.gateway, this.gateway.desk.tick(this.nowMs));
    for (const node of this.nodes)
      if (node.far.nextMs <= this.nowMs) this.performFar(node, node.far.tick(this.nowMs));
    this.check();
  }

  private isSilent = (): boolean => this.nowMs < this.silentUntilMs;

  // Two believe that they have it alone.
  private check(): void {
    const believers = this.all().filter(
      ({ what, node }) => what === 'holds' && (node === undefined || node.far.isHeld(this.nowMs)),
    );
    for (const [i, a] of believers.entries())
      for (const b of believers.slice(i + 1))
        if (a.begin < b.begin + 10n && b.begin < a.begin + 10n)
          assert.fail(`processes ${a.pid} and ${b.pid} hold a range, at ${this.nowMs}`);
  }

  // ---- processes

  private newProcess(node: Node | undefined): Process {
    const about = { request: 0n, begin: 0n, expected: 0, untilMs: 0 };
    return { pid: ++this.lastPid, node, what: 'idle', ...about };
  }

  private lock(process: Process): void {
    process.begin = BigInt(5 * this.chance(3));
    process.what = 'locks';
    const timeoutMs = this.chance(4) === 0 ? BigInt(this.chance(2_000)) : -1n;
    const { pid: owner, begin } = process;
    const about = { dataspace: HOME, owner, begin, end: begin + 9n, mode: LockMode.EXCLUSIVE, timeoutMs };
    this.ask(process, { case: 'lock', value: create(LockRequestSchema, about) });
  }

  private unlock(process: Process): void {
    const { pid: owner, begin } = process;
    process.what = 'idle';
    const about = { dataspace: HOME, owner, begin, end: begin + 9n };
    this.ask(process, { case: 'unlock', value: create(UnlockRequestSchema, about) });
  }

  private wait(process: Process): void {
    process.what = 'waits';
    process.expected = this.word;
    const about = { dataspace: HOME, owner: process.pid, offset: 0n, timeoutMs: -1n };
    this.ask(process, { case: 'wait', value: create(WaitRequestSchema, about) });
  }

  private wake(process: Process): void {
    this.word++;
    this.wakes++;
    this.ask(process, {
      case: 'wake',
      value: create(WakeRequestSchema, { dataspace: HOME, offset: 0n, count: 1_000 }),
    });
  }

  private ask(process: Process, event: SyncEvent): void {
    const request = ++this.lastNumber;
    if (event.case !== 'wake' && event.case !== 'unlock') process.request = request;
    const { node } = process;
    if (event.case === 'wake') node?.wakes.add(request);
    if (node !== undefined) this.stepRelay(node, { type: 'asked', session: 1, request, event });
    else {
      event.value.request = request;
      this.post(() => this.direct(1, event as HolderEventInit));
    }
  }

  private granted(process: Process, status: SyncStatus): void {
    if (status === SyncStatus.DEADLOCK) this.deadlocks++;
    process.what = status === SyncStatus.OK ? 'holds' : 'idle';
    process.untilMs = this.nowMs + this.chance(500);
    if (status === SyncStatus.OK) this.locks[process.node === undefined ? 'home' : 'far']++;
    this.check();
  }

  private waited(process: Process, status: SyncStatus): void {
    if (status === SyncStatus.REGISTERED && process.expected === this.word) {
      process.what = 'sleeps';
      return;
    }
    // It looks at its word.
    const { request, node } = process;
    process.what = 'idle';
    if (status !== SyncStatus.REGISTERED) {
      if (process.expected === this.word) this.wait(process);
      return;
    }
    const event = create(HolderEventSchema, { event: { case: 'cancelWait', value: { request } } }).event;
    if (event.case !== 'cancelWait') return;
    if (node === undefined) this.post(() => this.direct(1, event));
    else this.stepRelay(node, { type: 'asked', session: 1, request: 0n, event });
  }

  private answered(processes: readonly Process[], request: bigint, status: SyncStatus): void {
    const process = processes.find((each) => each.request === request);
    if (process?.what === 'locks') this.granted(process, status);
    else if (process?.what === 'waits' || process?.what === 'sleeps') this.waited(process, status);
  }

  private killProcess(): void {
    const node = this.nodes[this.chance(this.nodes.length)]!;
    this.end(node, node.processes[this.chance(PROCESSES)]!);
  }

  private end(node: Node, process: Process): void {
    node.processes = node.processes.map((each) => (each === process ? this.newProcess(node) : each));
    this.stepRelay(node, { type: 'owner-gone', owner: process.pid });
  }

  // ---- nodes of the other cluster

  private newNode(name: string): Node {
    // As its start in time.
    this.lastSession += 1_000n;
    const far = this.make.far?.(this.lastSession) ?? new FarDesk(this.lastSession);
    const node: Node = { name, relay: new Relay(1, () => FAR), far, processes: [], wakes: new Set() };
    for (let i = 0; i < PROCESSES; i++) node.processes.push(this.newProcess(node));
    return node;
  }

  // With all of its processes.
  private killNode(): void {
    const at = this.chance(this.nodes.length);
    // Whoever changes a word and dies before the wake is the program's to mend.
    if (this.nodes[at]!.wakes.size > 0) this.wake(this.home[0]!);
    this.nodes[at] = this.newNode(this.nodes[at]!.name);
  }

  private stepRelay(node: Node, event: RelayEvent): void {
    for (const action of node.relay.step(event, this.nowMs)) this.performRelay(node, action);
  }

  private performRelay(node: Node, action: RelayAction): void {
    switch (action.type) {
      case 'say':
      case 'say-all':
        if (action.event?.case !== 'barrierWord')
          this.performFar(node, node.far.ask([action.event as DeskAskInit], this.nowMs));
        return;
      case 'bring':
        return;
      case 'lost':
        this.lost += action.owners.size;
        for (const process of node.processes) if (action.owners.has(process.pid)) this.end(node, process);
        return;
      case 'answer': {
        const { request = 0n, event } = action.event;
        node.wakes.delete(request);
        if (event?.case === 'lock' || event?.case === 'wait')
          this.answered(node.processes, request, event.value.status ?? SyncStatus.UNSPECIFIED);
      }
    }
  }

  private performFar(node: Node, actions: readonly FarDeskAction<DeskAskInit, Answer>[]): void {
    for (const action of actions)
      switch (action.type) {
        case 'send': {
          const { message } = action;
          const from: AskingNode = { cluster: 'far', dataspace: HOME, node: node.name };
          const asks = message.asks.map(
            (ask) => create(HolderEventSchema, { event: ask as HolderEventInit }).event as never,
          );
          this.letter(() => {
            const { gateway, nowMs } = this;
            const heard = { ...message, asks };
            const about = { may: 'WRITE', leftMs: HOME_LEASE_MS, nowMs } as const;
            this.performHome(gateway, gateway.desk.heard(from, heard, about));
          });
          break;
        }
        case 'answered':
          this.stepRelay(node, { type: 'answered', event: action.answer, shards: [FAR] });
          break;
        case 'over':
          this.stepRelay(node, { type: 'voided', shard: FAR });
          this.stepRelay(node, { type: 'rejoined', shard: FAR, newLeader: true });
      }
  }

  // ---- home

  private beginGateway(): void {
    const options = {
      shards: 1,
      life: ++this.lastNumber,
      mint: () => gatewayOwner((BigInt(this.chance(2 ** 30)) << 31n) | ++this.lastNumber),
    };
    this.gateway = { holder: ++this.lastHolder, desk: this.make.home?.(options) ?? new HomeDesk(options) };
  }

  private killGateway(): void {
    this.dead.push({ holder: this.gateway.holder, atMs: this.nowMs });
    this.beginGateway();
  }

  private performHome(gateway: Gateway, actions: readonly HomeDeskAction[]): void {
    for (const action of actions)
      if (action.type === 'send') {
        const { to, message } = action;
        const answers = message.answers.map(
          (answer) => create(DirectoryEventSchema, { event: answer }).event,
        );
        this.letter(() => {
          const node = this.nodes.find(({ name }) => name === to.node);
          if (node !== undefined) this.performFar(node, node.far.heard({ ...message, answers }, this.nowMs));
        });
      } else this.post(() => this.gateway === gateway && this.direct(gateway.holder, action.event));
  }

  private direct(holder: number, init: HolderEventInit): void {
    const { event } = create(HolderEventSchema, { event: init });
    const sync = shardEventOf(event as Parameters<typeof shardEventOf>[0]) as ShardSync;
    if (sync.type === 'lock') assert.equal(isGatewayOwner(sync.ask.owner), holder !== 1, 'whose owner it is');
    this.answerAll(stepSync(this.desk, holder, sync, this.nowMs));
  }

  private answerAll(answers: readonly SyncAnswer[]): void {
    for (const answer of answers) {
      const { event } = create(DirectoryEventSchema, { event: syncAnswerOf(answer) });
      this.post(() => {
        const { gateway } = this;
        if (answer.holder === gateway.holder)
          this.performHome(gateway, gateway.desk.line({ type: 'answered', event, shards: [0] }, this.nowMs));
        else if (answer.holder === 1 && (event.case === 'lockResult' || event.case === 'waitResult'))
          this.answered(this.home, event.value.request, event.value.status);
      });
    }
  }

  /** In its cluster: in order, and nothing is lost. */
  private post(deliver: () => void): void {
    this.letters.push({ dueMs: this.nowMs + 5, order: ++this.order, isOnLine: false, deliver });
  }

  /** Over the line, and two directories. */
  private letter(deliver: () => void): void {
    const times = this.cut
      ? 0
      : this.make.faults?.line && !this.calm
        ? [0, 2, 1, 1, 1, 1, 1, 1][this.chance(8)]!
        : 1;
    for (let i = 0; i < times; i++)
      this.letters.push({
        ...{ dueMs: this.nowMs + 10 + this.chance(100), order: ++this.order, isOnLine: true },
        deliver,
      });
  }
}
