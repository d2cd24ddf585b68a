// Dataspaces that a program has open, in the thread of its pmap: each in a vmspace of its own, as if it were a process that maps
// this one dataspace and nothing else. So what breaks one leaves the others, and locks are held by whoever opened it.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Errno } from '@odonata/pmap/errno.ts';
import { type PendingWait, type Pmap, PmapError, type Space } from '@odonata/pmap/pmap-interface.ts';
import { collectGarbage } from '@odonata/rpc/heap.ts';
import { BROKEN, type LockMode, type LockRange, type Opened, type OpenRequest } from './pmap-messages.ts';

const WASM_PAGE_BYTES = 65_536;
/** A WebAssembly.Memory has no more. */
const MEMORY_BYTES_MAX = 2 ** 32;
/** Opened at a time by one program: each has two descriptors. */
export const OPENED_MAX = 256;
/**
 * What was closed leaves little on the heap, so V8 sees no reason to collect, but what that little holds is large: gigabytes of
 * address space.
 */
const COLLECT_EVERY = 32;
/** Waits under way. */
const WAITS_MAX = 4_096;

type OnBroken = (handle: number, signal: string, reason: string) => void;

export class MappedDataspaces {
  private readonly pmap: Promise<Pmap>;
  private readonly onBroken: OnBroken;
  private readonly opened = new Map<number, MappedDataspace>();
  private readonly waits = new Map<number, PendingWait>();
  private opening = 0;
  private last = 0;
  private closed = 0;
  private ended: { signal: string; reason: string } | undefined;

  constructor(pmap: Promise<Pmap>, onBroken: OnBroken) {
    this.pmap = pmap;
    this.onBroken = onBroken;
  }

  async open(request: OpenRequest): Promise<Opened> {
    if (this.opened.size + this.opening >= OPENED_MAX)
      throw new PmapError(
        Errno.mfile,
        `${OPENED_MAX} dataspaces are the most that one program may have open`,
      );
    this.opening++;
    try {
      const handle = ++this.last;
      const pmap = await this.pmap;
      const one = await MappedDataspace.open(pmap, request, (signal, reason) => {
        this.onBroken(handle, signal, reason);
      });
      this.opened.set(handle, one);
      if (this.ended !== undefined) one.breakDown(this.ended.signal, this.ended.reason);
      const { pid, lease } = one.space;
      return { handle, pid, lease, sizeBytes: one.sizeBytes, readOnly: one.readOnly };
    } finally {
      this.opening--;
    }
  }

  /** @throws PmapError */
  get(handle: number): MappedDataspace {
    const one = this.opened.get(handle);
    if (one === undefined) throw new PmapError(Errno.badf, 'it was closed');
    return one;
  }

  async wait(handle: number, offset: number, timeoutMs: bigint): Promise<number> {
    if (this.waits.size >= WAITS_MAX)
      throw new PmapError(Errno.nomem, `${WAITS_MAX} waits of this program are under way`);
    const pending = await this.get(handle).space.wait(offset, timeoutMs);
    const wait = ++this.last;
    this.waits.set(wait, pending);
    return wait;
  }

  async waited(wait: number): Promise<boolean> {
    try {
      return (await this.waits.get(wait)?.woken) ?? false;
    } finally {
      this.waits.delete(wait);
    }
  }

  cancelWait(wait: number): void {
    this.waits.get(wait)?.cancel();
    this.waits.delete(wait);
  }

  async close(handle: number): Promise<void> {
    const one = this.opened.get(handle);
    this.opened.delete(handle);
    await one?.close();
    if (one !== undefined && ++this.closed % COLLECT_EVERY === 0) setImmediate(collectGarbage);
  }

  /** What is mapped is no more, at once. */
  breakAll(signal: string, reason: string): void {
    this.ended ??= { signal, reason };
    for (const one of this.opened.values()) one.breakDown(signal, reason);
  }

  async closeAll(): Promise<void> {
    await Promise.allSettled([...this.opened.keys()].map((handle) => this.close(handle)));
  }
}

class MappedDataspace {
  readonly space: Space;
  readonly sizeBytes: bigint;
  readonly readOnly: boolean;
  private readonly id: bigint;
  private readonly request: OpenRequest;
  private readonly lengthBytes: number;
  private readonly onBroken: (signal: string, reason: string) => void;
  private mapping: Promise<SharedArrayBuffer> | undefined;
  private broken: string | undefined;

  static async open(
    pmap: Pmap,
    request: OpenRequest,
    onBroken: (signal: string, reason: string) => void,
  ): Promise<MappedDataspace> {
    const { name, sizeBytes: wanted, exclusive, durable } = request;
    // How large it is tells how much memory a vmspace needs to map it.
    const looking = await pmap.createSpace({ ...spaceOf(0), onFatal: () => {} });
    try {
      const found = await looking.open(name, wanted, { create: wanted > 0n, exclusive, durable });
      const lengthBytes = lengthOf(request, found.sizeBytes);
      let made: MappedDataspace | undefined;
      let early: [string, string] | undefined;
      const onFatal = (signal: string, reason: string) => {
        early = [signal, reason];
        made?.breakDown(signal, reason);
      };
      const space = await pmap.createSpace({ ...spaceOf(lengthBytes), onFatal });
      try {
        const opened = await space.open(name, found.sizeBytes, {
          ...{ create: false, exclusive: false },
          durable: false,
        });
        made = new MappedDataspace(space, request, { ...opened, lengthBytes }, onBroken);
      } catch (error) {
        await space.destroy();
        throw error;
      }
      if (early !== undefined) made.breakDown(...early);
      return made;
    } finally {
      void looking.destroy().catch(() => {});
    }
  }

  private constructor(
    space: Space,
    request: OpenRequest,
    about: { id: bigint; sizeBytes: bigint; readOnly?: boolean; lengthBytes: number },
    onBroken: (signal: string, reason: string) => void,
  ) {
    this.space = space;
    this.request = request;
    this.id = about.id;
    this.sizeBytes = about.sizeBytes;
    this.readOnly = about.readOnly === true;
    this.lengthBytes = about.lengthBytes;
    this.onBroken = onBroken;
  }

  /** One mapping, however often it is asked for. */
  map(writable: boolean): Promise<SharedArrayBuffer> {
    this.mapping ??= this.mapOnce(writable && !this.readOnly);
    return this.mapping;
  }

  private async mapOnce(writable: boolean): Promise<SharedArrayBuffer> {
    this.expectWhole();
    await this.space.map(0, this.lengthBytes, this.id, this.request.offset, writable);
    this.expectWhole();
    return this.space.memory.buffer as unknown as SharedArrayBuffer;
  }

  private expectWhole(): void {
    if (this.broken !== undefined) throw new PmapError(Errno.io, this.broken);
  }

  async lock({ begin, endInclusive }: LockRange, mode: LockMode, timeoutMs: bigint): Promise<void> {
    this.expectWhole();
    try {
      await this.space.lock(this.id, begin, endInclusive, mode, timeoutMs);
    } catch (error) {
      if (!(error instanceof PmapError) || error.errno !== Errno.timedout) throw error;
      const what = `bytes ${begin} to ${endInclusive} of dataspace ${this.request.name}`;
      throw new PmapError(
        Errno.timedout,
        `${what} were not to be had within ${timeoutMs} ms: others hold locks there`,
      );
    }
  }

  async unlock({ begin, endInclusive }: LockRange): Promise<void> {
    // Given back with all else.
    if (this.broken !== undefined) return;
    await this.space.unlock(this.id, begin, endInclusive);
  }

  async sync(offset: bigint, length: bigint): Promise<void> {
    await this.space.sync(this.id, offset, length);
  }

  async wake(offset: number, count: number): Promise<number> {
    return await this.space.wake(offset, count);
  }

  /** As the end of a process: nothing of it is seen by others, or sees them, from here on. */
  breakDown(signal: string, reason: string): void {
    if (this.broken !== undefined) return;
    this.broken = reason;
    // First: whoever read what was put in the place of a page finds this.
    Atomics.store(this.request.state, 0, BROKEN);
    this.space.detach();
    this.onBroken(signal, reason);
    void this.space.destroy().catch(() => {});
  }

  async close(): Promise<void> {
    this.broken ??= 'it was closed';
    Atomics.store(this.request.state, 0, BROKEN);
    this.space.detach();
    await this.space.destroy();
  }
}

function spaceOf(lengthBytes: number) {
  const pages = Math.ceil(lengthBytes / WASM_PAGE_BYTES);
  return {
    ...{ pid: 0n, initialPages: pages, maximumPages: pages, besideBytes: 0 },
    // It can map no more than that.
    quotaBytes: Math.max(pages, 1) * WASM_PAGE_BYTES,
  };
}

/** Whole pages: what is mapped ends where a page does. @throws PmapError */
function lengthOf({ name, offset, length }: OpenRequest, sizeBytes: bigint): number {
  const page = BigInt(PAGE_BYTES);
  if (offset % page !== 0n || offset >= sizeBytes)
    throw new PmapError(
      Errno.inval,
      `offset ${offset}: a multiple of ${PAGE_BYTES} within dataspace ${name}`,
    );
  const bytes = length === 0n ? sizeBytes - offset : length;
  if (offset + bytes > sizeBytes)
    throw new PmapError(
      Errno.inval,
      `dataspace ${name} has ${sizeBytes} bytes; ${offset} + ${bytes} go past its end`,
    );
  if (bytes > MEMORY_BYTES_MAX)
    throw new PmapError(
      Errno.inval,
      `dataspace ${name} has ${sizeBytes} bytes, and ${MEMORY_BYTES_MAX} at a time can be mapped: open it with an offset and a length`,
    );
  return Number(((bytes + page - 1n) / page) * page);
}
