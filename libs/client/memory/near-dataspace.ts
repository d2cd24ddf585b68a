// A dataspace that is mapped into this program, on a node of its cluster.
import { EventEmitter } from 'node:events';
import { LeaseWatch } from '@odonata/pmap/shared-lease.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { cancelled } from '../abort.ts';
import { clientError } from '../client-error.ts';
import { bytesOf, countOf, placeOf, timeoutOf } from '../numbers.ts';
import type { Copier } from './copier.ts';
import type { DataspaceEvents, HeldLock, LockOptions, OpenDataspace, WaitEnd } from './open-dataspace.ts';
import type { PmapLine } from './pmap-line.ts';
import {
  BROKEN,
  type LockRange,
  type Opened,
  type OpenRequest,
  type PmapCall,
  type PmapCalls,
  type StateCell,
} from './pmap-messages.ts';

/** As a process that maps it would end: by which signal. */
const CODE_OF: Readonly<Record<string, Code>> = {
  SIGBUS: Code.DataLoss,
  SIGSEGV: Code.PermissionDenied,
  SIGKILL: Code.Unavailable,
};

export class NearDataspace extends EventEmitter<DataspaceEvents> implements OpenDataspace {
  readonly name: string;
  readonly isNear = true;
  readonly #line: PmapLine;
  readonly #copier: Copier;
  readonly #opened: Opened;
  readonly #state: StateCell;
  readonly #lease: LeaseWatch;
  /** Of the dataspace, what is mapped first, and what is not any more. */
  readonly #offset: number;
  readonly #end: number;
  #mapping: Promise<SharedArrayBuffer> | undefined;
  /** What was asked and not answered. */
  readonly #waiting = new Set<(error: unknown) => void>();
  #broken: RpcError | undefined;
  #closing: Promise<void> | undefined;

  static async open(
    { line, copier }: { line: PmapLine; copier: Copier },
    request: OpenRequest,
    signal?: AbortSignal,
  ): Promise<NearDataspace> {
    let made: NearDataspace | undefined;
    let early: [signal: string, reason: string] | undefined;
    const onBroken = (by: string, reason: string): void => {
      if (made === undefined) early = [by, reason];
      else made.#breakDown(by, reason);
    };
    const opened = await line.open(request, onBroken, signal);
    made = new NearDataspace({ line, copier }, request, opened);
    if (early === undefined) return made;
    throw made.#errorOf(...early);
  }

  private constructor(
    { line, copier }: { line: PmapLine; copier: Copier },
    { name, state, offset, length }: OpenRequest,
    opened: Opened,
  ) {
    super();
    this.name = name;
    this.#line = line;
    this.#copier = copier;
    this.#opened = opened;
    this.#state = state;
    this.#lease = new LeaseWatch(opened.lease);
    this.#offset = Number(offset);
    this.#end = length === 0n ? Number(opened.sizeBytes) : Number(offset + length);
  }

  get sizeBytes(): number {
    return Number(this.#opened.sizeBytes);
  }

  get readOnly(): boolean {
    return this.#opened.readOnly;
  }

  /** Under which its locks are held, and its memory is charged. */
  get pid(): bigint {
    return this.#opened.pid;
  }

  get broken(): RpcError | undefined {
    return this.#broken;
  }

  async map(): Promise<SharedArrayBuffer> {
    this.#expectOpen();
    this.#mapping ??= this.#map();
    return await this.#mapping;
  }

  async #map(): Promise<SharedArrayBuffer> {
    const { handle } = this.#opened;
    return (await this.#ask('map', { handle, writable: !this.readOnly })).buffer;
  }

  /** What waits while it breaks, or is closed, ends with that: a pmap manager that is stopped answers nothing. */
  #ask<C extends PmapCall>(call: C, args: PmapCalls[C]['args']): Promise<PmapCalls[C]['result']> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => reject(this.#over ?? error);
      this.#waiting.add(fail);
      const asked = this.#line.call(call, args).finally(() => this.#waiting.delete(fail));
      asked.then(resolve, fail);
    });
  }

  /** Why nothing can be asked any more. */
  get #over(): RpcError | undefined {
    if (this.#broken !== undefined || this.#closing === undefined) return this.#broken;
    return new RpcError(Code.FailedPrecondition, `dataspace ${this.name} was closed`);
  }

  async use<T>(use: (bytes: SharedArrayBuffer) => T): Promise<T> {
    const bytes = await this.map();
    this.expectWhole();
    const made = use(bytes);
    this.expectWhole();
    return made;
  }

  expectWhole(): void {
    this.#expectOpen();
    if (Atomics.load(this.#state, 0) === BROKEN)
      throw this.#errorOf('SIGKILL', 'what is mapped is not the dataspace any more');
    // The pmap manager is silent: what is read here may be old, and the thread of the pmap is about to end it.
    if (!this.#lease.lasts) throw this.#errorOf('SIGKILL', 'the lease of its node ended');
  }

  #expectOpen(): void {
    const over = this.#over;
    if (over !== undefined) throw over;
  }

  async read(offset = this.#offset, length = this.#end - offset): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.map();
    const copied = await this.#copier.read(bytes, this.#within(offset, length), length);
    this.expectWhole();
    return copied;
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (this.readOnly)
      throw new RpcError(Code.PermissionDenied, `dataspace ${this.name} may be read, and not written`);
    const buffer = await this.map();
    await this.#copier.write(buffer, this.#within(offset, bytes.length), bytes);
    this.expectWhole();
  }

  /** In what is mapped. @throws RpcError OUT_OF_RANGE */
  #within(offset: number, length: number): number {
    const at = offset - this.#offset;
    if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && at >= 0 && length >= 0)
      if (offset + length <= this.#end) return at;
    throw new RpcError(
      Code.OutOfRange,
      `dataspace ${this.name} has ${this.sizeBytes} bytes, mapped from ${this.#offset} to ${this.#end}; not ${offset} + ${length}`,
    );
  }

  async lock({ offset = 0, length = 0, mode = 'EXCLUSIVE', timeoutMs }: LockOptions = {}): Promise<HeldLock> {
    this.#expectOpen();
    const { handle } = this.#opened;
    const begin = placeOf('offset', offset);
    const end = length === 0 ? BigInt(this.sizeBytes) : begin + bytesOf('length', length);
    const range = { begin, endInclusive: end - 1n };
    await this.#ask('lock', { handle, range, mode, timeoutMs: timeoutOf(timeoutMs) });
    let released: Promise<void> | undefined;
    const release = (): Promise<void> => {
      released ??= this.#unlock(range);
      return released;
    };
    return { release, [Symbol.asyncDispose]: release };
  }

  /** What broke, or was closed, gave them back. */
  async #unlock(range: LockRange): Promise<void> {
    if (this.#over !== undefined) return;
    try {
      await this.#ask('unlock', { handle: this.#opened.handle, range });
    } catch (error) {
      if (this.#over === undefined) throw error;
    }
  }

  async wait(
    offset: number,
    expected: number,
    { timeoutMs, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<WaitEnd> {
    const buffer = await this.map();
    if (signal?.aborted) throw cancelled();
    const at = this.#within(offset, 4);
    const { handle } = this.#opened;
    const asked = { handle, offset: at, timeoutMs: timeoutOf(timeoutMs) };
    const { wait } = await this.#ask('wait', asked);
    const cancel = (): void => void this.#line.call('cancelWait', { wait }).catch(() => {});
    // Who changes the word wakes afterwards: from here on that is heard.
    const word = await this.#copier.read(buffer, at, 4);
    if (Buffer.from(word.buffer).readInt32LE() !== (expected | 0)) {
      cancel();
      this.expectWhole();
      return 'not-equal';
    }
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = (): void => {
      cancel();
      reject(cancelled());
    };
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const { woken } = await Promise.race([this.#ask('waited', { wait }), aborted]);
      return woken ? 'woken' : 'timed-out';
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async wake(offset: number, count = 0x7fff_ffff): Promise<number> {
    await this.map();
    const { handle } = this.#opened;
    const asked = { handle, offset: this.#within(offset, 4), count: countOf('count', count) };
    return (await this.#ask('wake', asked)).woken;
  }

  async sync({ offset = 0, length = 0 }: { offset?: number; length?: number } = {}): Promise<void> {
    this.#expectOpen();
    const { handle } = this.#opened;
    const range = { offset: bytesOf('offset', offset), length: bytesOf('length', length) };
    await this.#ask('sync', { handle, ...range });
  }

  close(): Promise<void> {
    this.#closing ??= this.#line.closeOne(this.#opened.handle).catch(() => {});
    this.#giveUp();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #giveUp(): void {
    for (const fail of this.#waiting) fail(this.#over);
  }

  #errorOf(signal: string, why: string): RpcError {
    const about = { dataspace: this.name, signal, why };
    const code = CODE_OF[signal] ?? Code.Unavailable;
    return clientError(code, 'BROKEN_MAPPING', about, `the mapping of dataspace ${this.name} broke: ${why}`);
  }

  #breakDown(signal: string, why: string): void {
    if (this.#broken !== undefined || this.#closing !== undefined) return;
    this.#broken = this.#errorOf(signal, why);
    this.#giveUp();
    this.emit('error', this.#broken);
  }
}
