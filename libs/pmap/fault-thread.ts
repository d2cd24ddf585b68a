// The fault thread: reads the vkernel's userfaultfd. First touches of private memory it serves by itself, in runs,
// from frame credit; faults of shared memory it sends to the pmap manager on a stream of its own, so that neither waits
// for what the main thread does. It must never touch guest memory: it would wait for itself.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { useTls, useToken } from '@odonata/rpc/identity/own.ts';
import { newTrace } from '@odonata/rpc/trace/context.ts';
import { AddressMap, type AddressRange } from '@odonata/userfault/address-map.ts';
import { Errno } from '@odonata/userfault/libc.ts';
import { type FaultMessage, Userfault, watchFaults } from '@odonata/userfault/userfault.ts';
import { type FaultInit, FaultLine } from './fault-line.ts';
import { FrameCredit, SpaceCells } from './frame-credit.ts';
import { ImagePages, type LaidImage } from './image-pages.ts';
import { fillForTheEnd, isFull, usePoison } from './last-fill.ts';

/** To the thread. */
export type FaultThreadOrder =
  /** The pmap manager that faults of shared memory go to, and what names the session there. */
  | { type: 'pmap'; address: string; token: Uint8Array }
  /** Another pmap manager takes the place of this one: faults wait for the order that names it. */
  | { type: 'moving' }
  | {
      type: 'space';
      vmspace: bigint;
      base: bigint;
      lengthBytes: number;
      quotaPages: number;
      cells: Int32Array<SharedArrayBuffer>;
    }
  | { type: 'map'; vmspace: bigint; address: bigint; lengthBytes: number }
  | { type: 'unmap'; vmspace: bigint; address: bigint }
  /** Its private pages are filled by the pmap manager from now on, until another one takes its place. */
  | { type: 'paged'; vmspace: bigint }
  | { type: 'unpaged'; vmspace: bigint }
  /** Pages of it are those of an image, until they are written. */
  | { type: 'image'; vmspace: bigint; laid: LaidImage }
  /** Those of a range are no longer: something else lies there. */
  | { type: 'uncover'; vmspace: bigint; address: bigint; lengthBytes: number }
  /** Nor these: they were written from outside, into its private file. */
  | { type: 'written'; vmspace: bigint; address: bigint; lengthBytes: number }
  | { type: 'forget'; vmspace: bigint };

/** From the thread. */
export type FaultThreadReport =
  /** The stream of faults broke: some may be lost with it. */
  | { type: 'lost'; reason: string }
  /** Credit runs low. */
  | { type: 'low' }
  /** Credit ran out under a fault; the page waits. */
  | { type: 'dry'; vmspace: bigint; address: bigint }
  /** There was credit, and no memory behind it: the tmpfs is full; the page waits. */
  | { type: 'full'; vmspace: bigint; address: bigint }
  /** The process is over its quota; the page waits. */
  | { type: 'over'; vmspace: bigint; address: bigint }
  /** An order of that type is obeyed. Frames run short: what is ahead and not spent is not needed. */
  | { type: 'paged'; vmspace: bigint; unspent: number }
  | { type: 'served'; count: number; pages: number; sampleNs: number[] };

export interface FaultThreadData {
  userfault: number;
  credit: Int32Array<SharedArrayBuffer>;
  /** What this virtual kernel shows to whoever it calls. */
  identity: string;
  /** Who it is, where that is no virtual kernel. */
  tlsDir: string;
  /** @see PmapParts.outlived */
  outlived: boolean;
  /** Of faults that the pmap manager serves, this part is traced. */
  traceSample: number;
}

/** Pages of one wasm page: memory grows in these. */
const BLOCK_PAGES = 16;
const RUN_MAX_PAGES = 64;
const REPORT_EVERY = 1_024;
/** What is left is reported after so long. */
const REPORT_MS = 200;
const SAMPLE_EVERY = 16;
/** Instead of a number of pages: the tmpfs has no room. */
const FULL = -1;

interface Space extends AddressRange {
  vmspace: bigint;
  quotaPages: number;
  cells: SpaceCells;
  shared: AddressMap<AddressRange>;
  image: ImagePages | undefined;
  nextAddress: bigint;
  runPages: number;
  paged: boolean;
}

class FaultThread {
  private readonly userfault: Userfault;
  private readonly credit: FrameCredit;
  private readonly traceSample: number;
  private readonly spaces = new AddressMap<Space>();
  private readonly byId = new Map<bigint, Space>();
  private line: FaultLine | undefined;
  private readonly kept: FaultInit[] = [];
  private count = 0;
  private pages = 0;
  private sampleNs: number[] = [];
  private reporting: NodeJS.Timeout | undefined;

  constructor(data: FaultThreadData) {
    this.userfault = new Userfault(data.userfault);
    this.credit = new FrameCredit(data.credit);
    this.traceSample = data.traceSample;
  }

  run(): void {
    watchFaults(this.userfault, (faults) => this.serveAll(faults));
    parentPort!.on('message', (order: FaultThreadOrder) => this.obey(order));
  }

  private serveAll(faults: FaultMessage[]): void {
    const atNs = process.hrtime.bigint();
    this.takeOrders();
    for (const fault of faults) this.serve(fault, atNs);
    this.line?.flush();
  }

  // Orders come before the faults that depend on them: the guest that causes those still waits.
  private takeOrders(): void {
    const next = () => receiveMessageOnPort(parentPort!);
    for (let order = next(); order !== undefined; order = next())
      this.obey(order.message as FaultThreadOrder);
  }

  private obey(order: FaultThreadOrder): void {
    if (order.type === 'pmap') {
      this.line?.close();
      this.line = new FaultLine(order.address, order.token, (reason) => report({ type: 'lost', reason }));
      for (const fault of this.kept.splice(0)) this.line.add(fault);
      this.line.flush();
      return;
    }
    if (order.type === 'moving') {
      this.line?.close();
      this.line = undefined;
      // It has brought all pages back.
      for (const space of this.byId.values()) this.unpage(space);
      return;
    }
    if (order.type === 'space') {
      const { vmspace, base, lengthBytes, quotaPages } = order;
      const cells = new SpaceCells(order.cells);
      const space: Space = {
        vmspace,
        address: base,
        end: base + BigInt(lengthBytes),
        quotaPages,
        cells,
        shared: new AddressMap(),
        image: undefined,
        nextAddress: -1n,
        runPages: 1,
        paged: false,
      };
      this.spaces.add(space);
      this.byId.set(vmspace, space);
      return;
    }
    const space = this.byId.get(order.vmspace);
    if (space === undefined) return;
    if (order.type === 'forget') {
      this.byId.delete(order.vmspace);
      this.spaces.remove(space);
      space.image?.forget();
    } else if (order.type === 'image') space.image = new ImagePages(this.userfault, order.laid);
    else if (order.type === 'uncover') space.image?.uncover(order.address, order.lengthBytes);
    else if (order.type === 'written') this.written(space, order.address, order.lengthBytes);
    else if (order.type === 'unpaged') this.unpage(space);
    else if (order.type === 'paged') {
      space.paged = true;
      report({ type: 'paged', vmspace: space.vmspace, unspent: this.credit.take(this.credit.frames) });
    } else if (order.type === 'map')
      space.shared.add({ address: order.address, end: order.address + BigInt(order.lengthBytes) });
    else {
      const region = space.shared.find(order.address);
      if (region !== undefined) space.shared.remove(region);
    }
  }

  private unpage(space: Space): void {
    if (!space.paged) return;
    space.paged = false;
    // Faults that were sent last may be lost.
    this.userfault.wake(space.address, Number(space.end - space.address));
  }

  private serve({ page: address, offset, write, writeProtected }: FaultMessage, atNs: bigint): void {
    const space = this.spaces.find(address);
    if (space === undefined) {
      this.userfault.wake(address, PAGE_BYTES);
    } else if (space.cells.dying) {
      fillForTheEnd(this.userfault, address, space);
    } else if (space.image?.has(address) && space.shared.find(address) === undefined) {
      if (write || writeProtected) this.copyImage(space, address, atNs);
      else space.image.show(address);
    } else if (space.paged || space.shared.find(address) !== undefined) {
      const trace = this.traceSample > 0 && Math.random() < this.traceSample ? newTrace() : undefined;
      const fault = { vmspace: space.vmspace, address, write, atNs, offset, trace };
      // Each is of a thread that waits, so they are few.
      if (this.line === undefined) this.kept.push(fault);
      else this.line.add(fault);
    } else if (writeProtected) {
      // Protected while it was copied, and it is back.
      this.userfault.writeProtect(address, PAGE_BYTES, false);
      this.userfault.wake(address, PAGE_BYTES);
    } else {
      this.fillPrivate(space, address, atNs);
    }
  }

  private copyImage(space: Space, address: bigint, atNs: bigint): void {
    const { vmspace, cells } = space;
    const image = space.image!;
    const run = image.runAt(address);
    const frames = this.framesFor(space, address, run.pages);
    if (frames === 0) return;
    // Where not all may be copied, the page that is waited for is.
    const copied = frames < run.pages ? { address, pages: 1 } : run;
    const errno = image.copy(copied);
    if (errno !== 0) {
      this.credit.add(frames);
      if (!isFull(errno)) throw new Error(`a page of an image is not copied: errno ${errno}`);
      report({ type: 'full', vmspace, address });
      return;
    }
    this.credit.add(frames - copied.pages);
    cells.charge(copied.pages);
    if (this.credit.claimAsking()) report({ type: 'low' });
    this.note(copied.pages, Number(process.hrtime.bigint() - atNs));
  }

  private written(space: Space, address: bigint, lengthBytes: number): void {
    if (space.image === undefined || space.cells.dying) return;
    for (const run of [...space.image.within(address, lengthBytes)]) {
      // They have their frames.
      if (space.image.copy(run) === 0) space.cells.charge(run.pages);
    }
  }

  /** From credit, at most so many; 0: why there is none was reported, and the page waits. */
  private framesFor({ vmspace, cells, quotaPages }: Space, address: bigint, pages: number): number {
    const quotaLeft = quotaPages - cells.charged - cells.shared - cells.beside;
    if (quotaLeft <= 0) {
      report({ type: 'over', vmspace, address });
      return 0;
    }
    const frames = this.credit.take(Math.min(pages, quotaLeft));
    if (frames === 0) report({ type: 'dry', vmspace, address });
    return frames;
  }

  private fillPrivate(space: Space, address: bigint, atNs: bigint): void {
    const { vmspace, cells } = space;
    const frames = this.framesFor(space, address, this.runOf(space, address));
    if (frames === 0) return;
    // The page that is waited for comes alone; the guest runs on while those after it are filled.
    let filled = this.fill(address, 1);
    if (filled === FULL) {
      this.credit.add(frames);
      report({ type: 'full', vmspace, address });
      return;
    }
    const servedNs = process.hrtime.bigint();
    // Past the end of a block the memory may end, and a run that begins there would not notice.
    const endsBlock = Number(address / BigInt(PAGE_BYTES)) % BLOCK_PAGES === BLOCK_PAGES - 1;
    if (filled === 1 && frames > 1 && !endsBlock)
      filled += this.fill(address + BigInt(PAGE_BYTES), frames - 1);
    this.credit.add(frames - filled);
    cells.charge(filled);
    space.nextAddress = address + BigInt(filled * PAGE_BYTES);
    if (this.credit.claimAsking()) report({ type: 'low' });
    this.note(filled, Number(servedNs - atNs));
  }

  // Runs double while the process touches its memory in order, and never reach into what else is mapped.
  private runOf(space: Space, address: bigint): number {
    const doubled = address === space.nextAddress ? space.runPages * 2 : BLOCK_PAGES;
    space.runPages = Math.min(RUN_MAX_PAGES, doubled);
    let end = space.shared.next(address)?.address ?? space.end;
    const image = space.image?.next(address);
    if (image !== undefined && image < end) end = image;
    return Math.min(space.runPages, Number(end - address) / PAGE_BYTES);
  }

  private fill(address: bigint, frames: number): number {
    const errno = this.userfault.zero(address, frames * PAGE_BYTES);
    if (errno === 0) return frames;
    const done = Math.max(0, this.userfault.doneBytes()) / PAGE_BYTES;
    if (done > 0 && errno === Errno.EAGAIN) return done;
    // The run reaches past the memory's present size, which is a multiple of a block.
    if (errno === Errno.ENOENT && frames > 1) {
      const toBlockEnd = BLOCK_PAGES - (Number(address / BigInt(PAGE_BYTES)) % BLOCK_PAGES);
      return this.fill(address, frames > toBlockEnd ? toBlockEnd : 1);
    }
    if (isFull(errno)) return FULL;
    // Somebody was faster (EEXIST), or the range went away: who waits looks again.
    this.userfault.wake(address, PAGE_BYTES);
    return 0;
  }

  private note(pages: number, latencyNs: number): void {
    this.count++;
    this.pages += pages;
    if (this.count % SAMPLE_EVERY === 1) this.sampleNs.push(latencyNs);
    if (this.count >= REPORT_EVERY) this.reportServed();
    else this.reporting ??= setTimeout(() => this.reportServed(), REPORT_MS);
  }

  private reportServed(): void {
    clearTimeout(this.reporting);
    this.reporting = undefined;
    if (this.count === 0) return;
    report({ type: 'served', count: this.count, pages: this.pages, sampleNs: this.sampleNs });
    this.count = 0;
    this.pages = 0;
    this.sampleNs = [];
  }
}

function report(message: FaultThreadReport): void {
  parentPort!.postMessage(message);
}

const data = workerData as FaultThreadData;
useToken(data.identity);
useTls(data.tlsDir);
if (data.outlived) usePoison();
new FaultThread(data).run();
