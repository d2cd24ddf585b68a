// What a virtual kernel writes to its output, on its way into our log. It gets a pipe, and not our log itself: so it cannot cut that
// file, cannot fill the disk, and cannot speak in our name. The pipe has a name: a supervisor that takes the place of another one
// goes on reading it, and the virtual kernel is a reader of it as well, so nobody who writes while there is no supervisor breaks.
//
//   virtual kernel --> pipe --> lines, so many bytes --> our log, each with whose it is
//                                 \--> more of them are dropped, and how many is one line
import { closeSync, constants, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { makePipe } from '@odonata/userfault/libc.ts';
import { LastWords } from './last-words.ts';

/** At once; and more of it with time: some 14 MiB an hour. */
export const BURST_BYTES = 1 << 20;
const REFILL_BYTES_MS = 4 * 1.024;
/** Somebody looks for a fault in it. */
const REFILL_DEBUG_BYTES_MS = 64 * REFILL_BYTES_MS;
const LINE_MAX = 16_384;
/** What is too much is read slowly: it costs whoever writes it more than us. */
const PAUSE_MS = 50;
/** What a process wrote before its end is in the pipe by then, and a turn reads it. */
const LAST_MS = 200;
/** What is left in the pipe at its end: a pipe holds 64 KiB. */
const LEFT_BYTES = 1 << 17;
/** How often is said that something was dropped. */
const TOLD_MS = 10_000;

export interface VkernelLogOptions {
  readonly socketDir: string;
  /** A number that no other virtual kernel of the node has had. */
  readonly index: number;
  /** `alice/default` */
  readonly vkernel: string;
  readonly log: Logger;
  /** For tests: takes a line, without its end. */
  readonly write?: (line: string) => void;
  readonly nowMs?: () => number;
}

export class VkernelLog {
  readonly #o: VkernelLogOptions;
  readonly #path: string;
  readonly #write: (line: string) => void;
  readonly #now: () => number;
  readonly #refill: number;
  #socket: Socket | undefined;
  #rest = '';
  #budget = BURST_BYTES;
  #atMs: number;
  #dropped = 0;
  #toldMs = Number.NEGATIVE_INFINITY;
  #paused: NodeJS.Timeout | undefined;
  readonly #lastWords = new LastWords();

  constructor(options: VkernelLogOptions) {
    this.#o = options;
    this.#path = join(options.socketDir, `vkernel-${options.index}.output`);
    this.#write = options.write ?? ((line) => writeSync(2, `${line}\n`));
    this.#now = options.nowMs ?? (() => performance.now());
    this.#refill = options.log.isLevelEnabled('debug') ? REFILL_DEBUG_BYTES_MS : REFILL_BYTES_MS;
    this.#atMs = this.#now();
  }

  /** For one that starts. @returns its output, the caller's to close @throws Error of the system */
  make(): number {
    rmSync(this.#path, { force: true });
    makePipe(this.#path);
    this.follow();
    return openSync(this.#path, constants.O_RDWR);
  }

  /** Goes on with that of one that runs; one of an earlier version has none. */
  follow(): void {
    let fd: number;
    try {
      fd = openSync(this.#path, constants.O_RDWR | constants.O_NONBLOCK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    const { vkernel } = this.#o;
    this.#socket = new Socket({ fd, readable: true, writable: false });
    this.#socket.on('error', () => this.close());
    this.#socket.on('data', (bytes) =>
      ownTurn(
        { output: vkernel },
        () => this.take(String(bytes)),
        () => this.close(),
      )(),
    );
    this.#socket.unref();
  }

  /** What it wrote. */
  take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    if (this.#rest.length > LINE_MAX) lines.push(this.#rest);
    if (this.#rest.length > LINE_MAX) this.#rest = '';
    const before = this.#dropped;
    for (const line of lines) this.#line(line);
    if (this.#dropped > before) this.#slow();
  }

  /** Why it ended, where it said so: with what is in its pipe still. It has ended. */
  lastWords(): string {
    try {
      this.#takeLeft();
    } catch (error) {
      this.#o.log.debug({ err: error }, 'what a virtual kernel wrote last is not read');
    }
    return this.#lastWords.at(this.#now());
  }

  #takeLeft(): void {
    if (this.#socket === undefined) return;
    const fd = openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const bytes = Buffer.alloc(LEFT_BYTES);
      for (let left = LEFT_BYTES; left > 0; ) {
        const read = readSync(fd, bytes, 0, left, null);
        if (read === 0) return;
        left -= read;
        this.take(bytes.toString('utf8', 0, read));
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    } finally {
      closeSync(fd);
    }
  }

  #line(line: string): void {
    if (line === '') return;
    const nowMs = this.#now();
    this.#lastWords.add(line, nowMs);
    this.#budget = Math.min(BURST_BYTES, this.#budget + (nowMs - this.#atMs) * this.#refill);
    this.#atMs = nowMs;
    // Also what we add to it.
    const bytes = Buffer.byteLength(line) + 200;
    if (bytes > this.#budget) {
      this.#dropped += bytes - 200;
      if (nowMs - this.#toldMs >= TOLD_MS) this.tellDropped();
      return;
    }
    this.#budget -= bytes;
    if (this.#dropped > 0 && nowMs - this.#toldMs >= TOLD_MS) this.tellDropped();
    const { vkernel, log } = this.#o;
    const cut = line.slice(0, LINE_MAX);
    // The last one of a name counts: whatever it says itself, this is whose line it is.
    if (/^\{"level":"[a-z]+",.*\}$/.test(cut))
      this.#write(`${cut.slice(0, -1)},"vkernel":${JSON.stringify(vkernel)}}`);
    else log.warn({ vkernel, output: cut }, 'a virtual kernel wrote what is no line of a log');
  }

  tellDropped(): void {
    if (this.#dropped === 0) return;
    const { vkernel, log } = this.#o;
    log.warn(
      { vkernel, droppedBytes: this.#dropped },
      'a virtual kernel writes more to the log than it may, and so much of it was dropped',
    );
    this.#dropped = 0;
    this.#toldMs = this.#now();
  }

  #slow(): void {
    const socket = this.#socket;
    if (socket === undefined || this.#paused !== undefined) return;
    socket.pause();
    this.#paused = setTimeout(
      ownTurn({ output: this.#o.vkernel }, () => {
        this.#paused = undefined;
        socket.resume();
      }),
      PAUSE_MS,
    ).unref();
  }

  /** It ended: what it wrote last is read still, and its pipe goes. */
  ended(): void {
    const over = ownTurn({ output: this.#o.vkernel }, () => {
      if (this.#rest !== '') this.#line(this.#rest);
      this.#rest = '';
      this.tellDropped();
      this.close();
      rmSync(this.#path, { force: true });
    });
    setTimeout(over, LAST_MS).unref();
  }

  close(): void {
    clearTimeout(this.#paused);
    this.#socket?.destroy();
    this.#socket = undefined;
  }
}
