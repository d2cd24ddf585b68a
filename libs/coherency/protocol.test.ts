// The directory and its holders under a seeded network that loses, repeats and delays broadcasts,
// and interleaves every channel freely. Checked at each read and write: one writer or many readers,
// and the value read is the last one written.
import assert from 'node:assert/strict';
import { describe, expect, test } from 'vitest';
import { Directory } from './directory.ts';
import type { DirectoryAction, DirectoryEvent } from './directory-messages.ts';
import { Holder } from './holder.ts';
import type { HolderAction, HolderEvent } from './holder-messages.ts';
import { mayRead, mayWrite } from './page.ts';

const DS = 7n;
const PAGES = 4;

function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

class Node {
  readonly holder = new Holder();
  readonly frames = new Map<number, number>();
  readonly retained = new Map<string, number>();
  alive = true;
  epoch = 1;
}

class World {
  dir = new Directory({ home: false });
  private epoch = 1;
  private readonly unreported = new Set<number>();
  private readonly parked: DirectoryEvent[] = [];
  readonly nodes: Node[] = [];
  readonly written = new Map<number, number>();
  readonly lost = new Set<number>();
  reads = 0;
  writes = 0;
  private readonly channels = new Map<string, (() => void)[]>();
  private readonly broadcasts: (() => void)[] = [];
  private nowMs = 0;
  private readonly rnd: (below: number) => number;

  constructor(seed: number, nodes: number) {
    this.rnd = random(seed);
    for (let i = 0; i < nodes; i++) {
      this.nodes.push(new Node());
      this.toDirectory({ type: 'join', holder: i + 1 });
    }
    this.toDirectory({ type: 'create', dataspace: DS, pageCount: PAGES, creator: 1 });
    for (const i of this.nodes.keys())
      this.at(i, { type: 'open', dataspace: DS, pageCount: PAGES, whole: i === 0 });
  }

  private post(channel: string, message: () => void, receiver?: Node, epoch = this.epoch): void {
    const queue = this.channels.get(channel) ?? [];
    // What belongs to another directory is dropped where it arrives.
    const deliver = () => {
      if (epoch === (receiver?.epoch ?? this.epoch)) message();
    };
    queue.push(deliver);
    this.channels.set(channel, queue);
  }

  private toDirectory(event: DirectoryEvent): void {
    for (const action of this.dir.step(event)) this.fromDirectory(action);
  }

  private fromDirectory(action: DirectoryAction): void {
    if (action.type === 'invalidate') {
      // Everybody follows the dataspace, also who has nothing to lose, or is asked for the data.
      for (const index of this.nodes.keys()) {
        const holder = index + 1;
        const { epoch } = this;
        const deliver = () => {
          if (this.nodes[index]!.epoch === epoch) this.at(index, { ...action, type: 'invalidate' });
        };
        const fate = this.rnd(4);
        const spared = holder === action.except || holder === action.source;
        if (fate !== 0 && !spared) this.broadcasts.push(deliver);
        if (fate === 1 && !spared) this.broadcasts.push(deliver);
        if (action.resend && action.holders.includes(holder))
          this.post(`d${holder}`, deliver, this.nodes[index]);
      }
      return;
    }
    const { holder, ...event } = action;
    this.post(`d${holder}`, () => this.at(holder - 1, event as HolderEvent), this.nodes[holder - 1]);
  }

  private at(index: number, event: HolderEvent): void {
    const node = this.nodes[index]!;
    if (!node.alive) return;
    for (const action of node.holder.step(structuredClone(event))) this.perform(index, node, action);
  }

  private perform(index: number, node: Node, action: HolderAction): void {
    const up = (event: DirectoryEvent) =>
      this.post(`u${index}`, () => node.alive && this.receive(event), undefined, node.epoch);
    const holder = index + 1;
    if (action.type === 'acquire') {
      up({
        type: 'acquire',
        holder,
        run: action.run,
        mode: action.mode,
        neededPages: action.needed ? action.run.pageCount : 0,
        alone: true,
      });
    } else if (action.type === 'ack')
      up({ type: 'ack', holder, run: action.run, version: action.version, kind: action.kind });
    else if (action.type === 'report')
      up({ type: 'report', holder, held: action.held, voided: action.voided });
    else if ('run' in action) {
      for (let i = 0; i < action.run.pageCount; i++)
        this.performPage(index, node, action, action.run.firstPage + i);
    }
  }

  private performPage(index: number, node: Node, action: HolderAction, page: number): void {
    if (action.type === 'drop') node.frames.delete(page);
    if (action.type === 'forget') node.retained.delete(`${page} ${action.version}`);
    if (action.type === 'failed')
      assert(!this.nodes.every((n) => n.alive), `page ${page} is ${action.reason}, but nobody died`);
    if (action.type === 'send' || action.type === 'resend') {
      const key = `${page} ${action.version}`;
      const value = action.type === 'send' ? (node.frames.get(page) ?? 0) : node.retained.get(key);
      assert(value !== undefined, 'resend without what was retained');
      if (action.type === 'send' && action.retain) node.retained.set(key, value);
      const run = { dataspace: DS, firstPage: page, pageCount: 1 };
      const event: HolderEvent = {
        type: 'data',
        run,
        state: action.state,
        version: action.version,
        zero: false,
      };
      const receiver = action.receiver - 1;
      const target = this.nodes[receiver]!;
      const arrive = () => {
        if (!target.alive) return;
        for (const a of target.holder.step(event)) {
          if (a.type === 'install') target.frames.set(page, value);
          else this.perform(receiver, target, a);
        }
      };
      this.post(`t${index} ${receiver}`, arrive, target, node.epoch);
    }
    if (action.type === 'restore') {
      const key = `${page} ${action.version}`;
      node.frames.set(page, node.retained.get(key)!);
      node.retained.delete(key);
    }
  }

  // While a directory hears reports, all else waits.
  private receive(event: DirectoryEvent): void {
    if (this.unreported.size === 0) this.toDirectory(event);
    else if (event.type === 'report') {
      this.toDirectory(event);
      this.unreported.delete(event.holder);
      if (this.unreported.size > 0) return;
      this.toDirectory({ type: 'rebuilt' });
      for (const parked of this.parked.splice(0)) this.toDirectory(parked);
    } else if (event.type === 'acquire') this.parked.push(event);
  }

  /** The directory dies, and another one takes its place. */
  restartDirectory(): void {
    this.dir = new Directory({ home: false });
    this.epoch++;
    this.parked.length = 0;
    this.unreported.clear();
    for (const [index, node] of this.nodes.entries()) {
      if (!node.alive) continue;
      this.unreported.add(index + 1);
      this.toDirectory({ type: 'join', holder: index + 1 });
      const { epoch } = this;
      const join = () => {
        if (epoch !== this.epoch) return;
        node.epoch = epoch;
        this.at(index, { type: 'rejoin', sameDirectory: false });
      };
      this.post(`w${index}`, join);
    }
    const creatorLost = !this.nodes[0]!.alive;
    this.toDirectory({
      type: 'create',
      dataspace: DS,
      pageCount: PAGES,
      creator: creatorLost ? 0 : 1,
      creatorLost,
    });
    this.nowMs = 0;
  }

  private access(): void {
    const index = this.rnd(this.nodes.length);
    const node = this.nodes[index]!;
    if (!node.alive) return;
    const page = this.rnd(PAGES);
    const state = node.holder.state(DS, page);
    if (this.rnd(2) === 0) {
      if (!mayRead(state)) {
        this.want(index, page, 'READ');
        return;
      }
      this.reads++;
      expect(node.frames.get(page) ?? 0).toBe(this.written.get(page) ?? 0);
    } else {
      if (!mayWrite(state)) {
        this.want(index, page, 'WRITE');
        return;
      }
      for (const other of this.nodes) {
        if (other !== node && other.alive) expect(other.holder.state(DS, page)).toBe('INVALID');
      }
      this.at(index, { type: 'wrote', run: { dataspace: DS, firstPage: page, pageCount: 1 } });
      const value = ++this.writes;
      node.frames.set(page, value);
      this.written.set(page, value);
    }
  }

  private want(index: number, page: number, mode: 'READ' | 'WRITE'): void {
    const pageCount = 1 + this.rnd(PAGES - page);
    this.at(index, {
      type: 'want',
      run: { dataspace: DS, firstPage: page, pageCount },
      mode,
      neededPages: 1 + this.rnd(pageCount),
    });
  }

  private later(ms: number): number {
    this.nowMs += ms;
    return this.nowMs;
  }

  private deliver(): boolean {
    const ready = [...this.channels].filter(([, queue]) => queue.length > 0);
    const pick = this.rnd(ready.length + (this.broadcasts.length > 0 ? 1 : 0) || 1);
    if (pick < ready.length) ready[pick]![1].shift()!();
    else if (this.broadcasts.length > 0) this.broadcasts.splice(this.rnd(this.broadcasts.length), 1)[0]!();
    else return false;
    return true;
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const what = this.rnd(10);
      if (what < 3) this.access();
      else if (what < 9) this.deliver();
      else if (this.unreported.size === 0)
        this.toDirectory({ type: 'tick', nowMs: this.later(this.rnd(60)) });
    }
  }

  /** Delivers all; afterwards nothing may wait. */
  settle(): void {
    for (let i = 0; i < 5_000; i++) {
      if (!this.deliver() && this.unreported.size === 0)
        this.toDirectory({ type: 'tick', nowMs: this.later(3_000) });
    }
    for (let page = 0; page < PAGES; page++) {
      expect(this.dir.inspect(DS, page).busy).toBe(false);
      for (const node of this.nodes) if (node.alive) expect(node.holder.pending(DS, page)).toBe(false);
    }
  }

  kill(index: number): void {
    const node = this.nodes[index]!;
    node.alive = false;
    for (let page = 0; page < PAGES; page++) if (mayRead(node.holder.state(DS, page))) this.lost.add(page);
    this.toDirectory({ type: 'leave', holder: index + 1 });
  }
}

describe('directory and holders', () => {
  test('one writer or many readers, and each read returns the last write', () => {
    let operations = 0;
    for (let seed = 1; seed <= 150; seed++) {
      try {
        const world = new World(seed, 2 + (seed % 4));
        world.run(1_500);
        world.settle();
        operations += world.reads + world.writes;
      } catch (error) {
        throw new Error(`seed=${seed}`, { cause: error });
      }
    }
    expect(operations).toBeGreaterThan(10_000);
  });

  test('a holder that dies leaves nothing waiting and no stale value', () => {
    for (let seed = 1; seed <= 150; seed++) {
      try {
        const world = new World(seed, 4);
        world.run(500);
        world.kill(seed % 4);
        world.run(500);
        world.settle();
      } catch (error) {
        throw new Error(`seed=${seed}`, { cause: error });
      }
    }
  });

  test('a directory that starts anew loses no page and lets nobody read an old one', () => {
    for (let seed = 1; seed <= 200; seed++) {
      try {
        const world = new World(seed, 2 + (seed % 4));
        for (let restarts = 0; restarts < 4; restarts++) {
          // The first one early: pages that nobody but their creator has are asked for.
          world.run(restarts === 0 ? seed % 20 : 300);
          world.restartDirectory();
        }
        world.run(300);
        world.settle();
      } catch (error) {
        throw new Error(`seed=${seed}`, { cause: error });
      }
    }
  });
});
