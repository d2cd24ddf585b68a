// Acquires of pages that another holder has. The pages of a dataspace are dealt out among the holders, a share to each;
// in each round every holder takes the share of its neighbour, page by page, so many at a time.
//
//   read    acquire, recall to the owner, data between the holders, ack
//   write   the same, and the owner hears that it is settled

import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { BLOCK_PAGES } from '@odonata/coherency/shard.ts';
import { Holders, type Place, within } from './holders.ts';
import type { SharedPages } from './simulated-holder.ts';

export type Kind = 'read' | 'write';
export const HOLDERS = 4;
/** Of each share: so many that the hash deals them evenly to the shards. */
const BLOCKS = 256;

export class Load {
  private readonly holders: Holders;
  private readonly dataspace: SharedPages;
  private readonly rows: number;
  private readonly signal: AbortSignal;
  private round = 0;

  /** @param rows pages of each block */
  static async start(place: Place, rows: number, signal: AbortSignal): Promise<Load> {
    const holders = await within({ signal, what: 'joining the directory' }, Holders.join(place, HOLDERS));
    try {
      const dataspace = await holders.share(BigInt(HOLDERS * BLOCKS * BLOCK_PAGES * PAGE_BYTES));
      const load = new Load(holders, dataspace, rows, signal);
      await load.own();
      return load;
    } catch (error) {
      await holders.close();
      throw error;
    }
  }

  private constructor(holders: Holders, dataspace: SharedPages, rows: number, signal: AbortSignal) {
    this.holders = holders;
    this.dataspace = dataspace;
    this.rows = rows;
    this.signal = signal;
  }

  /** Acquires of a round. */
  get acquires(): number {
    return HOLDERS * BLOCKS * this.rows;
  }

  /** Of all holders, both ways, so far. */
  get messages(): number {
    return this.holders.all.reduce((sum, { directories }) => sum + directories.messages, 0);
  }

  /** Every holder takes its neighbour's share, with so many acquires under way. */
  async take(kind: Kind, depth: number): Promise<void> {
    this.round++;
    const takers = this.holders.all.flatMap((_, h) => this.takersOf(h, kind, depth));
    await this.wait(Promise.all(takers));
  }

  /**
   * The same, with so many acquires of each holder under way at each replica: a program that walks through a block stays
   * at its leader, so its acquires follow one another there. `inTurn`: at one replica after another.
   * @returns ns from acquire to grant
   */
  async takeAtEach(kind: Kind, depth: number, { inTurn }: { inTurn: boolean }): Promise<number[]> {
    this.round++;
    const samplesNs: number[] = [];
    const programs = [...this.blocksByLeader()].map((blocksOf) => (): Promise<unknown> => {
      const ofHolder = blocksOf.map((blocks, h) => this.programs(h, blocks, kind, depth, samplesNs));
      return Promise.all(ofHolder.flat());
    });
    if (inTurn) for (const atReplica of programs) await this.wait(atReplica());
    else await this.wait(Promise.all(programs.map((atReplica) => atReplica())));
    return samplesNs;
  }

  /** Each holder has its share alone: after reading, copies of it are elsewhere. */
  async own(): Promise<void> {
    const { id: dataspace } = this.dataspace;
    const owning = this.holders.all.map(async (holder, h) => {
      for (let block = 0; block < BLOCKS; block++) {
        const firstPage = (this.shareOf(h) * BLOCKS + block) * BLOCK_PAGES;
        await holder.acquire({ dataspace, firstPage, pageCount: this.rows }, 'WRITE');
      }
    });
    await this.wait(Promise.all(owning));
  }

  private shareOf(holder: number): number {
    return (holder + this.round) % HOLDERS;
  }

  private takersOf(h: number, kind: Kind, depth: number): Promise<void>[] {
    const holder = this.holders.all[h]!;
    const firstBlock = this.shareOf(h) * BLOCKS;
    const mode = kind === 'read' ? 'READ' : 'WRITE';
    const { id: dataspace } = this.dataspace;
    const faults = new Faults();
    let next = 0;
    const taker = async (): Promise<void> => {
      while (next < BLOCKS * this.rows) {
        const i = next++;
        const firstPage = (firstBlock + (i % BLOCKS)) * BLOCK_PAGES + Math.floor(i / BLOCKS);
        await holder.acquire({ dataspace, firstPage, pageCount: 1 }, mode);
        await faults.next();
      }
    };
    return Array.from({ length: depth }, taker);
  }

  /** For each replica: first pages of the blocks that it leads, in the share that each holder has now. */
  private blocksByLeader(): Iterable<number[][]> {
    const leaders = new Map<string, number[][]>();
    for (const [h, { directories }] of this.holders.all.entries()) {
      for (let block = 0; block < BLOCKS; block++) {
        const page = (this.shareOf(h) * BLOCKS + block) * BLOCK_PAGES;
        const leader = directories.lines.leaderOf(this.dataspace.id, page) ?? '';
        if (!leaders.has(leader))
          leaders.set(
            leader,
            this.holders.all.map(() => []),
          );
        leaders.get(leader)![h]!.push(page);
      }
    }
    return leaders.values();
  }

  /** So many programs of a holder that share these blocks, row by row: none is left alone with the last block. */
  private programs(
    h: number,
    blocks: number[],
    kind: Kind,
    count: number,
    samplesNs: number[],
  ): Promise<void>[] {
    const mode = kind === 'read' ? 'READ' : 'WRITE';
    const { id: dataspace } = this.dataspace;
    const holder = this.holders.all[h]!;
    const faults = new Faults();
    let next = 0;
    const program = async (): Promise<void> => {
      while (next < blocks.length * this.rows) {
        const i = next++;
        const firstPage = blocks[i % blocks.length]! + Math.floor(i / blocks.length);
        const startNs = process.hrtime.bigint();
        await holder.acquire({ dataspace, firstPage, pageCount: 1 }, mode);
        samplesNs.push(Number(process.hrtime.bigint() - startNs));
        await faults.next();
      }
    };
    return Array.from({ length: count }, program);
  }

  private wait<T>(work: Promise<T>): Promise<T> {
    return within({ signal: this.signal, what: 'a round of acquires' }, work);
  }

  close(): Promise<void> {
    return this.holders.close();
  }
}

/**
 * Programs that got their pages run on before they touch the next: those faults come later than the acks, and what came
 * in one turn leads to faults that come in one.
 */
class Faults {
  private coming: Promise<void> | undefined;

  next(): Promise<void> {
    this.coming ??= new Promise((resolve) =>
      setImmediate(() => {
        this.coming = undefined;
        resolve();
      }),
    );
    return this.coming;
  }
}
