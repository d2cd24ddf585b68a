// Which reads will be followed by a write. A page that is read and then written each time it is here
// (a counter, a lock, an entry of a table) moves twice as cheaply when its first read already asks
// for writing. Learned per page and node; now and then a read is only a read, to see whether it still
// holds.

const SURE = 2;
const SURE_MAX = 3;
/** One prediction in so many is checked. */
const CHECK_EVERY = 8;
/** Pages that are remembered of one dataspace. */
const PAGES_MAX = 65_536;

interface History {
  sure: number;
  predictions: number;
  /** The page came for reading, and was not written since. */
  onlyRead: boolean;
}

export class WritePrediction {
  private readonly pages = new Map<number, History>();

  /** A read fault asks: should it ask for writing? */
  expects(page: number): boolean {
    const history = this.pages.get(page);
    if (history === undefined || history.sure < SURE) return false;
    history.predictions++;
    return history.predictions % CHECK_EVERY !== 0;
  }

  /** The page came to be read. */
  read(page: number): void {
    const history = this.pages.get(page);
    if (history !== undefined) history.onlyRead = true;
    else if (this.pages.size < PAGES_MAX) this.pages.set(page, { sure: 0, predictions: 0, onlyRead: true });
  }

  /** A page that was here for reading is to be written. */
  upgraded(page: number): void {
    const history = this.pages.get(page);
    if (history === undefined) return;
    history.onlyRead = false;
    history.sure = Math.min(SURE_MAX, history.sure + 1);
  }

  /** The page came to be read, and was not written here since. */
  isOnlyRead(page: number): boolean {
    return this.pages.get(page)?.onlyRead === true;
  }

  /** The page goes away. */
  gone(firstPage: number, pageCount: number): void {
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      const history = this.pages.get(page);
      if (history?.onlyRead) this.pages.delete(page);
    }
  }
}
