// Some nodes, their virtual kernels and a directory, with every order of messages that the channels allow: whoever may
// access a page finds what was written last, one writer has it alone, nobody waits for ever, and no frame stays kept.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Directory } from '../../directory/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '../../directory/directory-messages.ts';
import type { HolderAction } from '../../holder/holder-messages.ts';
import type { PageRun } from '../../page.ts';
import { type Action, type Event, type FakeMapping, FakeNode, type Values } from '../testdata/fake-node.ts';
import type { KeptPages, TakingWord } from './kept-pages.ts';
import { NodeMemory } from './memory.ts';
import { isDirectoryWord, type Use } from './memory-messages.ts';

const PAGES = 5;
const NODES = 3;
const VKERNELS = 2;

type Memory = typeof NodeMemory<FakeMapping, Values>;

class Cluster {
  private readonly directory = new Directory({ home: false });
  private readonly nodes: FakeNode[] = [];
  /** Channels; what is in one comes in order. */
  private readonly channels = new Map<string, (() => void)[]>();
  private readonly latest = new Map<number, number>();
  private readonly faults = new Set<string>();
  private readonly uses = new Map<number, { event: Use; node: number }>();
  private operation = 0;
  private nowMs = 0;
  private written = 0;

  constructor(make: Memory) {
    this.directory.step({ type: 'create', dataspace: 1n, pageCount: PAGES, creator: 0 });
    for (let i = 0; i < NODES; i++) {
      this.directory.step({ type: 'join', holder: i + 1 });
      const node = new FakeNode(PAGES, {}, make);
      this.nodes.push(node);
      node.open(false);
      for (let k = 0; k < VKERNELS; k++) node.maps(true);
    }
  }

  /** Does one of the things that may happen now. */
  act([what, who, page, write]: readonly [number, number, number, boolean]): void {
    const i = who % NODES;
    if (what < 4) this.access(i, who % VKERNELS, page, write);
    else if (what < 5) this.use(i, page, write);
    else if (what < 6) this.lease(i, write);
    else this.deliver(who);
    this.check();
  }

  /** Until nothing is under way; channels take turns in one exact rhythm. */
  settle(): void {
    for (let i = 0; i < NODES; i++) this.lease(i, true);
    for (let steps = 0; this.deliver(steps) || this.tick(); steps++) {
      assert(steps < 20_000, 'it never comes to rest');
      this.check();
    }
    expect([...this.faults]).toEqual([]);
    expect(this.uses.size).toBe(0);
    for (const node of this.nodes) {
      expect(node.dataspace.waiting.count).toBe(0);
      expect(node.reservedFrames).toBe(0);
    }
  }

  /** What a node was told is said again; false: nothing is under way at the directory. */
  private tick(): boolean {
    this.nowMs += 2_000;
    const actions = this.directory.step({ type: 'tick', nowMs: this.nowMs });
    for (const action of actions) this.fromDirectory(action);
    return actions.length > 0;
  }

  private access(i: number, k: number, page: number, write: boolean): void {
    const node = this.nodes[i]!;
    const entry = node.mappings[k]!;
    const may = entry.table.get(page);
    if (may === undefined || (write && may !== 'WRITE')) {
      this.faults.add(`${i} ${k} ${page} ${write}`);
      this.step(i, { type: 'fault', entry, page, write, atNs: 0n });
    } else this.touch(node, page, write);
  }

  private touch(node: FakeNode, page: number, write: boolean): void {
    if (write) {
      node.frames.set(page, ++this.written);
      this.latest.set(page, this.written);
    } else assert.equal(node.frames.get(page) ?? 0, this.latest.get(page) ?? 0, `page ${page} is stale`);
  }

  private use(node: number, firstPage: number, write: boolean): void {
    const operation = ++this.operation;
    const run = { dataspace: 1n, firstPage, pageCount: Math.min(2, PAGES - firstPage) };
    const event: Use = { type: 'use', operation, run, mode: write ? 'WRITE' : 'READ' };
    this.uses.set(operation, { event, node });
    this.step(node, event);
  }

  private lease(i: number, leased: boolean): void {
    const node = this.nodes[i]!;
    node.leased = leased;
    this.step(i, { type: leased ? 'resume' : 'suspend', shard: 0 });
    if (!leased) for (const { table } of node.mappings) assert.equal(table.size, 0, 'mapped without a lease');
  }

  private put(channel: string, work: () => void): void {
    const queue = this.channels.get(channel) ?? [];
    this.channels.set(channel, queue);
    queue.push(work);
  }

  private deliver(choice: number): boolean {
    const queues = [...this.channels.values()].filter((queue) => queue.length > 0);
    queues[choice % queues.length]?.shift()?.();
    return queues.length > 0;
  }

  private step(i: number, event: Event): void {
    for (const action of this.nodes[i]!.step(event)) this.perform(i, action);
  }

  private perform(i: number, action: Action): void {
    const later = (event: Event) => this.put(`later ${i} ${action.type}`, () => this.step(i, event));
    switch (action.type) {
      case 'acquire':
      case 'ack':
        this.put(`from ${i}`, () => this.tell(upwards(i + 1, action)));
        return;
      case 'deliver': {
        const { receiver, run, state, version, bytes } = action;
        const data = { type: 'data', run, state, version, zero: bytes === undefined } as const;
        this.put(`data ${i} ${receiver}`, () =>
          this.step(receiver - 1, { type: 'arrive', data, bytes: bytes! }),
        );
        return;
      }
      case 'resolved': {
        const { entry, page, write } = action.fault;
        const k = this.nodes[i]!.mappings.indexOf(entry);
        this.faults.delete(`${i} ${k} ${page} ${write}`);
        // One thread a fault; others of the process that waited for the page look again.
        this.faults.delete(`${i} ${k} ${page} false`);
        if (action.neighbours) later({ type: 'neighbours', fault: action.fault });
        return;
      }
      case 'ahead':
        later(action);
        return;
      case 'usable': {
        const { event } = this.uses.get(action.operation)!;
        this.uses.delete(action.operation);
        for (const page of pagesOf(event.run)) this.touch(this.nodes[i]!, page, event.mode === 'WRITE');
        later({ type: 'end', operation: action.operation, dataspace: 1n });
        return;
      }
      case 'again':
        later(this.uses.get(action.operation)!.event);
        return;
      default:
        assert.fail(`${action.type} was not to be expected`);
    }
  }

  private tell(event: DirectoryEvent): void {
    for (const action of this.directory.step(event)) this.fromDirectory(action);
  }

  private fromDirectory(action: DirectoryAction): void {
    if (action.type === 'invalidate') {
      const { run, version, anew, except, source } = action;
      for (let i = 0; i < NODES; i++) {
        if (i + 1 === except || i + 1 === source) continue;
        this.put(`cast ${i}`, () => this.step(i, { type: 'invalidate', run, version, anew }));
      }
      return;
    }
    const { holder } = action;
    const event = action as Event & { type: 'grant' };
    assert(isDirectoryWord(event));
    this.put(`to ${holder}`, () => this.step(holder - 1, event));
  }

  private check(): void {
    for (let page = 0; page < PAGES; page++) {
      const tables = this.nodes.flatMap(({ mappings }) => mappings.map(({ table }) => table.get(page)));
      const writers = tables.filter((may) => may === 'WRITE').length;
      const readers = tables.filter((may) => may === 'READ').length;
      assert(writers === 0 || (writers === 1 && readers === 0), `page ${page} has a writer beside others`);
      for (const node of this.nodes)
        for (const { table } of node.mappings) if (table.has(page)) this.touch(node, page, false);
    }
  }
}

function upwards(holder: number, action: Extract<HolderAction, { type: 'acquire' | 'ack' }>): DirectoryEvent {
  if (action.type === 'ack') return { ...action, holder };
  const neededPages = action.needed ? action.run.pageCount : 0;
  return { ...action, holder, neededPages, alone: true };
}

const pagesOf = ({ firstPage, pageCount }: PageRun): number[] =>
  Array.from({ length: pageCount }, (_, i) => firstPage + i);

const commands = fc.array(
  fc.tuple(fc.nat({ max: 15 }), fc.nat({ max: 11 }), fc.nat({ max: PAGES - 1 }), fc.boolean()),
  { maxLength: 250 },
);

function run(make: Memory, script: readonly (readonly [number, number, number, boolean])[]): void {
  const cluster = new Cluster(make);
  for (const command of script) cluster.act(command);
  cluster.settle();
}

test('what may be accessed is what was written last, and everybody is served', () => {
  fc.assert(
    fc.property(commands, (script) => run(NodeMemory, script)),
    { numRuns: 300 },
  );
});

const SAME_PAGES = [
  [0, 0, 2, false],
  [4, 1, 2, false],
  [4, 0, 2, true],
  [0, 0, 0, false],
] as const;

test('two nodes that need the same pages at a time, one of them to write, both get them', () => {
  run(NodeMemory, SAME_PAGES);
});

class KeepsNothing extends NodeMemory<FakeMapping, Values> {
  protected override makeKept(): KeptPages<FakeMapping, Values> {
    return Object.assign(super.makeKept(), { sift: (word: TakingWord) => [word] });
  }
}

test('the test finds a node whose operations do not keep what came of their pages', () => {
  expect(() => run(KeepsNothing, SAME_PAGES)).toThrow('it never comes to rest');
});

class RevokesNothing extends NodeMemory<FakeMapping, Values> {
  protected override revoke(): void {}
}

test('the test finds a node that does not take write access away before it sends a page', () => {
  const found = fc.check(
    fc.property(commands, (script) => run(RevokesNothing, script)),
    { numRuns: 300 },
  );
  expect(found.failed).toBe(true);
});
