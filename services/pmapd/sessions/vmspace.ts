// A vmspace: the address space of one process as a list of map entries, and the frames behind it.
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { PAGE_BYTES, spansOf } from '@odonata/coherency/page.ts';
import { Code } from '@odonata/rpc/error.ts';
import { isProgramPid } from '@odonata/rpc/pid.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { AddressMap } from '@odonata/userfault/address-map.ts';
import { hasData, nextData, punchHole } from '@odonata/userfault/libc.ts';
import type { Charge, ChargedProcess, Charges } from '../frames/charge.ts';
import { isFull, refusalOf } from '../frames/exhausted.ts';
import type { ImageUser, LaidImage } from '../frames/images.ts';
import type { PagedSpace } from '../pageout/paged-space.ts';
import type { MapEntry, MappedVmspace, VkernelSession } from './map-entry.ts';
import type { OpeningProcess } from './open-dataspaces.ts';
import { isProgramName } from './session-name.ts';

/** Map entries of one vmspace. */
export const ENTRIES_MAX = 65_536;

/** How long a process may wait for a full tmpfs. */
const ROOMLESS_MS = 10_000;

/** A memory file's blocks of 512 bytes are its frames. */
const FRAME_BLOCKS = PAGE_BYTES / 512;

export class Vmspace implements ChargedProcess, MappedVmspace, OpeningProcess, ImageUser {
  readonly id: bigint;
  readonly pid: bigint;
  readonly session: VkernelSession;
  readonly file: string;
  readonly sizeBytes: number;
  readonly quotaFrames: number;
  readonly entries = new AddressMap<MapEntry>();
  readonly open = new Map<bigint, boolean>();
  opening = 0;
  /** Its virtual kernel said that it ends because of its memory. */
  endsForMemory = false;
  /** What it began with, where that is not in its file: a page that has no frame there. */
  image: LaidImage | undefined;
  /** Pages of it may be elsewhere. */
  paged: PagedSpace | undefined;
  readonly charge: Charge;
  private readonly charges: Charges;
  private fd: number | undefined;
  private roomless: { firstMs: number; lastMs: number } | undefined;
  private removed = false;

  /** True where it maps memory that other nodes may have, too. */
  get sharesMemory(): boolean {
    return this.entries.size > 0;
  }

  get filesOf(): string | undefined {
    const { name } = this.session;
    return isProgramPid(this.pid) && !isProgramName(name) ? name : undefined;
  }

  /** @param about `exists`: another pmap manager made its file */
  constructor(about: {
    charges: Charges;
    quotaFrames: number;
    id: bigint;
    pid: bigint;
    session: VkernelSession;
    file: string;
    sizeBytes: number;
    exists: boolean;
  }) {
    this.id = about.id;
    this.pid = about.pid;
    this.session = about.session;
    this.file = about.file;
    this.sizeBytes = about.sizeBytes;
    this.quotaFrames = about.quotaFrames;
    this.charges = about.charges;
    // One that another pmap manager made is opened when it is read: there may be very many.
    if (!about.exists) {
      this.fd = openSync(this.file, 'wx+', 0o600);
      ftruncateSync(this.fd, this.sizeBytes);
    }
    this.charge = this.charges.open(this);
  }

  /** Private frames, also where the file is not open here, and is not opened. */
  peekFrames(): number {
    if (this.removed) return 0;
    const about = this.fd === undefined ? statSync(this.file, { throwIfNoEntry: false }) : fstatSync(this.fd);
    return (about?.blocks ?? 0) / FRAME_BLOCKS;
  }

  privateFrames(): number {
    const fd = this.descriptor();
    return fd === undefined ? 0 : fstatSync(fd).blocks / FRAME_BLOCKS + (this.paged?.aside.size ?? 0);
  }

  vkernelRoom(): number {
    return this.session.frameRoom();
  }

  vkernelReason(): string {
    return this.session.frameReason();
  }

  /** It was granted frames, and found no memory behind them: again and again for too long? */
  lacksRoomTooLong(nowMs: number): boolean {
    if (this.roomless === undefined || nowMs - this.roomless.lastMs > ROOMLESS_MS / 2)
      this.roomless = { firstMs: nowMs, lastMs: nowMs };
    this.roomless.lastMs = nowMs;
    return nowMs - this.roomless.firstMs > ROOMLESS_MS;
  }

  tell(sharedFrames: number): void {
    const value = { vmspace: this.id, frames: BigInt(Math.max(0, sharedFrames)) };
    this.session.send({ event: { case: 'sharedCharge', value } });
  }

  end(reason: string): void {
    this.session.endForFrames(this.id, reason);
  }

  private descriptor(): number | undefined {
    if (!this.removed) this.fd ??= openSync(this.file, 'r+');
    return this.fd;
  }

  /** Hands `use` a descriptor of its private memory. */
  withDescriptor<T>(use: (fd: number) => T): T | undefined {
    const fd = this.descriptor();
    return fd === undefined ? undefined : use(fd);
  }

  /** The first private pages that have frames, from an offset on. */
  residentFrom(offset: number): { offsetBytes: number; endBytes: number } | undefined {
    const fd = this.descriptor();
    return fd === undefined || offset >= this.sizeBytes ? undefined : nextData(fd, offset);
  }

  /** The entry that maps an address. */
  find(address: bigint): MapEntry | undefined {
    return this.entries.find(address);
  }

  pread(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    const fd = this.descriptor();
    if (fd !== undefined) {
      readSync(fd, bytes, 0, length, offset);
      this.overlayImage(fd, offset, bytes);
    }
    this.paged?.overlay(offset, bytes);
    return bytes;
  }

  /** The same, with what is away. @throws RpcError where that cannot be had */
  async preadAll(offset: number, length: number): Promise<Buffer> {
    const bytes = this.pread(offset, length);
    await this.paged?.overlayAway(offset, bytes);
    return bytes;
  }

  /** @throws RpcError RESOURCE_EXHAUSTED where the tmpfs is full */
  pwrite(offset: number, bytes: Uint8Array): void {
    const fd = this.descriptor();
    if (fd === undefined) return;
    if (this.paged?.isElsewhere(offset, bytes.length))
      throw tryAgain(
        Code.Unavailable,
        `some of that memory of process ${this.pid} is in swap, or at another node`,
      );
    try {
      this.copyImage(fd, offset, bytes.length);
      for (let done = 0; done < bytes.length; )
        done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
    } catch (error) {
      if (isFull(error)) throw refusalOf(this.file);
      throw error;
    }
  }

  /** Pages of a range that are those of its image still. */
  private *imagePages(fd: number, offset: number, length: number): Generator<{ page: number; of: number }> {
    const [first, end] = [Math.floor(offset / PAGE_BYTES), Math.ceil((offset + length) / PAGE_BYTES)];
    for (const { firstPage, pageCount, imagePage } of this.image?.spans ?? [])
      for (let page = Math.max(first, firstPage); page < Math.min(end, firstPage + pageCount); page++)
        if (!hasData(fd, page * PAGE_BYTES)) yield { page, of: imagePage + page - firstPage };
  }

  private overlayImage(fd: number, offset: number, bytes: Uint8Array): void {
    const whole = Buffer.alloc(PAGE_BYTES);
    for (const { page, of } of this.imagePages(fd, offset, bytes.length)) {
      this.image!.image.readInto(of, whole);
      const at = page * PAGE_BYTES - offset;
      bytes.set(whole.subarray(Math.max(0, -at), Math.min(PAGE_BYTES, bytes.length - at)), Math.max(0, at));
    }
  }

  /** What is about to be written is of its own. */
  private copyImage(fd: number, offset: number, length: number): void {
    const whole = Buffer.alloc(PAGE_BYTES);
    const copied: number[] = [];
    for (const { page, of } of this.imagePages(fd, offset, length)) {
      this.image!.image.readInto(of, whole);
      for (let done = 0; done < PAGE_BYTES; )
        done += writeSync(fd, whole, done, PAGE_BYTES - done, page * PAGE_BYTES + done);
      copied.push(page);
    }
    for (const { firstPage, pageCount } of spansOf(copied))
      this.session.send({
        event: { case: 'imageWritten', value: { vmspace: this.id, firstPage, pageCount } },
      });
  }

  /** Something else is known of it by now; the file stays. */
  disown(): void {
    this.charges.close(this.charge);
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
    this.removed = true;
  }

  /**
   * The private dataspace goes. A vkernel that still maps the file keeps its frames until it unmaps them; but not where they
   * are taken: from one that is gone, or should be.
   */
  remove({ takeFrames = false } = {}): void {
    this.charges.close(this.charge);
    const fd = takeFrames && existsSync(this.file) ? this.descriptor() : undefined;
    if (fd !== undefined && this.sizeBytes > 0) punchHole(fd, 0, this.sizeBytes);
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
    this.removed = true;
    rmSync(this.file, { force: true });
  }
}
