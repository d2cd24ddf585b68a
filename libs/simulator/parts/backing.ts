// Durable dataspaces of a node: what pmapd runs (libs/coherency/node/backing.ts), with two copies of a simulated store.
import type { BackingAction, BackingEvent, ReadPage } from '@odonata/coherency/node/backing.ts';
import { type PageRun, unreachable } from '@odonata/coherency/page.ts';
import { versionOfStored } from '@odonata/coherency/stored-version.ts';
import type { StoredPage } from '../stores/durable-store.ts';
import { Alarm } from '../world/alarm.ts';
import type { Backing, CapturedValues } from '../world/machines.ts';
import type { Endpoint } from '../world/network.ts';
import type { Surroundings } from '../world/surroundings.ts';
import { PageValues } from './page-values.ts';
import type { StorePart } from './store.ts';

/** What a copy does not answer is said again. */
const AGAIN_MS = 40;
/** Pages of a chunk of the store. */
const CHUNK_PAGES = 2;
/** How often a copy of the store is asked before the store is said to be away. */
const TRIES_MAX = 8;

type Event = BackingEvent<CapturedValues, PageValues, Error>;
type Action = BackingAction<CapturedValues, PageValues, Error>;

/** What a sync stored, by page; undefined: it failed, and nothing is promised. */
type Synced = (values: ReadonlyMap<number, number> | undefined) => void;

interface Outside extends Endpoint {
  readonly clockMs: number;
  readonly localMs: number;
  timer(delayLocalMs: number, work: () => void): void;
  readonly memory: {
    /** Copies pages, when this node may read them; undefined: they are lost. */
    capture(run: PageRun, then: (captured: CapturedValues | undefined) => void): void;
    holds(captured: CapturedValues): boolean;
    found(event: Extract<Action, { type: 'found' }>): void;
    notFound(event: Extract<Action, { type: 'not-found' }>): void;
    /** A page is about to be looked for in the store. */
    lookedFor(page: number, lostVersion: number): void;
  };
}

export class BackingPart {
  private readonly node: Outside;
  private readonly world: Surroundings;
  private readonly core: Backing;
  private readonly syncs = new Map<number, { run: PageRun; done: Synced }>();
  /** By page: what was captured last. */
  private readonly values = new Map<number, number>();
  private lastSync = 0;
  private readonly alarm: Alarm;

  constructor(world: Surroundings, node: Outside) {
    this.node = node;
    this.world = world;
    this.alarm = new Alarm(node, () => this.perform(this.core.tick(node.clockMs)));
    this.core = world.machines.backing({
      chunkPages: CHUNK_PAGES,
      holds: (captured) => node.memory.holds(captured),
    });
  }

  /** Stores pages as they are when their turn comes. */
  sync(run: PageRun, done: Synced): void {
    const sync = ++this.lastSync;
    this.syncs.set(sync, { run, done });
    this.step({ type: 'sync', sync, run });
  }

  /** Brings pages back that are LOST at a version. */
  fetch(run: PageRun, lostVersion: number): void {
    const { layout } = this.world;
    for (let i = 0; i < run.pageCount; i++)
      this.node.memory.lookedFor(layout.pageOf(run.dataspace, run.firstPage + i), lostVersion);
    const { dataspace } = run;
    this.step({ type: 'fetch', dataspace, name: String(dataspace), run, lostVersion });
  }

  private step(event: Event): void {
    this.perform(this.core.step(event, this.node.clockMs));
  }

  private perform(actions: readonly Action[]): void {
    for (const action of actions) this.performOne(action);
    this.alarm.set(this.core.nextMs ?? Number.POSITIVE_INFINITY);
  }

  private performOne(action: Action): void {
    switch (action.type) {
      case 'capture':
        this.capture(action);
        return;
      case 'put':
        this.put(action);
        return;
      case 'synced': {
        const { run, done } = this.take(action.sync);
        done(this.valuesOf(run));
        return;
      }
      case 'not-synced':
        this.take(action.sync).done(undefined);
        return;
      case 'get':
        this.get(action);
        return;
      case 'found':
        this.node.memory.found(action);
        return;
      case 'not-found':
        this.node.memory.notFound(action);
        return;
      case 'log':
        return;
      default:
        unreachable(action);
    }
  }

  private take(sync: number): { run: PageRun; done: Synced } {
    const known = this.syncs.get(sync)!;
    this.syncs.delete(sync);
    return known;
  }

  private pagesOf({ dataspace, firstPage, pageCount }: PageRun): number[] {
    return Array.from({ length: pageCount }, (_, i) => this.world.layout.pageOf(dataspace, firstPage + i));
  }

  // Syncs of a dataspace come one after the other: what was captured last is what this one stored.
  private valuesOf(run: PageRun): ReadonlyMap<number, number> {
    return new Map(this.pagesOf(run).map((page) => [page, this.values.get(page)!]));
  }

  private capture({ attempt, run }: Extract<Action, { type: 'capture' }>): void {
    this.node.memory.capture(run, (captured) => {
      if (captured === undefined) {
        this.step({ type: 'failed', attempt, error: new Error('a page is lost') });
        return;
      }
      this.pagesOf(run).forEach((page, i) => {
        this.values.set(page, captured.values[i]!);
      });
      this.step({ type: 'captured', attempt, captured });
    });
  }

  private put({ attempt, captured }: Extract<Action, { type: 'put' }>): void {
    const { stores, random, duties, history, layout } = this.world;
    const { run, values, versions } = captured;
    history.note(this.world, this.node.name, 'stores', run, { values, versions });
    const needed = duties.awaitBothStores ? stores : [random.pick(stores)];
    const serial = this.world.nextNumber();
    const write = (copy: StorePart) => {
      values.forEach((value, i) => {
        const page = layout.pageOf(run.dataspace, run.firstPage + i);
        copy.put(this.node.name, serial, page, { value, order: versions[i]! });
      });
    };
    this.askAll(needed, write, (answers) => {
      if (answers === undefined)
        this.step({ type: 'failed', attempt, error: new Error('the store is away') });
      else this.step({ type: 'stored', attempt });
    });
  }

  private get({ get, run }: Extract<Action, { type: 'get' }>): void {
    const { stores, machines, history } = this.world;
    const pages = this.pagesOf(run);
    const read = ({ store }: StorePart) => pages.map((page) => store.get(page));
    this.askAll(stores, read, (answers) => {
      if (answers === undefined) {
        this.step({ type: 'unread', get, passes: true, reason: 'the store is away' });
        return;
      }
      const found = pages.map((_, i) => machines.pick(answers.map((answer) => answer[i])));
      history.note(this.world, this.node.name, 'reads back', run, { found });
      this.step({ type: 'read', get, pages: found.map((stored, i) => readPage(run.firstPage + i, stored)) });
    });
  }

  // Says it to each copy until each has answered, or for too long. A copy does it once: it knows the request.
  private askAll<T>(
    copies: readonly StorePart[],
    work: (copy: StorePart) => T,
    then: (all: T[] | undefined) => void,
  ): void {
    const { node, world } = this;
    const { network } = world;
    const { generation } = node;
    const done = new Map<StorePart, T>();
    const answered = new Set<StorePart>();
    let tries = 0;
    let over = false;
    const end = (all: T[] | undefined): void => {
      if (over) return;
      over = true;
      then(all);
    };
    const hear = (copy: StorePart): void => {
      if (!network.passes(copy.place, node.place) || answered.has(copy)) return;
      answered.add(copy);
      if (answered.size === copies.length) end(copies.map((each) => done.get(each)!));
    };
    const ask = (): void => {
      tries++;
      for (const copy of copies) {
        if (answered.has(copy)) continue;
        copy.after(network.delayMs(), () => {
          if (!network.passes(node.place, copy.place)) return;
          if (!done.has(copy)) done.set(copy, work(copy));
          node.answered(generation, network.delayMs(), () => hear(copy));
        });
      }
      node.after(AGAIN_MS, () => {
        if (over) return;
        if (tries >= TRIES_MAX) end(undefined);
        else ask();
      });
    };
    ask();
  }
}

function readPage(page: number, stored: StoredPage | undefined): ReadPage<PageValues> {
  if (stored === undefined) return { page, state: 'NEVER_STORED' };
  const { value, order } = stored;
  return { page, state: 'INTACT', version: versionOfStored(order), bytes: new PageValues([value], true) };
}
