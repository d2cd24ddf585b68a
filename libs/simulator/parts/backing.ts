// Durable dataspaces of a node, as services/pmapd/backing.ts has them: what is synced goes to the copies of the store, and
// what was lost comes back from there. Syncs of one dataspace come one after the other.

import type { Captured } from '@odonata/coherency/node/operations.ts';
import type { StoredPage } from '../durable-store.ts';
import type { World } from '../world.ts';
import type { PmapPart } from './pmap.ts';
import type { StorePart } from './store.ts';

/** What a copy does not answer is said again. */
const AGAIN_MS = 40;
/** Whose page is lost more often than this while it syncs it gives up. */
const TRIES_MAX = 20;

/** @param value undefined: it failed, and nothing is promised */
type Synced = (value: number | undefined) => void;

interface Sync {
  page: number;
  done: Synced;
}

export class Backing {
  private readonly node: PmapPart;
  private readonly world: World;
  /** By dataspace; the first is under way. */
  private readonly syncs = new Map<bigint, Sync[]>();
  private readonly fetching = new Set<string>();

  constructor(node: PmapPart) {
    this.node = node;
    this.world = node.world;
  }

  /** Stores a page as it is when its turn comes. */
  sync(page: number, done: Synced): void {
    const dataspace = this.world.layout.dataspaceOf(page);
    const queue = this.syncs.get(dataspace) ?? [];
    this.syncs.set(dataspace, queue);
    queue.push({ page, done });
    if (queue.length === 1) this.next(queue);
  }

  private next(queue: Sync[]): void {
    const [sync] = queue;
    if (sync === undefined) return;
    this.store(sync.page, TRIES_MAX, (value) => {
      queue.shift();
      sync.done(value);
      this.next(queue);
    });
  }

  private store(page: number, triesLeft: number, done: Synced): void {
    const { memory } = this.node;
    memory.capture(page, (captured) => {
      if (captured === undefined || triesLeft === 0) {
        done(undefined);
        return;
      }
      this.put(page, { value: captured.value, order: captured.versions[0]! }, () => {
        if (this.holds(captured)) done(captured.value);
        else this.store(page, triesLeft - 1, done);
      });
    });
  }

  /** False where the page may have begun anew while it was on its way to the store. */
  private holds(captured: Captured): boolean {
    return !this.world.duties.storeLostAnew || this.node.memory.core.holds(captured);
  }

  private put(page: number, stored: StoredPage, then: () => void): void {
    const { stores, random, duties, history } = this.world;
    history.note(this.world, this.node.name, 'stores', this.world.layout.runOf(page), stored);
    const needed = duties.awaitBothStores ? stores : [random.pick(stores)];
    const work = (copy: StorePart) => copy.store.put(page, stored);
    if (!duties.awaitStored) {
      this.askAll(needed, work, () => {});
      this.node.after(0, then);
    } else this.askAll(needed, work, then);
  }

  /** Brings a page back that is LOST at a version. */
  fetch(page: number, lostVersion: number): void {
    const key = `${page} ${lostVersion}`;
    if (this.fetching.has(key)) return;
    this.fetching.add(key);
    const { stores, machines, layout, history } = this.world;
    const { durability, losses } = this.world;
    const before = { promised: durability.promised(page), wasLost: losses.mayBe(page) };
    this.askAll(
      stores,
      (copy) => copy.store.get(page),
      (found) => {
        this.fetching.delete(key);
        const stored = machines.pick(found);
        history.note(this.world, this.node.name, 'reads back', layout.runOf(page), {
          ...stored,
          lostVersion,
        });
        if (stored === undefined) this.node.memory.failLost(page, lostVersion, before);
        else this.node.memory.takeStored(page, stored, lostVersion);
      },
    );
  }

  // Says it to each copy until each has answered, however long that takes. A copy does it once: it knows the request.
  private askAll<T>(
    copies: readonly StorePart[],
    work: (copy: StorePart) => T,
    then: (all: T[]) => void,
  ): void {
    const { node, world } = this;
    const { network } = world;
    const done = new Map<StorePart, T>();
    const answered = new Set<StorePart>();
    const hear = (copy: StorePart): void => {
      if (!network.passes(copy.place, node.place) || answered.has(copy)) return;
      answered.add(copy);
      if (answered.size === copies.length) then(copies.map((each) => done.get(each)!));
    };
    const ask = (): void => {
      for (const copy of copies) {
        if (answered.has(copy)) continue;
        copy.after(network.delayMs(), () => {
          if (!network.passes(node.place, copy.place)) return;
          if (!done.has(copy)) done.set(copy, work(copy));
          node.after(network.delayMs(), () => hear(copy));
        });
      }
      node.after(AGAIN_MS, () => {
        if (answered.size < copies.length) ask();
      });
    };
    ask();
  }
}
