// All pages that a gateway knows of its home, by dataspace; and room for them: of more than there may be the oldest go. Pure.
import { type PageSpan, spansOf } from '../page.ts';
import { type BorrowedPage, isPlain, newBorrowedPage } from './borrowed-page.ts';

export interface Borrowed {
  pageCount: number;
  draining: boolean;
  pages: Map<number, BorrowedPage>;
}

interface Placed {
  page: BorrowedPage;
  number: number;
  dataspace: bigint;
}

/** How many pages there are of home, and which of them may go. */
interface Room {
  pages: number;
  /** Of them are on their way back. */
  leaving: number;
  oldestLast: Placed[];
}

export class BorrowedPages {
  private readonly pagesMax: number;
  private readonly borrowed = new Map<bigint, Borrowed>();
  /** Somebody waits, since there are as many pages as there may be. */
  private waitsForRoom = false;
  /** As it is in this step; undefined: nobody needed to know. */
  private room: Room | undefined;

  /** @param pagesMax of home at a time */
  constructor(pagesMax: number) {
    this.pagesMax = pagesMax;
  }

  /** A step begins. */
  begin(): void {
    this.room = undefined;
  }

  get(dataspace: bigint): Borrowed | undefined {
    return this.borrowed.get(dataspace);
  }

  open(dataspace: bigint, pageCount: number): void {
    if (!this.borrowed.has(dataspace))
      this.borrowed.set(dataspace, { pageCount, draining: false, pages: new Map() });
  }

  close(dataspace: bigint): void {
    this.borrowed.delete(dataspace);
  }

  of({ pages }: Borrowed, number: number): BorrowedPage {
    let page = pages.get(number);
    if (page === undefined) {
      page = newBorrowedPage();
      pages.set(number, page);
    }
    return page;
  }

  /** Forgets a page of which nothing is known. */
  tidy({ pages }: Borrowed, page: BorrowedPage, number: number): void {
    if (isPlain(page)) pages.delete(number);
  }

  each(apply: (page: BorrowedPage, number: number, dataspace: bigint) => void): void {
    for (const [dataspace, known] of this.borrowed)
      for (const [number, page] of [...known.pages]) {
        apply(page, number, dataspace);
        this.tidy(known, page, number);
      }
  }

  countOf(dataspace: bigint): number {
    return this.borrowed.get(dataspace)?.pages.size ?? 0;
  }

  /** That home lent. */
  lentOf(dataspace: bigint): number {
    let lent = 0;
    for (const { home } of this.borrowed.get(dataspace)?.pages.values() ?? []) if (home !== 'NONE') lent++;
    return lent;
  }

  /** That are being taken from nodes. */
  takingOf(dataspace: bigint): PageSpan[] {
    const pages = this.borrowed.get(dataspace)?.pages ?? [];
    const taking = [...pages].filter(([, page]) => page.taking).map(([number]) => number);
    return spansOf(taking.sort((a, b) => a - b));
  }

  /** One more is to be asked for. @returns whether it may; `oldest`: that one is to go, and whoever waits is looked at when it has gone */
  takeRoom(): { may: boolean; oldest?: Placed } {
    let known = 0;
    for (const { pages } of this.borrowed.values()) known += pages.size;
    if (known <= this.pagesMax) return { may: true };
    this.room ??= this.roomNow();
    const { room } = this;
    if (room.pages < this.pagesMax) {
      room.pages++;
      return { may: true };
    }
    this.waitsForRoom = true;
    if (room.leaving > room.pages - this.pagesMax) return { may: false };
    const oldest = room.oldestLast.pop();
    if (oldest === undefined) return { may: false };
    room.leaving++;
    return { may: false, oldest };
  }

  /** @returns true where somebody waited for room, who is to be looked at */
  endWaiting(): boolean {
    const waited = this.waitsForRoom;
    this.waitsForRoom = false;
    if (waited) this.room = undefined;
    return waited;
  }

  private roomNow(): Room {
    const room: Room = { pages: 0, leaving: 0, oldestLast: [] };
    this.each((page, number, dataspace) => {
      if (page.home === 'NONE' && page.wants === 'NOTHING') return;
      room.pages++;
      if (page.home === 'OWED' || page.revoked) room.leaving++;
      else if (page.home !== 'NONE' && page.asked === undefined)
        room.oldestLast.push({ page, number, dataspace });
    });
    room.oldestLast.sort((a, b) => b.page.lending - a.page.lending);
    return room;
  }
}
