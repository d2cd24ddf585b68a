// How a directory that starts anew learns from its holders who has what.
//
// Each holder reports its pages once. The highest version of a page wins; a sharer is only a sharer. An
// old owner also reports what it had sent on without hearing that it arrived: if nobody has a later
// version, that is the page, and the owner may put it back; if somebody has, it forgets it. Only if the one to whom
// it was sent is here to say that he has it not, and nobody saw a version after his: else he may have got it and written it.

import { type HolderId, type HolderIdentity, type PageSpan, unreachable } from '../page.ts';
import type { HeldRun } from './directory-messages.ts';
import type { DirectoryOutbox } from './directory-outbox.ts';
import { withHolder } from './holder-set.ts';
import { type Dataspace, type Page, plainPage } from './page-table.ts';

/** What an owner reports that it sent on. */
interface Kept {
  by: HolderId;
  for: HolderIdentity | undefined;
  /** Before it was sent on; the receiver was to have the next one. */
  version: number;
}

export class DirectoryRebuild {
  /** Pages whose owner only kept what it had sent on. */
  private readonly kept = new Map<Page, Kept>();
  private readonly forgetful = new Set<HolderId>();
  /** Of the owner's copy: an invalidation that the owner has not seen may have given the page a later one. */
  private readonly ownerVersions = new Map<Page, number>();

  /** Pages whose owner may only read them: it had readers, who are not here any more. */
  private readonly masters = new Set<Page>();

  /** A holder that was declared dead once: it cannot say what it had before. */
  reborn(holder: HolderId): void {
    this.forgetful.add(holder);
  }

  isReborn(holder: HolderId): boolean {
    return this.forgetful.has(holder);
  }

  keptOf(page: Page): Kept | undefined {
    return this.kept.get(page);
  }

  isMaster(page: Page): boolean {
    return this.masters.has(page);
  }

  end(): void {
    this.masters.clear();
    this.forgetful.clear();
    this.kept.clear();
    this.ownerVersions.clear();
  }

  report(dataspace: Dataspace, holder: HolderId, held: HeldRun, out: DirectoryOutbox): void {
    const { firstPage, pageCount } = held.run;
    const count = Math.min(pageCount, dataspace.pageCount - firstPage);
    for (const piece of dataspace.pages.pieces(firstPage, count))
      this.reportPage(dataspace, reportedPage(dataspace, piece, holder), holder, held, out);
  }

  /** An entry was cut: what is known of it holds of both parts. */
  cut(from: Page, to: Page): void {
    const kept = this.kept.get(from);
    if (kept !== undefined) this.kept.set(to, kept);
    const version = this.ownerVersions.get(from);
    if (version !== undefined) this.ownerVersions.set(to, version);
    if (this.masters.has(from)) this.masters.add(to);
  }

  private reportPage(
    dataspace: Dataspace,
    page: Page,
    holder: HolderId,
    held: HeldRun,
    out: DirectoryOutbox,
  ): void {
    switch (held.state) {
      case 'INVALID':
        break;
      case 'SHARED':
      case 'SLAVE':
        page.sharers = withHolder(page.sharers, holder);
        page.lost = false;
        break;
      case 'MASTER':
      case 'EXCLUSIVE':
      case 'MODIFIED':
        this.reportOwner(dataspace, page, holder, held, out);
        break;
      default:
        unreachable(held.state);
    }
    if (held.version > page.version) page.version = held.version;
  }

  private reportOwner(
    dataspace: Dataspace,
    page: Page,
    holder: HolderId,
    held: HeldRun,
    out: DirectoryOutbox,
  ): void {
    page.lost = false;
    const rival = page.owner;
    const rivalVersion = this.ownerVersions.get(page) ?? 0;
    const loses = rival !== 0 && held.version < rivalVersion;
    if (!loses) {
      page.owner = holder;
      this.ownerVersions.set(page, held.version);
      if (held.state === 'MASTER' && !held.kept) this.masters.add(page);
      else this.masters.delete(page);
      if (held.kept) this.kept.set(page, { by: holder, for: held.keptFor, version: held.version });
      else this.kept.delete(page);
    }
    const loser = loses ? holder : rival;
    if (loser !== 0) out.settled(dataspace.id, page, loser, Math.max(held.version, rivalVersion));
  }
}

// A creator reports only what differs from a page that nobody asked for: until it does, such a page is its
// own. All others nobody has, until he says so.
function reportedPage(dataspace: Dataspace, { firstPage, pageCount }: PageSpan, holder: HolderId): Page {
  const page = dataspace.pages.cut(firstPage, pageCount, (first, count) =>
    plainPage(dataspace, first, count),
  );
  if (holder === dataspace.creator && page.owner === holder) {
    page.owner = 0;
    page.exclusive = false;
    page.lost = page.sharers.length === 0;
  }
  return page;
}
