// What each person has of the vmspaces made by hand on a node, and may have. Each limit says who hit it and how to raise it.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import type { Limits } from '@odonata/rpc/limits.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import type { Arena } from './arena.ts';
import type { OwnerMemory } from './handmade.ts';

/** Defaults of the settings: of one person, and of a node. */
export const HANDMADE_OF_ONE = 256;
export const HANDMADE_MAX = 4_096;
export const HANDMADE_BYTES_OF_ONE = 64 << 20;
/** Where the settings end: of one person and of a node. */
export const HANDMADE_LIMIT = 1_000_000;

/** Map entries of one vmspace. */
export const HANDMADE_ENTRIES_MAX = 1_024;
/** Of all vmspaces of a person, and of a node; more where they may have many vmspaces: so many of each. */
export const ENTRIES_OF_ONE = 262_144;
export const ENTRIES_OF_NODE = 4_194_304;
const ENTRIES_EACH = 4;

/** Of the frames of a node: private memory of all of them. */
const FRAMES_PART = 1 / 8;

export interface OwnerNode {
  readonly node: string;
  readonly limits: Limits;
  readonly arena: Arena;
  readonly frames: { readonly total: number };
  /** Vmspaces, and bytes of private memory, of one person; vmspaces of all. */
  readonly ofOneMax: number;
  readonly bytesOfOneMax: number;
  readonly max: number;
  /** Of all of them. */
  readonly count: number;
  readonly entries: number;
  expectThawed(): void;
}

export class Owner implements OwnerMemory {
  readonly name: string;
  count = 0;
  pages = 0;
  entries = 0;
  /** Their vmspaces that have a name: ids. */
  readonly byName = new Map<string, bigint>();
  private readonly of: OwnerNode;

  constructor(name: string, of: OwnerNode) {
    this.name = name;
    this.of = of;
  }

  get arena(): Arena {
    return this.of.arena;
  }

  get who(): string {
    return `user:${this.name}`;
  }

  /** @throws RpcError RESOURCE_EXHAUSTED */
  expectVmspaces(more: number): void {
    const { limits, node, ofOneMax, max, count } = this.of;
    if (this.count + more > ofOneMax)
      throw limits.hit(
        'handmade-vmspaces',
        this.who,
        `they have ${this.count} vmspaces made by hand, and ${more} more are over ${ofOneMax}, the most of one person on ${node}; ` +
          'destroy some, or raise it with --vmspaces of pmapd (vkctl up --node-vmspaces)',
      );
    if (count + more > max)
      throw limits.hit(
        'handmade-vmspaces-node',
        this.who,
        `${node} has ${count} vmspaces made by hand, and ${more} more are over ${max}, the most of a node; ` +
          'destroy some, ask another node, or raise it with --node-vmspaces of pmapd (and of vkctl up)',
      );
  }

  expectEntries(shown: string, has: number, each: number, vmspaces = 1): void {
    const { limits, node, ofOneMax, max, entries } = this.of;
    if (has + each > HANDMADE_ENTRIES_MAX)
      throw limits.hit(
        'handmade-entries',
        this.who,
        `${shown} has ${has} map entries, and ${each} more are over ${HANDMADE_ENTRIES_MAX}, the most of one made by hand; unmap some, or map longer ranges`,
      );
    const more = each * vmspaces;
    const theirs = Math.max(ENTRIES_OF_ONE, ENTRIES_EACH * ofOneMax);
    if (this.entries + more > theirs)
      throw limits.hit(
        'handmade-entries-person',
        this.who,
        `their vmspaces made by hand have ${this.entries} map entries, of ${theirs} of one person on ${node}; ` +
          `unmap some, or map longer ranges; it is ${ENTRIES_EACH} times --vmspaces of pmapd where that is more`,
      );
    const most = Math.max(ENTRIES_OF_NODE, ENTRIES_EACH * max);
    if (entries + more > most)
      throw limits.hit(
        'handmade-entries-node',
        this.who,
        `the vmspaces made by hand of ${node} have ${entries} map entries, of ${most}; unmap some, or ask another node; ` +
          `it is ${ENTRIES_EACH} times --node-vmspaces of pmapd where that is more`,
      );
  }

  counted(entries: number): void {
    this.entries += entries;
  }

  take(): number {
    const { limits, node, frames, bytesOfOneMax, arena } = this.of;
    if (this.pages * PAGE_BYTES >= bytesOfOneMax)
      throw limits.hit(
        'handmade-memory',
        this.who,
        `their vmspaces made by hand have ${bytesOfOneMax} bytes of private memory, the most of one person on ${node}; ` +
          'free some (FREE, munmap, destroy), or raise it with --vmspace-bytes of pmapd',
      );
    const slot = arena.pages < frames.total * FRAMES_PART ? arena.take() : undefined;
    if (slot === undefined)
      throw limits.hit(
        'handmade-frames',
        this.who,
        `${node} has no frame left for vmspaces made by hand, which may have an eighth of its frames; ` +
          'vkctl up --node-memory gives a node more',
      );
    this.pages++;
    return slot;
  }

  give(slot: number): void {
    this.pages--;
    this.arena.give(slot);
  }

  expectThawed(): void {
    this.of.expectThawed();
  }
}

export const handsOver = (node: string): RpcError =>
  tryAgain(Code.Unavailable, `another pmap manager of ${node} goes on with its vmspaces`);
