// One vmspace on the vkernel's side: the linear memory of a process over its private memory file, with
// shared dataspaces mapped into it.
import { closeSync, fstatSync, openSync } from 'node:fs';
import { LockMode, SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import { addressOf, MapFlag, mmap, Prot, punchHole } from '@odonata/userfault/libc.ts';
import { PAGE_BYTES, Watch } from '@odonata/userfault/userfault.ts';
import { SpaceCells } from './frame-credit.ts';
import { fillForTheEnd } from './last-fill.ts';
import type { PmapParts } from './pmap.ts';
import type {
  Dataspace,
  OpenFlags,
  PendingWait,
  RangeLockMode,
  Space,
  SpaceOptions,
} from './pmap-interface.ts';
import { PmapError } from './pmap-interface.ts';

const WASM_PAGE_BYTES = 65_536;
const SHARED_FIXED = MapFlag.SHARED | MapFlag.FIXED | MapFlag.NORESERVE;
const EMPTY_FIXED = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;

/** Dataspaces that one process may open. */
const OPENED_MAX = 4_096;

const EINVAL = 28;
const EMFILE = 33;
const ENOENT = 44;
const ERRNO_OF: Partial<Record<SyncStatus, number>> = {
  [SyncStatus.TIMED_OUT]: 73,
  [SyncStatus.DEADLOCK]: 16,
  [SyncStatus.NOT_FOUND]: ENOENT,
  [SyncStatus.EXHAUSTED]: 48,
};

interface OpenDataspace {
  file: string;
  sizeBytes: bigint;
}

interface Mapping {
  address: bigint;
  guestAddress: number;
  lengthBytes: number;
  dataspace: bigint;
  offsetBytes: bigint;
  writable: boolean;
}

/** Whole MiB where they are, else what is exact. */
export function shownBytes(bytes: number): string {
  if (bytes >= 2 ** 20) return `${Number((bytes / 2 ** 20).toFixed(1))} MiB`;
  return bytes >= 1024 ? `${Number((bytes / 1024).toFixed(1))} KiB` : `${bytes} bytes`;
}

export class Vmspace implements Space {
  readonly id: bigint;
  readonly memory: WebAssembly.Memory;
  private readonly pmap: PmapParts;
  private readonly o: SpaceOptions;
  private readonly base: bigint;
  private readonly maximumBytes: number;
  private readonly fd: number;
  private readonly cells = new SpaceCells();
  private readonly opened = new Map<bigint, OpenDataspace>();
  private readonly mappings: Mapping[] = [];
  /** Private pages that wait for frames, or for the end. */
  private readonly waiting = new Set<bigint>();
  private ended = false;
  private pmapSilent = false;

  static async create(pmap: PmapParts, options: SpaceOptions): Promise<Vmspace> {
    const maximumBytes = options.maximumPages * WASM_PAGE_BYTES;
    const answer = await pmap.session.ask({
      case: 'vmspaceCreate',
      value: {
        pid: options.pid,
        sizeBytes: BigInt(maximumBytes),
        quotaFrames: BigInt(Math.ceil(options.quotaBytes / PAGE_BYTES)),
      },
    });
    if (answer.case !== 'vmspaceCreated')
      throw new PmapError(EINVAL, `vmspace_create was answered with ${answer.case}`);
    const { vmspace, file } = answer.value;
    try {
      return new Vmspace(pmap, options, vmspace, file);
    } catch (error) {
      // No addresses, or no descriptor: the pmap manager need not keep it.
      pmap.session.send({ case: 'vmspaceDestroy', value: { vmspace } });
      throw error;
    }
  }

  private constructor(pmap: PmapParts, options: SpaceOptions, id: bigint, file: string) {
    const { initialPages, maximumPages } = options;
    this.pmap = pmap;
    this.o = options;
    this.id = id;
    this.memory = new WebAssembly.Memory({
      initial: initialPages,
      maximum: maximumPages,
      shared: true,
    });
    this.base = addressOf(new Uint8Array(this.memory.buffer));
    this.maximumBytes = maximumPages * WASM_PAGE_BYTES;
    this.fd = openSync(file, 'r+');
    try {
      // A module without memory has nothing to lay over it.
      if (this.maximumBytes > 0) this.layOver();
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
  }

  private layOver(): void {
    const { pmap, maximumBytes } = this;
    const presentBytes = this.memory.buffer.byteLength;
    if (presentBytes > 0) mmap(this.base, presentBytes, Prot.READ | Prot.WRITE, SHARED_FIXED, this.fd, 0);
    // What the memory may grow to: V8 opens it by mprotect, and faults keep coming here.
    const rest = maximumBytes - presentBytes;
    if (rest > 0)
      mmap(this.base + BigInt(presentBytes), rest, Prot.NONE, SHARED_FIXED, this.fd, presentBytes);
    pmap.userfault.register(this.base, maximumBytes, Watch.MISSING);
    const quotaPages = Math.ceil(this.o.quotaBytes / PAGE_BYTES);
    pmap.order({
      type: 'space',
      vmspace: this.id,
      base: this.base,
      lengthBytes: maximumBytes,
      quotaPages,
      cells: this.cells.cells,
    });
  }

  residentPages(): number {
    // A memory file's blocks of 512 bytes are its frames.
    return this.ended ? 0 : fstatSync(this.fd).blocks / (PAGE_BYTES / 512);
  }

  overQuota(): string {
    const { shared } = this.cells;
    const of = shared === 0 ? '' : `, ${shownBytes(shared * PAGE_BYTES)} of it shared`;
    return `out of memory: it touched more than its quota of ${shownBytes(this.o.quotaBytes)}${of} (raise it with --memory)`;
  }

  /** What it has of shared memory counts against its quota, too. */
  setShared(pages: number): void {
    this.cells.shared = pages;
  }

  /** A private page waits for frames. */
  waits(address: bigint): void {
    this.waiting.add(address);
  }

  /** The process must end. `address`: the page that waits for it. */
  fatal(signal: string, reason: string, address?: bigint): void {
    if (this.ended || this.cells.dying) {
      if (address !== undefined) this.release(address);
      return;
    }
    if (address !== undefined) this.waiting.add(address);
    // First: it must not go on with a page that is not what it asked for.
    this.o.onFatal(signal, reason);
    this.detach();
  }

  /** The pmap manager fell silent, and what is mapped of shared memory may be somebody else's by now. */
  leaseEnded(): void {
    if (this.mappings.length === 0) return;
    this.pmapSilent = true;
    this.fatal(
      'SIGKILL',
      'the pmap manager of its node does not answer, and its lease of shared memory ended',
    );
  }

  detach(): void {
    if (this.ended || this.cells.dying) return;
    this.cells.die();
    for (const { address, lengthBytes } of this.mappings) {
      mmap(address, lengthBytes, Prot.READ | Prot.WRITE, EMPTY_FIXED, -1, 0);
      this.pmap.userfault.wake(address, lengthBytes);
    }
    for (const address of this.waiting) this.release(address);
    this.waiting.clear();
  }

  private release(address: bigint): void {
    fillForTheEnd(this.pmap.userfault, address);
  }

  async destroy(): Promise<void> {
    if (this.ended) return;
    this.detach();
    const freed = this.free();
    // The process is over all the same; its addresses are kept until the pmap manager lets go of them.
    if (!this.pmapSilent) await freed;
  }

  private async free(): Promise<void> {
    let giveBack = 0n;
    try {
      await this.pmap.session.ask({ case: 'vmspaceDestroy', value: { vmspace: this.id } });
      giveBack = BigInt(this.cells.charged);
    } catch (error) {
      // A pmap manager that went away took the vmspace along.
      if (!(error instanceof PmapError)) throw error;
    }
    this.ended = true;
    // Only now may the addresses be used for something else.
    if (this.maximumBytes > 0) mmap(this.base, this.maximumBytes, Prot.NONE, EMPTY_FIXED, -1, 0);
    closeSync(this.fd);
    this.pmap.order({ type: 'forget', vmspace: this.id });
    if (giveBack > 0n) this.pmap.session.send({ case: 'frames', value: { giveBack } });
    this.pmap.remove(this);
  }

  async open(name: string, sizeBytes: bigint, flags: OpenFlags): Promise<Dataspace> {
    if (flags.create && sizeBytes <= 0n) throw new PmapError(EINVAL, 'a new dataspace needs a size');
    if (this.opened.size >= OPENED_MAX)
      throw new PmapError(EMFILE, `${OPENED_MAX} dataspaces are the most that one process may have open`);
    const { exclusive, durable } = flags;
    const value = { name, sizeBytes: flags.create ? sizeBytes : 0n, exclusive, durable };
    const answer = await this.pmap.session.ask({ case: 'open', value });
    if (answer.case !== 'opened') throw new PmapError(EINVAL, `open was answered with ${answer.case}`);
    const { dataspace, file, sizeBytes: size } = answer.value;
    if (!flags.create && sizeBytes > 0n && sizeBytes !== size) {
      throw new PmapError(20, `dataspace ${name} exists with ${size} bytes, not ${sizeBytes}`);
    }
    this.opened.set(dataspace, { file, sizeBytes: size });
    return { id: dataspace, sizeBytes: size };
  }

  async map(
    guestAddress: number,
    lengthBytes: number,
    dataspace: bigint,
    offsetBytes: bigint,
    writable: boolean,
  ): Promise<void> {
    const about = this.opened.get(dataspace);
    if (about === undefined)
      throw new PmapError(ENOENT, `dataspace ${dataspace} is not open in this process`);
    this.checkRange(guestAddress, lengthBytes);
    const pages = (about.sizeBytes + BigInt(PAGE_BYTES) - 1n) / BigInt(PAGE_BYTES);
    const endBytes = offsetBytes + BigInt(lengthBytes);
    if (
      offsetBytes < 0n ||
      offsetBytes % BigInt(PAGE_BYTES) !== 0n ||
      endBytes > pages * BigInt(PAGE_BYTES)
    ) {
      throw new PmapError(EINVAL, `offset ${offsetBytes}: a multiple of ${PAGE_BYTES} within the dataspace`);
    }
    await this.carve(guestAddress, lengthBytes);
    await this.overlay({ guestAddress, lengthBytes, dataspace, offsetBytes, writable });
  }

  private async overlay(about: Omit<Mapping, 'address'>): Promise<void> {
    const { guestAddress, lengthBytes, dataspace, offsetBytes, writable } = about;
    const address = this.base + BigInt(guestAddress);
    await this.pmap.session.ask({
      case: 'vmspaceMmap',
      value: {
        vmspace: this.id,
        address,
        lengthBytes: BigInt(lengthBytes),
        dataspace,
        offsetBytes,
        writable,
      },
    });
    this.checkAlive();
    this.pmap.order({ type: 'map', vmspace: this.id, address, lengthBytes });
    const fd = openSync(this.opened.get(dataspace)!.file, 'r+');
    try {
      mmap(address, lengthBytes, Prot.READ | Prot.WRITE, SHARED_FIXED, fd, offsetBytes);
    } finally {
      closeSync(fd);
    }
    this.pmap.userfault.register(address, lengthBytes, Watch.MISSING | Watch.WRITE_PROTECT | Watch.MINOR);
    this.mappings.push({ ...about, address });
    this.uncharge(guestAddress, lengthBytes);
  }

  private checkAlive(): void {
    if (this.cells.dying) throw new PmapError(EINVAL, 'the process is ending');
  }

  // Takes a range out of the mappings that it overlaps. What is left of them is mapped anew: the pmap manager
  // knows whole mappings only, and must not lose sight of a page that is mapped.
  private async carve(guestAddress: number, lengthBytes: number): Promise<void> {
    const end = guestAddress + lengthBytes;
    for (const mapping of this.overlapped(guestAddress, end)) {
      await this.remove(mapping);
      const beforeBytes = guestAddress - mapping.guestAddress;
      const afterBytes = mapping.guestAddress + mapping.lengthBytes - end;
      try {
        if (beforeBytes > 0) await this.overlay({ ...mapping, lengthBytes: beforeBytes });
        if (afterBytes > 0) {
          const offsetBytes = mapping.offsetBytes + BigInt(mapping.lengthBytes - afterBytes);
          await this.overlay({ ...mapping, guestAddress: end, lengthBytes: afterBytes, offsetBytes });
        }
      } catch (error) {
        // Better no process than one whose shared memory turned into private zeroes.
        this.fatal('SIGBUS', `the rest of a mapping cannot be mapped again: ${(error as Error).message}`);
        throw error;
      }
    }
  }

  private overlapped(guestAddress: number, end: number): Mapping[] {
    return this.mappings.filter((m) => guestAddress < m.guestAddress + m.lengthBytes && m.guestAddress < end);
  }

  // The private frames under a mapping can never be seen again.
  private uncharge(guestAddress: number, lengthBytes: number): void {
    const before = this.residentPages();
    punchHole(this.fd, guestAddress, lengthBytes);
    const pages = Math.min(this.cells.charged, before - this.residentPages());
    this.cells.charge(-pages);
    if (pages > 0) this.pmap.session.send({ case: 'frames', value: { giveBack: BigInt(pages) } });
  }

  private checkRange(guestAddress: number, lengthBytes: number): void {
    const aligned = guestAddress % PAGE_BYTES === 0 && lengthBytes % PAGE_BYTES === 0;
    const inside =
      guestAddress >= 0 && lengthBytes > 0 && guestAddress + lengthBytes <= this.memory.buffer.byteLength;
    if (!aligned || !inside) {
      throw new PmapError(
        EINVAL,
        `range ${guestAddress} + ${lengthBytes}: multiples of ${PAGE_BYTES} inside the memory`,
      );
    }
  }

  async unmap(guestAddress: number, lengthBytes: number): Promise<void> {
    this.checkRange(guestAddress, lengthBytes);
    if (this.overlapped(guestAddress, guestAddress + lengthBytes).length === 0)
      throw new PmapError(EINVAL, 'nothing is mapped there');
    await this.carve(guestAddress, lengthBytes);
    // Between the mappings there may be private memory.
    this.uncharge(guestAddress, lengthBytes);
  }

  private async remove(mapping: Mapping): Promise<void> {
    const { address, guestAddress, lengthBytes } = mapping;
    await this.pmap.session.ask({
      case: 'vmspaceMunmap',
      value: { vmspace: this.id, address, lengthBytes: BigInt(lengthBytes) },
    });
    this.checkAlive();
    this.mappings.splice(this.mappings.indexOf(mapping), 1);
    mmap(address, lengthBytes, Prot.READ | Prot.WRITE, SHARED_FIXED, this.fd, guestAddress);
    this.pmap.userfault.register(address, lengthBytes, Watch.MISSING);
    this.pmap.order({ type: 'unmap', vmspace: this.id, address });
  }

  async lock(
    dataspace: bigint,
    begin: bigint,
    end: bigint,
    mode: RangeLockMode,
    timeoutMs: bigint,
  ): Promise<void> {
    if (!this.opened.has(dataspace))
      throw new PmapError(ENOENT, `dataspace ${dataspace} is not open in this process`);
    if (begin > end) throw new PmapError(EINVAL, `range ${begin} to ${end} is empty`);
    const value = { dataspace, begin, end, mode: LockMode[mode], owner: this.o.pid, timeoutMs };
    const answer = await this.pmap.session.ask({ case: 'lock', value });
    if (answer.case !== 'lock') throw new PmapError(EINVAL, `lock was answered with ${answer.case}`);
    if (answer.value.status !== SyncStatus.OK)
      throw new PmapError(ERRNO_OF[answer.value.status] ?? EINVAL, SyncStatus[answer.value.status]!);
  }

  async unlock(dataspace: bigint, begin: bigint, end: bigint): Promise<void> {
    await this.pmap.session.ask({ case: 'unlock', value: { dataspace, begin, end, owner: this.o.pid } });
  }

  async sync(dataspace: bigint, offset: bigint, length: bigint): Promise<void> {
    await this.pmap.session.ask({ case: 'sync', value: { dataspace, offset, length } });
  }

  private sharedAddress(guestAddress: number): { dataspace: bigint; offset: bigint } {
    const mapping = this.mappings.find(
      (m) => guestAddress >= m.guestAddress && guestAddress < m.guestAddress + m.lengthBytes,
    );
    if (mapping === undefined || guestAddress % 4 !== 0) {
      throw new PmapError(EINVAL, `address ${guestAddress}: a multiple of 4 in a mapped dataspace`);
    }
    return {
      dataspace: mapping.dataspace,
      offset: mapping.offsetBytes + BigInt(guestAddress - mapping.guestAddress),
    };
  }

  wait(guestAddress: number, timeoutMs: bigint): Promise<PendingWait> {
    return new Promise((resolve, reject) => {
      const value = { ...this.sharedAddress(guestAddress), owner: this.o.pid, timeoutMs };
      let settle: (woken: boolean) => void = () => {};
      let fail: (error: PmapError) => void = reject;
      const request = this.pmap.session.askMany(
        { case: 'wait', value },
        (answer) => {
          if (answer.case !== 'wait') return false;
          const { status } = answer.value;
          if (status === SyncStatus.REGISTERED) {
            const woken = new Promise<boolean>((done, failed) => {
              settle = done;
              fail = failed;
            });
            // Who cancels no longer listens.
            woken.catch(() => {});
            resolve({
              woken,
              cancel: () => this.pmap.session.cancelWait(request),
            });
            return false;
          }
          if (status === SyncStatus.EXHAUSTED) fail(new PmapError(48, 'too many waiters'));
          else settle(status === SyncStatus.OK);
          return true;
        },
        (error) => fail(error),
      );
    });
  }

  async wake(guestAddress: number, count: number): Promise<number> {
    const answer = await this.pmap.session.ask({
      case: 'wake',
      value: { ...this.sharedAddress(guestAddress), count },
    });
    return answer.case === 'wake' ? answer.value.woken : 0;
  }
}
