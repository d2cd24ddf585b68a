// A pmap without paging, for tests: plain shared memory, and dataspaces, locks and waits within one OS process.
// Maps of dataspaces are only recorded: plain memory cannot show one page in two places.

import {
  type PendingWait,
  type Pmap,
  PmapError,
  type Space,
  type SpaceOptions,
} from '@odonata/pmap/pmap-interface.ts';
import { createLease } from '@odonata/pmap/shared-lease.ts';

const ANSWER_MS = 2;
const EEXIST = 20;
const EINVAL = 28;
const ENOENT = 44;
const ENOTSUP = 58;
const ETIMEDOUT = 73;

export interface PlainSpace extends Space {
  readonly options: SpaceOptions;
  detached: boolean;
  destroyed: boolean;
  readonly maps: { guestAddress: number; lengthBytes: number; dataspace: bigint; writable: boolean }[];
}

export class PlainPmap implements Pmap {
  readonly spaces: PlainSpace[] = [];
  /** Of all of them: a deadline. */
  readonly lease = createLease();
  readonly #dataspaces = new Map<string, { id: bigint; sizeBytes: bigint }>();
  readonly #locked = new Set<bigint>();
  readonly #waiters: { address: number; wake: (woken: boolean) => void }[] = [];

  async createSpace(options: SpaceOptions): Promise<Space> {
    const { initialPages: initial, maximumPages: maximum } = options;
    const memory = new WebAssembly.Memory({ initial, maximum, shared: true });
    options.onMemory?.(memory, this.lease);
    // As where a manager is asked: a thread that began before would be seen to.
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    const maps: PlainSpace['maps'] = [];
    const space: PlainSpace = {
      pid: options.pid,
      memory,
      lease: this.lease,
      options,
      maps,
      detached: false,
      destroyed: false,
      detach: () => {
        space.detached = true;
      },
      destroy: async (unused) => {
        await unused;
        if (!space.detached) throw new Error('destroyed before it was detached');
        space.destroyed = true;
      },
      residentPages: () => initial * 16,
      keepBeside: (bytes) => bytes <= options.quotaBytes,
      sizeOf: (dataspace) => {
        for (const { id, sizeBytes } of this.#dataspaces.values()) if (id === dataspace) return sizeBytes;
        throw new PmapError(ENOENT, 'not open');
      },
      open: async (name, sizeBytes, { create, exclusive }) => {
        const there = this.#dataspaces.get(name);
        if (there === undefined) {
          if (!create) throw new PmapError(ENOENT, `no dataspace ${name}`);
          const made = { id: BigInt(this.#dataspaces.size + 1), sizeBytes };
          this.#dataspaces.set(name, made);
          return made;
        }
        const otherSize = sizeBytes !== 0n && sizeBytes !== there.sizeBytes;
        if (exclusive) throw new PmapError(EEXIST, `${name} exists`);
        if (otherSize) throw new PmapError(EINVAL, `${name} exists with another size`);
        return there;
      },
      remove: async (name) => {
        if (!this.#dataspaces.delete(name)) throw new PmapError(ENOENT, `no dataspace ${name}`);
      },
      nameRange: async () => {},
      map: async (guestAddress, lengthBytes, dataspace, _offset, writable) => {
        maps.push({ guestAddress, lengthBytes, dataspace, writable });
      },
      unmap: async (guestAddress) => {
        const i = maps.findIndex((map) => map.guestAddress === guestAddress);
        if (i < 0) throw new PmapError(EINVAL, 'not mapped');
        maps.splice(i, 1);
      },
      lock: async (dataspace) => {
        if (this.#locked.has(dataspace)) throw new PmapError(ETIMEDOUT, 'locked');
        this.#locked.add(dataspace);
      },
      barrier: async () => {},
      unlock: async (dataspace) => {
        if (!this.#locked.delete(dataspace)) throw new PmapError(EINVAL, 'not locked');
      },
      sync: async () => {
        throw new PmapError(ENOTSUP, 'there is no backing store');
      },
      wait: async (guestAddress, timeoutMs) => this.#wait(guestAddress, timeoutMs),
      wake: async (guestAddress, count) => this.#wake(guestAddress, count),
    };
    this.spaces.push(space);
    return space;
  }

  async createFile(): Promise<never> {
    throw new PmapError(ENOTSUP, 'there are no frames');
  }

  /** Waits that are registered and have no end yet. */
  get sleepers(): number {
    return this.#waiters.length;
  }

  async close(): Promise<void> {}

  #wait(address: number, timeoutMs: bigint): PendingWait {
    let cancel = (): void => {};
    const woken = new Promise<boolean>((resolve) => {
      const entry = { address, wake: resolve };
      this.#waiters.push(entry);
      const timer =
        timeoutMs < 0n
          ? undefined
          : setTimeout(() => this.#waiters.includes(entry) && end(false), Number(timeoutMs));
      const end = (how: boolean): void => {
        const i = this.#waiters.indexOf(entry);
        if (i >= 0) this.#waiters.splice(i, 1);
        resolve(how);
      };
      cancel = () => {
        clearTimeout(timer);
        end(false);
      };
    });
    return { woken, cancel };
  }

  #wake(address: number, count: number): number {
    const chosen = this.#waiters.filter((waiter) => waiter.address === address).slice(0, count);
    for (const waiter of chosen) {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.wake(true);
    }
    return chosen.length;
  }
}
