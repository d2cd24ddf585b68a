// Frames for the private memory of vmspaces that people make by hand: slots of one sparse file on the tmpfs, which has no name.
// One descriptor for all of them, however many there are.
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { punchHole } from '@odonata/userfault/libc.ts';
import { isFull, refusalOf } from '../../frames/exhausted.ts';
import type { Rows } from './rows.ts';

/** What an arena needs of the frames of its node. */
export interface ArenaFrames {
  grant(want: number): number;
  giveBack(frames: number): void;
  /** Those that another pmap manager had. */
  resume(frames: number): void;
}

export class Arena {
  private readonly memoryDir: string;
  private readonly frames: ArenaFrames;
  /** A row is a slot. */
  private readonly slots: Pick<Rows, 'take' | 'give' | 'size'>;
  private fd: number | undefined;

  constructor(memoryDir: string, frames: ArenaFrames, slots: Pick<Rows, 'take' | 'give' | 'size'>) {
    this.memoryDir = memoryDir;
    this.frames = frames;
    this.slots = slots;
  }

  /** Slots in use. */
  get pages(): number {
    return this.slots.size;
  }

  /** Undefined: nobody wrote anything yet. */
  get file(): number | undefined {
    return this.fd;
  }

  /** The file of another pmap manager, whose slots are known by now. */
  adopt(fd: number): void {
    this.fd = fd;
    this.frames.resume(this.pages);
  }

  private descriptor(): number {
    if (this.fd !== undefined) return this.fd;
    const path = join(this.memoryDir, `handmade-${process.pid}`);
    rmSync(path, { force: true });
    this.fd = openSync(path, 'wx+', 0o600);
    rmSync(path);
    return this.fd;
  }

  /** A slot of zeros; undefined: the node has no frame. */
  take(): number | undefined {
    if (this.frames.grant(1) === 0) return undefined;
    return this.slots.take();
  }

  give(slot: number): void {
    if (this.fd !== undefined) punchHole(this.fd, slot * PAGE_BYTES, PAGE_BYTES);
    this.slots.give(slot);
    this.frames.giveBack(1);
  }

  /** Fills `bytes` from a place in a slot on. */
  read(slot: number, at: number, bytes: Uint8Array): void {
    const read = readSync(this.descriptor(), bytes, 0, bytes.length, slot * PAGE_BYTES + at);
    if (read < bytes.length) bytes.fill(0, read);
  }

  /** @throws RpcError RESOURCE_EXHAUSTED where the tmpfs is full */
  write(slot: number, at: number, bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.descriptor(), bytes, done, bytes.length - done, slot * PAGE_BYTES + at + done);
    } catch (error) {
      if (isFull(error)) throw refusalOf(this.memoryDir);
      throw error;
    }
  }

  /** Whoever else has the file open keeps its bytes. */
  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}
