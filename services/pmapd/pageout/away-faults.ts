// Faults of private pages that are away: fetched, and served when they are here.
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import type { PagedSpace } from './paged-space.ts';

/** Pages that come along for who goes through them in order. */
const AHEAD_PAGES = 8;
const AGAIN_MS = 100;

export interface AwayFaultsOptions {
  /** It is here: the fault is looked at again, and pages that came along. */
  came(space: PagedSpace, page: number, address: bigint, along: readonly number[]): void;
  /** It is lost. */
  lost(space: PagedSpace, address: bigint, reason: string): void;
  /** There is no frame for it. */
  short(space: PagedSpace, page: number, address: bigint): void;
  /** False once the process is over. */
  lives(space: PagedSpace): boolean;
}

export class AwayFaults {
  private readonly o: AwayFaultsOptions;
  private readonly underWay = new WeakMap<PagedSpace, Set<number>>();

  constructor(options: AwayFaultsOptions) {
    this.o = options;
  }

  serve(space: PagedSpace, page: number, address: bigint): void {
    const underWay = this.underWay.get(space) ?? new Set<number>();
    this.underWay.set(space, underWay);
    // Whoever else waits for it wakes with the first one.
    if (underWay.has(page)) return;
    const { away } = space;
    let count = 1;
    if (page === space.nextPage)
      while (
        count < AHEAD_PAGES &&
        away.pages.has(page + count) &&
        !away.fetched.has(page + count) &&
        !underWay.has(page + count)
      )
        count++;
    void this.fetch(space, { page, address, count }, underWay);
  }

  private async fetch(
    space: PagedSpace,
    { page, address, count }: { page: number; address: bigint; count: number },
    underWay: Set<number>,
  ): Promise<void> {
    const pages = Array.from({ length: count }, (_, i) => page + i);
    for (const each of pages) underWay.add(each);
    let failure: RpcError | undefined;
    try {
      await space.away.take(page, count).catch(async (error) => {
        // One that is lost hides the others.
        if (count === 1) throw error;
        await space.away.take(page, 1);
      });
    } catch (error) {
      failure = fromServiceError(error);
    }
    for (const each of pages) underWay.delete(each);
    ownTurn({ turn: 'pages that were away' }, () =>
      this.fetched(space, page, address, failure, pages.slice(1)),
    )();
  }

  private fetched(
    space: PagedSpace,
    page: number,
    address: bigint,
    failure: RpcError | undefined,
    along: readonly number[],
  ): void {
    if (!this.o.lives(space)) return;
    if (failure === undefined) this.o.came(space, page, address, along);
    else if (RpcError.is(failure, Code.DataLoss) || RpcError.is(failure, Code.NotFound))
      this.o.lost(
        space,
        address,
        `page ${page} of its memory was at another node, which is gone: ${failure.details}`,
      );
    else if (RpcError.is(failure, Code.ResourceExhausted)) this.o.short(space, page, address);
    // The directory is away, say.
    else
      setTimeout(
        ownTurn({ timer: 'pages that are away' }, () => {
          if (this.o.lives(space)) this.serve(space, page, address);
        }),
        AGAIN_MS,
      ).unref();
  }
}
