// How large the home of a virtual kernel's person is, where its size is bounded: its files are looked at again and again, since others
// write there, too. Between two looks the threads of programs count how it grows (limits.ts).
import { closeSync, type Dirent, fstatSync, promises, readdirSync } from 'node:fs';
import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { duplicate } from '@odonata/userfault/libc.ts';
import { ENTRY_BYTES, type Limits } from './limits.ts';

const LOOK_EVERY_MS = 2_000;
/** Of the time, for homes of very many files. */
const REST_TIMES = 10;
/** Entries that are looked at before others have their turn. */
const AT_ONCE = 256;

/** As its blocks, or where it ends: a hole counts. */
const sizeOf = ({ size, blocks }: { size: bigint; blocks: bigint }): bigint => {
  const bytes = size > blocks * 512n ? size : blocks * 512n;
  return bytes === 0n ? ENTRY_BYTES : ((bytes + ENTRY_BYTES - 1n) / ENTRY_BYTES) * ENTRY_BYTES;
};

export interface HomeRoom {
  readonly path: string;
  readonly mostBytes: number;
  readonly freeBytes: number;
}

export class HomeSize {
  readonly #limits: Limits;
  readonly #changed: () => void;
  #descriptor: number | undefined;
  #path: string | undefined;
  #limitBytes = 0;
  #usedBytes = 0;
  #looking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: Limits, changed: () => void) {
    this.#limits = limits;
    this.#changed = changed;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Where its size is bounded, once it is known. */
  get room(): HomeRoom | undefined {
    const path = this.#path;
    if (!this.#limits.isHomeBounded || path === undefined) return undefined;
    return { path, mostBytes: this.#limitBytes, freeBytes: Number(this.#limits.homeRoom) };
  }

  /** A process has it by this descriptor. @param path as its programs see it; undefined: they are on another node */
  isAt(descriptor: number, path?: string): void {
    this.#path ??= path;
    this.#descriptor ??= duplicate(descriptor);
    this.#begin();
  }

  /** @param bytes 0: any */
  bound(bytes: number): void {
    this.#limitBytes = bytes;
    if (bytes > 0) this.#begin();
    else {
      this.#limits.freeHome();
      this.#usedBytes = 0;
    }
  }

  stop(): void {
    this.#limitBytes = 0;
    clearTimeout(this.#timer);
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #begin(): void {
    if (this.#limitBytes === 0 || this.#descriptor === undefined) return;
    this.#limits.countHome();
    clearTimeout(this.#timer);
    const beganMs = performance.now();
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
      const restMs = Math.max(LOOK_EVERY_MS, (performance.now() - beganMs) * REST_TIMES);
      if (this.#limitBytes > 0)
        this.#timer = setTimeout(
          ownTurn({ timer: 'size of the home' }, () => this.#begin()),
          restMs,
        ).unref();
    });
  }

  async #look(): Promise<void> {
    // What grows meanwhile counts twice until the next look, and not never.
    const grew = this.#limits.homeGrew;
    const used = (await this.#walk(`/proc/self/fd/${this.#descriptor}`)) + this.#nameless();
    if (this.#limitBytes === 0) return;
    this.#usedBytes = Number(used);
    this.#limits.boundHome(grew + BigInt(this.#limitBytes) - used);
    this.#changed();
  }

  /** What cannot be looked at is gone meanwhile. */
  async #walk(top: string): Promise<bigint> {
    let bytes = 0n;
    let seen = 0;
    const linked = new Set<bigint>();
    const folders = [top];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const entries: Dirent[] = await promises.readdir(folder, { withFileTypes: true }).catch(() => []);
      for (const entry of entries) {
        const path = `${folder}/${entry.name}`;
        if (entry.isDirectory()) folders.push(path);
        const stat = await promises.lstat(path, { bigint: true }).catch(() => undefined);
        if (stat === undefined || (stat.nlink > 1n && stat.isFile() && linked.has(stat.ino))) continue;
        if (stat.nlink > 1n && stat.isFile()) linked.add(stat.ino);
        bytes += sizeOf(stat);
        if (++seen % AT_ONCE === 0) await delay(0);
      }
    }
    return bytes;
  }

  /** Files that somebody has open, and that have no name any more. */
  #nameless(): bigint {
    const { dev } = fstatSync(this.#descriptor!, { bigint: true });
    const seen = new Set<bigint>();
    let bytes = 0n;
    for (const fd of readdirSync('/proc/self/fd')) {
      try {
        const stat = fstatSync(Number(fd), { bigint: true });
        if (!stat.isFile() || stat.nlink > 0n || stat.dev !== dev || seen.has(stat.ino)) continue;
        seen.add(stat.ino);
        bytes += sizeOf(stat);
      } catch {
        // Closed meanwhile.
      }
    }
    return bytes;
  }
}
