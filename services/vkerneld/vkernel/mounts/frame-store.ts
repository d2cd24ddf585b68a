// Where the bytes of files in memory are: frames, by number, of one file of memory. Whoever takes a frame finds zeros in it.

import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { punchHole } from '@odonata/userfault/libc.ts';

/** Frames that somebody grants, and counts. */
export interface FrameSource {
  /** Of the file of memory: opened anew where the last one was lost. */
  descriptor(): Promise<number>;
  /** @returns how many may be used from now on: fewer than wanted where there are no more */
  take(count: number): Promise<number>;
  /** They are free again. */
  give(count: number): void;
}

export class FrameStore {
  readonly #source: FrameSource;
  readonly #framesMost: number;
  #framesMax: number;
  #fd = -1;
  #next = 0;
  #used = 0;
  #free: number[] = [];
  /** Times that all was lost: what was asked for before is not of the store of now. */
  #losses = 0;

  constructor(source: FrameSource, framesMax: number) {
    this.#source = source;
    this.#framesMost = framesMax;
    this.#framesMax = framesMax;
  }

  /** Frames that it may have. */
  get framesMax(): number {
    return this.#framesMax;
  }

  /** No more than so many bytes from now on; 0: as many as it was made for. What it has it keeps. */
  bound(bytes: number): void {
    const frames = Math.floor(bytes / PAGE_BYTES);
    this.#framesMax = bytes === 0 ? this.#framesMost : Math.min(frames, this.#framesMost);
  }

  get usedFrames(): number {
    return this.#used;
  }

  get freeFrames(): number {
    return this.framesMax - this.#used;
  }

  /** @returns frames to write to, at most so many; fewer where there is no room for more */
  async take(count: number): Promise<number[]> {
    const wanted = Math.min(count, this.freeFrames);
    if (wanted <= 0) return [];
    this.#fd = await this.#source.descriptor();
    // Before others are asked to wait.
    this.#used += wanted;
    const losses = this.#losses;
    const granted = await this.#source.take(wanted).catch(() => 0);
    if (losses !== this.#losses) return [];
    this.#used -= wanted - granted;
    const frames: number[] = [];
    while (frames.length < granted) frames.push(this.#free.pop() ?? this.#next++);
    return frames;
  }

  /** Their bytes are gone. */
  give(frames: readonly number[]): void {
    if (frames.length === 0) return;
    for (const { first, count } of runsOf([...frames].sort((a, b) => a - b)))
      punchHole(this.#fd, first * PAGE_BYTES, count * PAGE_BYTES);
    this.#used -= frames.length;
    this.#free.push(...frames);
    this.#source.give(frames.length);
  }

  read(frame: number, offset: number, into: Uint8Array): void {
    const n = readSync(this.#fd, into, 0, into.length, frame * PAGE_BYTES + offset);
    // Beyond what was ever written.
    into.fill(0, n);
  }

  /** @throws what node:fs throws: ENOSPC where the tmpfs of the node is full */
  write(frame: number, offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#fd, bytes, done, bytes.length - done, frame * PAGE_BYTES + offset + done);
  }

  /** All that was here is lost. */
  forget(): void {
    this.#source.give(this.#used);
    [this.#fd, this.#next, this.#used, this.#free] = [-1, 0, 0, []];
    this.#losses++;
  }
}

/** Frames of a file of the test's, or of anybody who counts them elsewhere. */
export class PlainFrames implements FrameSource {
  readonly #fd: number;
  left: number;

  constructor(fd: number, left = Number.MAX_SAFE_INTEGER) {
    this.#fd = fd;
    this.left = left;
    if (fstatSync(fd).size === 0) ftruncateSync(fd, 2 ** 33);
  }

  async descriptor(): Promise<number> {
    return this.#fd;
  }

  async take(count: number): Promise<number> {
    const granted = Math.min(count, this.left);
    this.left -= granted;
    return granted;
  }

  give(count: number): void {
    this.left += count;
  }
}

/** Of numbers in order. */
function runsOf(numbers: readonly number[]): { first: number; count: number }[] {
  const runs: { first: number; count: number }[] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === number) last.count++;
    else runs.push({ first: number, count: 1 });
  }
  return runs;
}
