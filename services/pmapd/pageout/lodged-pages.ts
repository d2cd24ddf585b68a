// Private pages of processes of other nodes that are here, as pages of dataspaces that those nodes made. They are a loan: bounded, given
// back where this node needs its frames, and gone with the node that lent them, also where that never comes back.
import { isLodged, lodgerOf } from '@odonata/coherency/node/pool/lodged.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import type { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import type { Client } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import type { NeighbourNodes } from './neighbours.ts';

/** Of all frames. */
export const LODGED_PART = 1 / 2;
/** Whether those who lent them are there is looked at so often, and each of them so often in vain before its pages go. */
const LOOK_MS = 5_000;
const MISSED_MAX = 3;
const BACK_MS = 15_000;

export interface LodgedPagesOptions {
  readonly node: string;
  readonly memory: CoherentMemory;
  readonly neighbours: NeighbourNodes;
  readonly log: Logger;
  directory(): Client<typeof DirectoryService>;
}

export class LodgedPages {
  /** Pages that were given back. */
  givenBack = 0;
  private readonly o: LodgedPagesOptions;
  /** How often whoever lent a dataspace was missed, by its name. */
  private readonly missed = new Map<string, number>();
  private readonly returning = new Set<bigint>();
  private lookedMs = Number.NEGATIVE_INFINITY;

  constructor(options: LodgedPagesOptions) {
    this.o = options;
  }

  /** True where a dataspace is of another node. */
  has(dataspace: string): boolean {
    return isLodged(dataspace) && lodgerOf(dataspace)?.node !== this.o.node;
  }

  get pages(): number {
    let pages = 0;
    for (const { name, file } of this.o.memory.all()) if (this.has(name)) pages += file.residentPages;
    return pages;
  }

  /** True while some are on their way back. */
  get isReturning(): boolean {
    return this.returning.size > 0;
  }

  /** Looks now and then whether those live who lent pages. */
  async look(nowMs: number): Promise<void> {
    if (nowMs - this.lookedMs < LOOK_MS) return;
    this.lookedMs = nowMs;
    const names = [...this.o.memory.all()].map(({ name }) => name).filter((name) => this.has(name));
    for (const name of this.missed.keys()) if (!names.includes(name)) this.missed.delete(name);
    if (names.length === 0) return;
    const living = await this.o.neighbours.living().catch(() => undefined);
    if (living === undefined) return;
    for (const name of names) {
      const { node, incarnation } = lodgerOf(name) ?? { node: '', incarnation: 0n };
      const lives = living.some((each) => each.node === node && each.incarnation === incarnation);
      const missed = lives ? 0 : (this.missed.get(name) ?? 0) + 1;
      this.missed.set(name, missed);
      if (missed >= MISSED_MAX) await this.remove(name);
    }
  }

  private async remove(name: string): Promise<void> {
    try {
      await this.o.directory().deleteDataspace({ name });
      this.o.log.info({ name }, 'private memory of a node that is gone is removed');
    } catch (error) {
      if (!RpcError.is(error, Code.NotFound))
        this.o.log.debug({ err: error, name }, 'private memory of a node that is gone is not removed yet');
    }
  }

  /** Whoever lent pages is to take them back. @param done they are gone, or it did not take them */
  giveBack(dataspace: bigint, runs: PageRun[], done: () => void): void {
    const name = this.o.memory.get(dataspace)?.name;
    const lodger = name === undefined ? undefined : lodgerOf(name);
    if (name === undefined || lodger === undefined || this.returning.has(dataspace)) return;
    this.returning.add(dataspace);
    const back = async (): Promise<void> => {
      const living = await this.o.neighbours.living();
      const to = living.find(
        ({ node, incarnation }) => node === lodger.node && incarnation === lodger.incarnation,
      );
      if (to === undefined) return;
      await this.o.neighbours.giveBack(to.transferAddress, { dataspace: name, runs }, BACK_MS);
      this.givenBack += runs.reduce((sum, { pageCount }) => sum + pageCount, 0);
    };
    back()
      .catch((error: unknown) => this.o.log.debug({ err: error, name }, 'pages are not taken back now'))
      .finally(() => {
        this.returning.delete(dataspace);
        done();
      });
  }
}
