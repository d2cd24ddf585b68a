// One vmspace on the vkernel's side: the linear memory of a process over its private memory file, with
// shared dataspaces mapped into it.
import { closeSync, fstatSync } from 'node:fs';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { TransferKind } from '@odonata/proto/pmap/v1/pmap';
import { addressOf, MapFlag, madviseDontNeed, mmap, Prot, punchHole } from '@odonata/userfault/libc.ts';
import { vmspaceLabel } from '@odonata/userfault/memory-label.ts';
import { Errno } from './errno.ts';
import { SpaceCells } from './frame-credit.ts';
import { layImage } from './image-pages.ts';
import { fillForTheEnd, sinkOver } from './last-fill.ts';
import { layPrivate, PRIVATE_WATCH, SHARED_FIXED } from './laying.ts';
import { OpenedDataspaces } from './opened-dataspaces.ts';
import type {
  Dataspace,
  ImageSpan,
  Meeting,
  OpenFlags,
  PendingWait,
  ProgramImage,
  RangeLockMode,
  Space,
  SpaceOptions,
  Transfer,
} from './pmap-interface.ts';
import { PmapError } from './pmap-interface.ts';
import type { PmapParts } from './pmap-parts.ts';
import type { LeaseCell } from './shared-lease.ts';
import { type MappedPlace, SharedMappings } from './shared-mappings.ts';
import { waitOn, wakeOn } from './shared-word.ts';

const WASM_PAGE_BYTES = 65_536;
const EMPTY_FIXED = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;

/** Whole MiB where they are, else what is exact. */
export function shownBytes(bytes: number): string {
  if (bytes >= 2 ** 20) return `${Number((bytes / 2 ** 20).toFixed(1))} MiB`;
  return bytes >= 1024 ? `${Number((bytes / 1024).toFixed(1))} KiB` : `${bytes} bytes`;
}

/** Tables of less are as good as nothing. */
const WORTH_TELLING = 1 << 20;

export class Vmspace implements Space, MappedPlace {
  readonly id: bigint;
  readonly pid: bigint;
  readonly memory: WebAssembly.Memory;
  private readonly pmap: PmapParts;
  private readonly o: SpaceOptions;
  readonly base: bigint;
  private readonly maximumBytes: number;
  private readonly fd: number;
  private readonly cells = new SpaceCells();
  private readonly opened: OpenedDataspaces;
  private readonly mappings: SharedMappings;
  /** Private pages that wait for frames, or for the end. */
  private readonly waiting = new Set<bigint>();
  private image: { fd: number; image: ProgramImage; spans: readonly ImageSpan[] } | undefined;
  private ended = false;
  private freeing: Promise<void> | undefined;
  private pmapSilent = false;

  static async create(pmap: PmapParts, options: SpaceOptions): Promise<Vmspace> {
    const { initialPages: initial, maximumPages: maximum } = options;
    const maximumBytes = maximum * WASM_PAGE_BYTES;
    // Where there are no addresses for it, nothing is asked for.
    const memory = new WebAssembly.Memory({ initial, maximum, shared: true });
    options.onMemory?.(memory, pmap.lease.cell);
    const answer = await pmap.session.ask({
      case: 'vmspaceCreate',
      value: {
        pid: options.pid,
        sizeBytes: BigInt(maximumBytes),
        quotaFrames: BigInt(pagesWithin(options)),
      },
    });
    if (answer.case !== 'vmspaceCreated')
      throw new PmapError(Errno.inval, `vmspace_create was answered with ${answer.case}`);
    const { vmspace, pid } = answer.value;
    try {
      const fd = pmap.session.takeDescriptor(vmspaceLabel(vmspace));
      const made = new Vmspace(pmap, options, { id: vmspace, pid: options.pid || pid, memory }, fd);
      if (options.image !== undefined) await made.layImage(options.image);
      return made;
    } catch (error) {
      // No mappings, or no descriptor: the pmap manager need not keep it.
      pmap.session.send({ case: 'vmspaceDestroy', value: { vmspace } });
      throw error;
    }
  }

  /** @param fd of its private memory; from now on its own */
  private constructor(
    pmap: PmapParts,
    options: SpaceOptions,
    { id, pid, memory }: { id: bigint; pid: bigint; memory: WebAssembly.Memory },
    fd: number,
  ) {
    this.pmap = pmap;
    this.o = options;
    this.id = id;
    this.pid = pid;
    this.fd = fd;
    this.memory = memory;
    this.opened = new OpenedDataspaces(pmap.session, pmap.files, { pid, vmspace: id });
    this.mappings = new SharedMappings(pmap, this, this.opened);
    this.base = addressOf(new Uint8Array(this.memory.buffer));
    this.maximumBytes = options.maximumPages * WASM_PAGE_BYTES;
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
    pmap.userfault.register(this.base, maximumBytes, PRIVATE_WATCH);
    const quotaPages = pagesWithin(this.o);
    pmap.order({
      type: 'space',
      vmspace: this.id,
      base: this.base,
      lengthBytes: maximumBytes,
      quotaPages,
      cells: this.cells.cells,
    });
  }

  get hasImage(): boolean {
    return this.image !== undefined;
  }

  /** Before anybody touches it. Where there is no image to be had, it begins with zeros. */
  private async layImage(image: ProgramImage): Promise<void> {
    const { pmap, base, fd: file } = this;
    try {
      const fd = await pmap.images.lay(this.id, image);
      if (fd === undefined) return;
      const laid = { base, image: fd, file, spans: image.spans };
      try {
        layImage(pmap.userfault, laid);
      } catch {
        this.layPrivateOver(image);
        closeSync(fd);
        return;
      }
      this.image = { fd, image, spans: image.spans };
      pmap.order({ type: 'image', vmspace: this.id, laid });
    } catch (error) {
      // The pmap manager is told by whoever asked for the memory.
      this.layEmpty();
      closeSync(file);
      this.opened.close();
      pmap.order({ type: 'forget', vmspace: this.id });
      throw error;
    }
  }

  /** There are too many mappings for it. */
  private layPrivateOver(image: ProgramImage): void {
    for (const { firstPage, pageCount } of image.spans)
      this.layPrivate(firstPage * PAGE_BYTES, pageCount * PAGE_BYTES);
    this.pmap.images.tell(this.id, image, []);
  }

  uncover(guestAddress: number, lengthBytes: number): void {
    if (this.image === undefined) return;
    const { fd, image, spans } = this.image;
    const left = without(spans, guestAddress / PAGE_BYTES, (guestAddress + lengthBytes) / PAGE_BYTES);
    this.image = { fd, image, spans: left };
    const address = this.base + BigInt(guestAddress);
    this.pmap.order({ type: 'uncover', vmspace: this.id, address, lengthBytes });
    this.pmap.images.tell(this.id, image, left);
  }

  /** Somebody wrote pages that were those of its image. */
  imageWritten({ firstPage, pageCount }: { firstPage: number; pageCount: number }): void {
    if (this.image === undefined || this.ended) return;
    const address = this.base + BigInt(firstPage * PAGE_BYTES);
    const lengthBytes = pageCount * PAGE_BYTES;
    this.pmap.order({ type: 'written', vmspace: this.id, address, lengthBytes });
  }

  get lease(): LeaseCell {
    return this.pmap.lease.cell;
  }

  residentPages(): number {
    // A memory file's blocks of 512 bytes are its frames.
    return this.ended ? 0 : fstatSync(this.fd).blocks / (PAGE_BYTES / 512);
  }

  mappedRanges(): number {
    return this.mappings.size;
  }

  keepBeside(bytes: number): boolean {
    const { cells } = this;
    const pages = Math.ceil(bytes / PAGE_BYTES);
    const more = pages > cells.beside;
    if (more && cells.charged + cells.shared + pages > pagesWithin(this.o)) return false;
    cells.beside = pages;
    return true;
  }

  sizeOf(dataspace: bigint): bigint {
    return this.opened.get(dataspace).sizeBytes;
  }

  overQuota(): string {
    const { shared, beside } = this.cells;
    const { besideBytes } = this.o;
    const parts = [
      shared === 0 ? '' : `, ${shownBytes(shared * PAGE_BYTES)} of it shared`,
      besideBytes < WORTH_TELLING
        ? ''
        : `, ${shownBytes(besideBytes)} of it for its tables and for compiling it`,
      beside === 0 ? '' : `, ${shownBytes(beside * PAGE_BYTES)} of it for its threads`,
    ];
    const of = parts.join('');
    return `out of memory: it touched more than its quota of ${shownBytes(this.o.quotaBytes)}${of} (raise it with --memory)`;
  }

  /** What it has of shared memory counts against its quota, too. */
  setShared(pages: number): void {
    this.cells.shared = pages;
  }

  /** Private pages that the pmap manager filled, or took. */
  charge(pages: number): void {
    this.cells.charge(pages);
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
    if (this.mappings.size === 0) return;
    this.pmapSilent = true;
    this.fatal(
      'SIGKILL',
      'the pmap manager of its node does not answer, and its lease of shared memory ended',
    );
  }

  /** Drops the page tables of private memory: its frames stay in the file, from which the kernel maps them again. */
  flush(): void {
    if (this.ended || this.cells.dying) return;
    const end = this.base + BigInt(this.maximumBytes);
    let at = this.base;
    const shared = [...this.mappings.ranges()].sort((a, b) => (a.address < b.address ? -1 : 1));
    for (const { address, lengthBytes } of [...shared, { address: end, lengthBytes: 0 }]) {
      if (address > at) madviseDontNeed(at, Number(address - at));
      at = address + BigInt(lengthBytes);
    }
  }

  watched(on: boolean): void {
    this.o.onWatched?.(on);
  }

  tellTransfers(transfers: readonly Transfer[], dropped: number): void {
    const told = transfers.map(({ kind, name, reason }) => ({ kind: TransferKind[kind], name, reason }));
    this.pmap.session.send({
      case: 'transfers',
      value: { vmspace: this.id, transfers: told, dropped: BigInt(dropped) },
    });
  }

  detach(): void {
    if (this.ended || this.cells.dying) return;
    this.cells.die();
    for (const { address, lengthBytes } of this.mappings.ranges()) {
      sinkOver(address, lengthBytes);
      this.pmap.userfault.wake(address, lengthBytes);
    }
    for (const address of this.waiting) this.release(address);
    this.waiting.clear();
  }

  private release(address: bigint): void {
    const memory = { address: this.base, end: this.base + BigInt(this.maximumBytes) };
    fillForTheEnd(this.pmap.userfault, address, memory);
  }

  async destroy(unused?: Promise<unknown>): Promise<void> {
    if (this.ended) return;
    this.detach();
    // Once: whoever closes a program's mapping may come while it is being broken down.
    this.freeing ??= this.free(unused);
    const freed = this.freeing;
    // The process is over all the same; its addresses are kept until the pmap manager lets go of them.
    if (!this.pmapSilent) await freed;
  }

  private async free(unused: Promise<unknown> | undefined): Promise<void> {
    let giveBack = 0n;
    try {
      await this.pmap.session.ask({ case: 'vmspaceDestroy', value: { vmspace: this.id } });
      giveBack = BigInt(this.cells.charged);
    } catch (error) {
      // A pmap manager that went away took the vmspace along.
      if (!(error instanceof PmapError)) throw error;
    }
    this.pmap.session.ownerGone(this.pid);
    await unused;
    this.ended = true;
    // Only now may the addresses be used for something else.
    if (this.maximumBytes > 0) this.layEmpty();
    closeSync(this.fd);
    if (this.image !== undefined) closeSync(this.image.fd);
    this.opened.close();
    this.pmap.order({ type: 'forget', vmspace: this.id });
    if (giveBack > 0n) this.pmap.session.send({ case: 'frames', value: { giveBack } });
    this.pmap.remove(this.id);
  }

  private layEmpty(): void {
    // Threads that have it go on.
    if (this.pmap.outlived) sinkOver(this.base, this.maximumBytes);
    else mmap(this.base, this.maximumBytes, Prot.NONE, EMPTY_FIXED, -1, 0);
  }

  open(name: string, sizeBytes: bigint, flags: OpenFlags): Promise<Dataspace> {
    return this.opened.open(name, sizeBytes, flags);
  }

  map(
    guestAddress: number,
    lengthBytes: number,
    dataspace: bigint,
    offsetBytes: bigint,
    writable: boolean,
  ): Promise<void> {
    return this.mappings.map(guestAddress, lengthBytes, dataspace, offsetBytes, writable);
  }

  unmap(guestAddress: number, lengthBytes: number): Promise<void> {
    return this.mappings.unmap(guestAddress, lengthBytes);
  }

  lock(dataspace: bigint, begin: bigint, end: bigint, mode: RangeLockMode, timeoutMs: bigint): Promise<void> {
    return this.opened.lock(dataspace, begin, end, mode, timeoutMs);
  }

  unlock(dataspace: bigint, begin: bigint, end: bigint): Promise<void> {
    return this.opened.unlock(dataspace, begin, end);
  }

  barrier(dataspace: bigint, meeting: Meeting, timeoutMs: bigint): Promise<void> {
    return this.opened.barrier(dataspace, meeting, timeoutMs);
  }

  nameRange(dataspace: bigint, offset: bigint, length: bigint, name: string): Promise<void> {
    return this.opened.nameRange(dataspace, offset, length, name);
  }

  remove(name: string): Promise<void> {
    return this.opened.remove(name);
  }

  sync(dataspace: bigint, offset: bigint, length: bigint): Promise<void> {
    return this.opened.sync(dataspace, offset, length);
  }

  async wait(guestAddress: number, timeoutMs: bigint): Promise<PendingWait> {
    return waitOn(this.pmap.session, this.mappings.wordAt(guestAddress), this.pid, timeoutMs);
  }

  async wake(guestAddress: number, count: number): Promise<number> {
    return wakeOn(this.pmap.session, this.mappings.wordAt(guestAddress), count);
  }

  checkAlive(): void {
    if (this.cells.dying) throw new PmapError(Errno.inval, 'the process is ending');
  }

  layPrivate(guestAddress: number, lengthBytes: number): void {
    const address = this.base + BigInt(guestAddress);
    layPrivate(this.pmap.userfault, { address, lengthBytes, fd: this.fd, offsetBytes: guestAddress });
  }

  uncharge(guestAddress: number, lengthBytes: number): void {
    const before = this.residentPages();
    punchHole(this.fd, guestAddress, lengthBytes);
    const pages = Math.min(this.cells.charged, before - this.residentPages());
    this.cells.charge(-pages);
    if (pages > 0) this.pmap.session.send({ case: 'frames', value: { giveBack: BigInt(pages) } });
  }
}

/** What is left of spans outside of some pages. */
function without(spans: readonly ImageSpan[], from: number, end: number): ImageSpan[] {
  return spans.flatMap((span) => {
    const { firstPage, pageCount, imagePage } = span;
    const spanEnd = firstPage + pageCount;
    if (spanEnd <= from || firstPage >= end) return [span];
    const left: ImageSpan[] = [];
    if (firstPage < from) left.push({ firstPage, pageCount: from - firstPage, imagePage });
    if (spanEnd > end)
      left.push({ firstPage: end, pageCount: spanEnd - end, imagePage: imagePage + end - firstPage });
    return left;
  });
}

/** Pages that a process may touch. */
function pagesWithin({ quotaBytes, besideBytes }: SpaceOptions): number {
  return Math.ceil((quotaBytes - besideBytes) / PAGE_BYTES);
}
