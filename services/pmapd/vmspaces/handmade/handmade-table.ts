// The vmspaces of a node that people made by hand, by whom, and what each person may have of them.
//
// Whose it is says the certificate of who made it, so any connection of that person goes on with it. It ends with `destroy`, or
// when nobody used it for as long as it was made for, or with this pmap manager; one that takes its place goes on with it.

import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Limits } from '@odonata/rpc/limits.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { Entry } from '../address-space.ts';
import { Arena, type ArenaFrames } from './arena.ts';
import { Counted } from './counted.ts';
import { Handmade } from './handmade.ts';
import {
  HANDMADE_BYTES_OF_ONE,
  HANDMADE_MAX,
  HANDMADE_OF_ONE,
  handsOver,
  Owner,
  type OwnerNode,
} from './owner.ts';
import { Store } from './store.ts';

const IDLE_MS = 600_000;
export const IDLE_MIN_MS = 1_000;
export const HANDMADE_BYTES_MAX = 2 ** 47;
/** That end in one look for being idle; and of those each an event of its own. */
const IDLE_A_LOOK = 10_000;
const IDLE_EVENTS = 16;

export interface HandmadeOptions {
  readonly node: string;
  readonly memoryDir: string;
  readonly frames: ArenaFrames & { readonly total: number };
  readonly limits: Limits;
  /** Missing: the default. */
  readonly max?: number | undefined;
  /** Of one person; missing: the default. */
  readonly ofOneMax?: number | undefined;
  readonly bytesOfOneMax?: number | undefined;
  nextId(): bigint;
  /** It was not used for too long, and has ended. No reason: so many did that this one is no event. */
  onIdle(vmspace: { id: bigint; owner: string }, reason?: string): void;
  onManyIdle(reason: string): void;
  /** Those that somebody watches, of all kinds. */
  watched(): Iterable<bigint>;
}

/** What each of many maps: in the order of addresses, each so much further in its dataspace than the one before. */
export interface ManyEntries {
  readonly entries: readonly Entry[];
  readonly stepBytes: readonly number[];
}

export class HandmadeVmspaces implements OwnerNode {
  readonly node: string;
  readonly limits: Limits;
  readonly frames: { readonly total: number };
  readonly ofOneMax: number;
  readonly bytesOfOneMax: number;
  readonly max: number;
  readonly arena: Arena;
  readonly store = new Store();
  readonly owners = new Counted<Owner>(({ name }) => name);
  private readonly o: HandmadeOptions;
  private frozen = false;

  constructor(options: HandmadeOptions) {
    this.o = options;
    const { node, limits, frames, memoryDir } = options;
    [this.node, this.limits, this.frames] = [node, limits, frames];
    this.max = options.max ?? HANDMADE_MAX;
    this.ofOneMax = options.ofOneMax ?? HANDMADE_OF_ONE;
    this.bytesOfOneMax = options.bytesOfOneMax ?? HANDMADE_BYTES_OF_ONE;
    this.arena = new Arena(memoryDir, frames, this.store.slots);
  }

  get(id: bigint): Handmade | undefined {
    const row = this.store.ids.get(Number(id));
    return row === undefined ? undefined : this.at(row);
  }

  private at(row: number): Handmade {
    return new Handmade(this.store, row, this.ownerAt(row));
  }

  private ownerAt(row: number): Owner {
    return this.owners.get(this.store.spaces.owner.get(row))!;
  }

  get count(): number {
    return this.store.spaces.size;
  }

  /** Map entries of all. */
  get entries(): number {
    return this.store.entries.size;
  }

  get privatePages(): number {
    return this.arena.pages;
  }

  /** True while a call waits for pages. */
  get isBusy(): boolean {
    return this.store.busy.size > 0;
  }

  /** In the order of ids, from one on; whoever goes on with it has changed nothing meanwhile. */
  *all(from = 0n): Generator<Handmade> {
    for (const [, row] of this.store.ids.from(Number(from))) yield this.at(row);
  }

  /** @throws RpcError ALREADY_EXISTS, INVALID_ARGUMENT, RESOURCE_EXHAUSTED */
  create(ownerName: string, about: { name: string; sizeBytes: number; idleMs: number }): Handmade {
    const { name } = about;
    const owner = this.owner(ownerName);
    const taken = name === '' ? undefined : owner.byName.get(name);
    if (taken !== undefined)
      throw new RpcError(
        Code.AlreadyExists,
        `${ownerName} has a vmspace "${name}" on ${this.node} already: ${taken}`,
      );
    owner.expectVmspaces(1);
    const vmspace = this.at(this.add(owner, about));
    if (name !== '') {
      owner.byName.set(name, vmspace.id);
      this.store.names.set(vmspace.row, name);
    }
    return vmspace;
  }

  /**
   * So many without names, with ids beside each other: all of them, or none.
   * @returns the first id
   * @throws RpcError RESOURCE_EXHAUSTED
   */
  createMany(
    ownerName: string,
    about: { count: number; sizeBytes: number; idleMs: number },
    { entries, stepBytes }: ManyEntries,
  ): { first: bigint; idleMs: number } {
    const owner = this.owner(ownerName);
    const { count } = about;
    owner.expectVmspaces(count);
    owner.expectEntries('each of them', 0, entries.length, count);
    const first = this.add(owner, about);
    for (let i = 0, row = first; i < count; i++) {
      if (i > 0) row = this.add(owner, about);
      this.store.fill(row, entries, (entry) => entries[entry]!.offsetBytes + i * stepBytes[entry]!);
    }
    owner.counted(count * entries.length);
    const { id, idleMs } = this.at(first);
    return { first: id, idleMs };
  }

  private owner(name: string): Owner {
    this.expectThawed();
    const known = this.owners.numberOf(name);
    return known === undefined ? new Owner(name, this) : this.owners.get(known)!;
  }

  private add(owner: Owner, { sizeBytes, idleMs }: { sizeBytes: number; idleMs: number }): number {
    owner.count++;
    return this.store.addSpace({
      ...{ id: this.o.nextId(), owner: this.owners.take(owner), nowMs: monotonicMs() },
      sizeBytes: sizeBytes || HANDMADE_BYTES_MAX,
      idleMs: idleMs || IDLE_MS,
    });
  }

  destroy(vmspace: Handmade): void {
    this.expectThawed();
    const { row, name } = vmspace;
    const number = this.store.spaces.owner.get(row);
    const owner = this.owners.get(number)!;
    vmspace.end();
    if (name !== '') owner.byName.delete(name);
    owner.count--;
    this.owners.give(number);
  }

  /** Ends those that nobody uses: one look for all. */
  look(nowMs: number): void {
    if (this.frozen) return;
    const { spaces, busy } = this.store;
    for (const row of busy.keys()) spaces.lastUsedMs.note(row, nowMs);
    for (const id of this.o.watched()) {
      const row = this.store.ids.get(Number(id));
      if (row !== undefined) spaces.lastUsedMs.note(row, nowMs);
    }
    let ended = 0;
    for (const row of spaces.idleAt(nowMs)) {
      // The rest is for the next look.
      if (ended === IDLE_A_LOOK) break;
      ended++;
      const vmspace = this.at(row);
      const { id, owner, idleMs, shown } = vmspace;
      this.destroy(vmspace);
      const reason = `${shown} of ${owner} ended: nobody used it for ${idleMs} ms; idle_ms of VmspaceCreate says how long it may be`;
      this.o.onIdle({ id, owner }, ended <= IDLE_EVENTS ? reason : undefined);
    }
    if (ended > IDLE_EVENTS)
      this.o.onManyIdle(
        `${ended - IDLE_EVENTS} more vmspaces made by hand ended: nobody used them; idle_ms of VmspaceCreate says how long they may be`,
      );
  }

  // ---- another pmap manager of this node

  /** Nothing changes any more. @see thaw */
  freeze(): void {
    this.frozen = true;
  }

  thaw(): void {
    this.frozen = false;
    for (const table of this.store.tables) table.unfollow();
  }

  /** @throws RpcError UNAVAILABLE */
  expectThawed(): void {
    if (this.frozen) throw handsOver(this.node);
  }

  /** Another pmap manager goes on with all of them. */
  letGo(): void {
    this.frozen = true;
    this.arena.close();
  }

  close(): void {
    if (!this.frozen) this.o.frames.giveBack(this.arena.pages);
    for (const table of this.store.tables) table.clear();
    this.letGo();
  }
}
