// The coherency model.
//
// A page of 4096 bytes is cached by *holders* under the permission of a *directory*. The same machine
// serves two levels: cohd is the directory of the nodes' pmap managers, and each pmap manager is the
// directory of its virtual kernels. A holder has a page in one of the states of DragonFly's CCMS:
//
//   state      dirty  others may hold  may write   meaning
//   INVALID    -      yes              no          not cached here
//   SHARED     no     SHARED           no          clean copy
//   SLAVE      no     SLAVE, 1 MASTER  no          clean copy of a dirty master
//   MASTER     yes    SLAVE            no          dirty, has slaves, supplies copies
//   EXCLUSIVE  no     no               silently    clean and alone; a write makes it MODIFIED
//   MODIFIED   yes    no               yes         dirty and alone
//
// The directory knows for each page an *owner* (who supplies the data: EXCLUSIVE, MODIFIED or MASTER),
// the *sharers*, and a *version*, which grows with each change of the writer. It does not know whether
// an EXCLUSIVE page became MODIFIED. Pages of which the same is known are kept as one run (run-map.ts); what is said of
// a page here is said of each page of such a run.
//
//   asked          directory has        it does                                      then
//   read by R      nobody               grant EXCLUSIVE, zero                        owner R
//   read by R      owner O              recall(READ) to O, who sends to R            O MASTER, R SLAVE
//   write by R     nobody               grant MODIFIED, zero                         owner R
//   write by R     R and others         invalidate the others; all acks; grant       owner R
//   write by R     owner O alone        recall(WRITE) to O, who sends to R           owner R
//   write by R     O and sharers S      recall(WRITE) to O, invalidate S; acks+data  owner R
//
// A page whose only copy died is LOST; an access to it is refused. Of a durable dataspace it begins anew with what the
// backing store keeps, and so nobody may have it any more when that is read: the directory first takes it from everybody,
// also from a writer (one who got it from a source that died, say), and then refuses it. The holder then looks into the
// store, and asks again with the bytes that it found there, and the version at which it was refused:
//
//   any, durable          lost, not fenced     invalidate all, anew; all acks           LOST at version + 1, refuse
//   write by R, stored    lost at that version grant MODIFIED, stored                   owner R
//
// A page that nobody stored stays LOST, whatever it is of, until somebody accepts that or writes all of it: then a holder
// asks with zeros and version 0, as if these were stored.
//
// Its version is then later than any that was lost or stored, so a late sync of those changes nothing. If another was
// first, R gets the page from him as always; if it was lost again since then, R is refused and reads the store again.
//
// One change of a page is under way at a time; what comes meanwhile queues. So the only races left are
// between channels (broadcast, stream, transfer), and the version settles them: an invalidation
// carries the version that the page is about to get, and takes away copies that are older, no others.
// PROTOCOL.md has every event, every race, and what the states do not say.

/** Bytes of a page. */
export const PAGE_BYTES = 4096;

/** Pages that hold so many bytes. */
export const pageCountOf = (bytes: bigint): number =>
  Number((bytes + BigInt(PAGE_BYTES) - 1n) / BigInt(PAGE_BYTES));

export type PageState = 'INVALID' | 'SHARED' | 'SLAVE' | 'MASTER' | 'EXCLUSIVE' | 'MODIFIED';
export type AccessMode = 'READ' | 'WRITE';

/** True where a holder in this state may read. */
export function mayRead(state: PageState): boolean {
  return state !== 'INVALID';
}

/** True where a holder in this state may write without asking. */
export function mayWrite(state: PageState): boolean {
  return state === 'EXCLUSIVE' || state === 'MODIFIED';
}

/** A run of pages of one dataspace. */
export interface PageRun {
  dataspace: bigint;
  firstPage: number;
  pageCount: number;
}

/** A run of pages of what it stands in. */
export type PageSpan = Pick<PageRun, 'firstPage' | 'pageCount'>;

/** Joins pages that follow each other. @param pages in order */
export function spansOf(pages: Iterable<number>): PageSpan[] {
  const spans: PageSpan[] = [];
  for (const page of pages) {
    const last = spans.at(-1);
    if (last !== undefined && last.firstPage + last.pageCount === page) last.pageCount++;
    else spans.push({ firstPage: page, pageCount: 1 });
  }
  return spans;
}

/** The pages of a dataspace that a machine is for. */
export type RunsOf = (dataspace: bigint, pageCount: number) => PageRun[];

/** All of them. */
export const wholeDataspace: RunsOf = (dataspace, pageCount) => [{ dataspace, firstPage: 0, pageCount }];

/** A number that stands for a holder at its directory; 0 is nobody. */
export type HolderId = number;

/** Names a holder for good, whichever directory it is at; one that was declared dead comes back under another. */
export type HolderIdentity = bigint;

/** Tells the compiler, and a crash, that a union is exhausted. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
