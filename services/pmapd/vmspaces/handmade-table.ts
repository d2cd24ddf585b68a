// The vmspaces of a node that people made by hand, by whom, and what each person may have of them.
//
// Whose it is says the certificate of who made it, so any connection of that person goes on with it. It ends with `destroy`, or
// when nobody used it for as long as it was made for, or with this pmap manager: another one that takes its place has none.

import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Limits } from '@odonata/rpc/limits.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { Arena, type ArenaFrames } from './arena.ts';
import { HANDMADE_ENTRIES_MAX, Handmade, type OwnerMemory } from './handmade.ts';

/** Of a node, and of all people. */
export const HANDMADE_MAX = 4_096;
/** Defaults of the settings. */
export const HANDMADE_OF_ONE = 256;
export const HANDMADE_BYTES_OF_ONE = 64 << 20;
/** Of the frames of a node: private memory of all of them. */
const FRAMES_PART = 1 / 8;

const IDLE_MS = 600_000;
export const IDLE_MIN_MS = 1_000;
export const HANDMADE_BYTES_MAX = 2 ** 47;

export interface HandmadeOptions {
  readonly node: string;
  readonly memoryDir: string;
  readonly frames: ArenaFrames & { readonly total: number };
  readonly limits: Limits;
  /** Of one person; missing: the default. */
  readonly ofOneMax?: number | undefined;
  readonly bytesOfOneMax?: number | undefined;
  nextId(): bigint;
  /** It was not used for too long, and has ended. */
  onIdle(vmspace: Handmade, reason: string): void;
  /** Somebody watches it. */
  isWatched(id: bigint): boolean;
}

class Owner implements OwnerMemory {
  readonly name: string;
  readonly arena: Arena;
  count = 0;
  pages = 0;
  private readonly o: HandmadeOptions;

  constructor(name: string, arena: Arena, options: HandmadeOptions) {
    this.name = name;
    this.arena = arena;
    this.o = options;
  }

  get who(): string {
    return `user:${this.name}`;
  }

  take(): number {
    const { limits, node, frames, bytesOfOneMax = HANDMADE_BYTES_OF_ONE } = this.o;
    if (this.pages * PAGE_BYTES >= bytesOfOneMax)
      throw limits.hit(
        'handmade-memory',
        this.who,
        `their vmspaces made by hand have ${bytesOfOneMax} bytes of private memory, the most of one person on ${node}; ` +
          'free some (FREE, munmap, destroy), or raise it with --vmspace-bytes of pmapd',
      );
    const slot = this.arena.pages < frames.total * FRAMES_PART ? this.arena.take() : undefined;
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

  refuseEntries(shown: string): never {
    throw this.o.limits.hit(
      'handmade-entries',
      this.who,
      `${shown} has ${HANDMADE_ENTRIES_MAX} map entries, the most of one made by hand; unmap some, or map longer ranges`,
    );
  }
}

export class HandmadeVmspaces {
  private readonly o: HandmadeOptions;
  private readonly byId = new Map<bigint, Handmade>();
  private readonly owners = new Map<string, Owner>();
  private readonly arena: Arena;

  constructor(options: HandmadeOptions) {
    this.o = options;
    this.arena = new Arena(options.memoryDir, options.frames);
  }

  get(id: bigint): Handmade | undefined {
    return this.byId.get(id);
  }

  get count(): number {
    return this.byId.size;
  }

  get privatePages(): number {
    return this.arena.pages;
  }

  all(): Iterable<Handmade> {
    return this.byId.values();
  }

  /** @throws RpcError ALREADY_EXISTS, INVALID_ARGUMENT, RESOURCE_EXHAUSTED */
  create(ownerName: string, about: { name: string; sizeBytes: number; idleMs: number }): Handmade {
    const { limits, node, ofOneMax = HANDMADE_OF_ONE } = this.o;
    const { name } = about;
    const owner = this.owners.get(ownerName) ?? new Owner(ownerName, this.arena, this.o);
    if (name !== '')
      for (const { id, owner: of, name: taken } of this.byId.values())
        if (of === ownerName && taken === name)
          throw new RpcError(
            Code.AlreadyExists,
            `${ownerName} has a vmspace "${name}" on ${node} already: ${id}`,
          );
    if (owner.count >= ofOneMax)
      throw limits.hit(
        'handmade-vmspaces',
        owner.who,
        `they have ${ofOneMax} vmspaces made by hand, the most of one person on ${node}; ` +
          'destroy some, or raise it with --vmspaces of pmapd',
      );
    if (this.byId.size >= HANDMADE_MAX)
      throw limits.hit(
        'handmade-vmspaces-node',
        owner.who,
        `${node} has ${HANDMADE_MAX} vmspaces made by hand, the most of a node; destroy some, or ask another node`,
      );
    const vmspace = new Handmade(
      {
        ...{ id: this.o.nextId(), owner: ownerName, name, lastUsedMs: monotonicMs() },
        sizeBytes: about.sizeBytes || HANDMADE_BYTES_MAX,
        idleMs: about.idleMs || IDLE_MS,
      },
      owner,
    );
    owner.count++;
    this.owners.set(ownerName, owner);
    this.byId.set(vmspace.id, vmspace);
    return vmspace;
  }

  destroy(vmspace: Handmade): void {
    if (!this.byId.delete(vmspace.id)) return;
    vmspace.end();
    const owner = this.owners.get(vmspace.owner)!;
    owner.count--;
    if (owner.count === 0) this.owners.delete(vmspace.owner);
  }

  /** Ends those that nobody uses: one look for all. */
  look(nowMs: number): void {
    for (const vmspace of [...this.byId.values()]) {
      if (vmspace.busy > 0 || this.o.isWatched(vmspace.id)) vmspace.lastUsedMs = nowMs;
      if (nowMs - vmspace.lastUsedMs < vmspace.idleMs) continue;
      this.destroy(vmspace);
      this.o.onIdle(
        vmspace,
        `${vmspace.shown} of ${vmspace.owner} ended: nobody used it for ${vmspace.idleMs} ms; idle_ms of VmspaceCreate says how long it may be`,
      );
    }
  }

  close(): void {
    for (const vmspace of [...this.byId.values()]) this.destroy(vmspace);
    this.arena.close();
  }
}
