// Private pages of one process that are away: at a neighbour, or on their way. They are pages of a dataspace of its own, which this node
// makes when the first one leaves, and removes with the process (libs/coherency/node/pool/lodged.ts).
//
//   put       the bytes go into the memory file of that dataspace, which this node may write; from there its pages leave before all others
//   take      the page is asked for to write, so it is nowhere else then; its bytes are handed out, and its frame is free
import { type Lodger, lodgedName } from '@odonata/coherency/node/pool/lodged.ts';
import { mayWrite, PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import type { Client } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { Frames } from '../frames/frames.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';

const REMOVE_MS = 5_000;

export interface AwayOptions {
  readonly node: string;
  readonly incarnation: bigint;
  readonly memory: CoherentMemory;
  readonly frames: Frames;
  readonly log: Logger;
  open(name: string, sizeBytes: bigint): Promise<{ dataspace: SharedDataspace }>;
  directory(): Client<typeof DirectoryService>;
  /** Pages of a dataspace leave before all others. */
  leave(dataspace: bigint, pages: readonly number[]): void;
}

export class AwayPages {
  /** How many had left before it. */
  readonly pages = new Map<number, { readonly leftBefore: number }>();
  /** Bytes of those that came back, and have no frame yet. */
  readonly fetched = new Map<number, Buffer>();
  private readonly o: AwayOptions;
  readonly name: string;
  private readonly sizeBytes: number;
  private dataspace: SharedDataspace | undefined;
  private opening: Promise<void> | undefined;
  private closed = false;
  /** They were put, and do not leave yet. */
  private fresh: number[] = [];

  constructor(options: AwayOptions, vmspace: bigint, sizeBytes: number) {
    this.o = options;
    const about: Lodger = { node: options.node, incarnation: options.incarnation, vmspace };
    this.name = lodgedName(about);
    this.sizeBytes = sizeBytes;
  }

  /** Makes the dataspace, where it is not there; until then nothing can be put. @returns true: it is there */
  open(): boolean {
    if (this.dataspace !== undefined) return true;
    if (!this.closed) this.opening ??= this.make();
    return false;
  }

  private async make(): Promise<void> {
    try {
      const { dataspace } = await this.o.open(this.name, BigInt(this.sizeBytes));
      this.dataspace = dataspace;
      if (this.closed) await this.remove();
    } catch (error) {
      this.o.log.debug({ err: error, name: this.name }, 'private memory cannot leave for neighbours now');
    } finally {
      this.opening = undefined;
    }
  }

  /**
   * @param instead its private frame is given back for the one that it takes here
   * @returns false: it cannot leave now
   */
  put(page: number, bytes: Uint8Array, leftBefore: number, instead = false): boolean {
    const { dataspace } = this;
    if (dataspace === undefined || this.closed) return false;
    const { memory, frames } = this.o;
    if ((!instead && frames.room(undefined) <= 0) || !mayWrite(memory.state(dataspace.id, page)))
      return false;
    let [done, isLate] = [false, false];
    const write = (): void => {
      if (isLate) return;
      dataspace.file.writeAt(page * PAGE_BYTES, bytes);
      done = true;
    };
    // What the node has it may use at once; else it is not put.
    const use = (): void => void memory.withPages(dataspace, page, 1, 'WRITE', write).catch(() => {});
    if (instead) frames.whilePassing(1, use);
    else use();
    isLate = true;
    if (!done) return false;
    this.fetched.delete(page);
    this.pages.set(page, { leftBefore });
    this.fresh.push(page);
    return true;
  }

  /** What was put leaves. */
  flush(): void {
    const { dataspace, fresh } = this;
    if (dataspace === undefined || fresh.length === 0) return;
    this.fresh = [];
    this.o.leave(
      dataspace.id,
      fresh.filter((page) => this.pages.has(page)),
    );
  }

  /** Takes pages back: their bytes are in `fetched` then. @throws RpcError DATA_LOSS where a neighbour took them along */
  async take(firstPage: number, pageCount: number): Promise<void> {
    const { dataspace } = this;
    if (dataspace === undefined) throw new RpcError(Code.DataLoss, 'what was away of it is gone');
    await this.o.memory.withPages(dataspace, firstPage, pageCount, 'WRITE', () => {
      const bytes = dataspace.file.read(firstPage, pageCount);
      dataspace.file.drop(firstPage, pageCount);
      for (let i = 0; i < pageCount; i++) {
        // Whoever else asked for it at the same time has its bytes already; in the file there is a hole.
        const isAway = this.pages.has(firstPage + i) && !this.fetched.has(firstPage + i);
        if (isAway) this.fetched.set(firstPage + i, bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES));
      }
    });
  }

  /** Reads one that stays where it is. @throws RpcError */
  async look(page: number): Promise<Buffer> {
    const { dataspace } = this;
    const here = this.fetched.get(page);
    if (here !== undefined) return here;
    if (dataspace === undefined) throw new RpcError(Code.DataLoss, 'what was away of it is gone');
    return await this.o.memory.withPages(dataspace, page, 1, 'READ', () => dataspace.file.read(page, 1));
  }

  /** A page is here again, or nobody needs it. */
  delete(page: number): void {
    this.pages.delete(page);
    this.fetched.delete(page);
  }

  /** The process is over, or has all of it. */
  async close(): Promise<void> {
    this.closed = true;
    this.pages.clear();
    this.fetched.clear();
    await this.opening;
    await this.remove();
  }

  // Where nobody answers it goes when this pmap manager is no more: others see to it.
  private async remove(): Promise<void> {
    const { dataspace } = this;
    this.dataspace = undefined;
    if (dataspace === undefined) return;
    try {
      const about = { name: this.name, dataspace: dataspace.id };
      await this.o.directory().deleteDataspace(about, { deadlineMs: REMOVE_MS });
    } catch (error) {
      if (!RpcError.is(error, Code.NotFound))
        this.o.log.warn({ err: error, name: this.name }, 'memory of a process that ended is not removed yet');
    }
  }
}
