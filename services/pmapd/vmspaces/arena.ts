// Frames for the private memory of vmspaces that people make by hand: slots of one sparse file on the tmpfs, which has no name.
// One descriptor for all of them, however many there are.
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { punchHole } from '@odonata/userfault/libc.ts';
import { isFull, refusalOf } from '../frames/exhausted.ts';

/** What an arena needs of the frames of its node. */
export interface ArenaFrames {
  grant(want: number): number;
  giveBack(frames: number): void;
}

export class Arena {
  private readonly memoryDir: string;
  private readonly frames: ArenaFrames;
  private readonly free: number[] = [];
  private next = 0;
  private fd: number | undefined;

  constructor(memoryDir: string, frames: ArenaFrames) {
    this.memoryDir = memoryDir;
    this.frames = frames;
  }

  /** Slots in use. */
  get pages(): number {
    return this.next - this.free.length;
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
    return this.free.pop() ?? this.next++;
  }

  give(slot: number): void {
    if (this.fd !== undefined) punchHole(this.fd, slot * PAGE_BYTES, PAGE_BYTES);
    this.free.push(slot);
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

  close(): void {
    this.frames.giveBack(this.pages);
    [this.next, this.free.length] = [0, 0];
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}
