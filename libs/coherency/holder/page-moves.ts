// What becomes of pages at a holder by each event of them: asked for, granted, arrived, recalled, invalidated, refused.
// The bytes and the permission for them come by two ways, in any order; versions say what belongs together, and what is late.
import assert from 'node:assert/strict';
import { mayRead, mayWrite, type PageState, unreachable } from '../page.ts';
import type { HeldEntry } from './held-page.ts';
import type { HolderEvent } from './holder-messages.ts';
import type { HolderOutbox } from './holder-outbox.ts';

export type RunEvent = Extract<HolderEvent, { run: unknown }>;

export class PageMoves {
  private readonly out: HolderOutbox;
  private readonly nextBreak: () => number;

  /** @param nextBreak a number for a break in the lineage of pages */
  constructor(out: HolderOutbox, nextBreak: () => number) {
    this.out = out;
    this.nextBreak = nextBreak;
  }

  /** Applies an event to pages of which the same is known. */
  step(event: RunEvent, dataspace: bigint, page: HeldEntry, needed: boolean): void {
    switch (event.type) {
      case 'want':
        this.want(event, dataspace, page, needed);
        return;
      case 'wrote':
        if (!mayWrite(page.state))
          assert.fail(`page ${page.firstPage} of ${dataspace} was written in state ${page.state}`);
        page.state = 'MODIFIED';
        return;
      case 'grant':
        this.grant(event, dataspace, page);
        return;
      case 'stored':
        this.stored(event, dataspace, page);
        return;
      case 'data':
        this.data(event, dataspace, page);
        return;
      case 'recall':
        this.recall(event, dataspace, page);
        return;
      case 'invalidate':
        this.invalidate(event, dataspace, page);
        return;
      case 'refuse':
        this.refuse(event, dataspace, page);
        return;
      case 'settled':
        this.settled(event, dataspace, page);
        return;
      case 'spare':
        this.out.ack(dataspace, page, 0, 'SPARED');
        return;
      case 'release':
        this.release(dataspace, page);
        return;
      case 'forfeit':
        this.forfeit(dataspace, page);
        return;
      default:
        unreachable(event);
    }
  }

  private want(
    event: Extract<HolderEvent, { type: 'want' }>,
    dataspace: bigint,
    page: HeldEntry,
    needed: boolean,
  ): void {
    if (event.mode === 'READ') page.readPending = true;
    else page.writePending = true;
    this.out.want(dataspace, page, event.mode, needed);
  }

  private grant(event: Extract<HolderEvent, { type: 'grant' }>, dataspace: bigint, page: HeldEntry): void {
    if (event.restore) {
      this.takeBack(event, dataspace, page);
      return;
    }
    if (event.version < page.version) return;
    if (page.state === 'INVALID' && event.version === page.version)
      this.assumeRestored(dataspace, page, event.version);
    if (event.zero && page.state === 'INVALID') {
      this.out.install(dataspace, page, true);
    } else if (event.stored && page.state === 'INVALID') {
      assert(
        page.storedVersion !== undefined,
        `page ${page.firstPage} of ${dataspace} begins with nothing at hand`,
      );
      this.out.installStored(dataspace, page);
    } else if (page.state === 'INVALID' && page.dataVersion !== event.version) {
      // The data is still under way from the old owner; or, where that is said again, was given up here.
      if (page.grantVersion === event.version && event.version > 0)
        this.out.ack(dataspace, page, event.version, 'ABSENT');
      page.grantVersion = event.version;
      return;
    }
    this.take(dataspace, page, event.state, event.version);
  }

  private stored(event: Extract<HolderEvent, { type: 'stored' }>, dataspace: bigint, page: HeldEntry): void {
    // It was lost once more since then, or of another directory, and more may be stored by now.
    const late = event.lostVersion !== page.lostVersion;
    if (late || page.state !== 'INVALID') {
      this.out.ready(dataspace, page);
      return;
    }
    page.storedVersion = event.version;
    page.writePending = true;
    this.out.acquireStored(dataspace, page, event.version, event.lostVersion);
  }

  private take(dataspace: bigint, page: HeldEntry, state: PageState, version: number): void {
    // A silent write may have made it dirty already.
    const keepsDirty = state === 'EXCLUSIVE' && page.state === 'MODIFIED';
    page.state = keepsDirty ? 'MODIFIED' : state;
    page.version = version;
    page.readPending = false;
    if (mayWrite(state)) page.writePending = false;
    page.dataVersion = 0;
    page.grantVersion = 0;
    page.storedVersion = undefined;
    this.out.ready(dataspace, page);
  }

  private data(event: Extract<HolderEvent, { type: 'data' }>, dataspace: bigint, page: HeldEntry): void {
    const { state, version } = event;
    const forWrite = state === 'MODIFIED' || state === 'INVALID';
    const repeated = version === page.version && page.state !== 'INVALID';
    if (repeated || (page.dataVersion === version && version !== 0)) {
      this.out.ack(dataspace, page, version, 'RECEIVED');
      // Sent again when all sharers had gone: the grant came before, and was lost with a stream.
      if (!repeated && state !== 'INVALID') this.take(dataspace, page, state, version);
      return;
    }
    // Also what was asked for under an earlier directory, or twice: the directory decided, and waits for us.
    const stale = version < page.version || (forWrite && version === page.version);
    if (stale || page.state !== 'INVALID') return;
    this.out.install(dataspace, page, event.zero);
    this.out.ack(dataspace, page, version, 'RECEIVED');
    if (state !== 'INVALID') this.take(dataspace, page, state, version);
    else if (page.grantVersion === version) this.take(dataspace, page, 'MODIFIED', version);
    else page.dataVersion = version;
  }

  private recall(event: Extract<HolderEvent, { type: 'recall' }>, dataspace: bigint, page: HeldEntry): void {
    const { mode, version, receiver } = event;
    // A resend that a broadcast, or the page itself on its way back, overtook.
    const taken = mode === 'WRITE' && mayRead(page.state) && version === page.version;
    if (version < page.version || taken) return;
    if (page.state === 'INVALID')
      this.assumeGranted(dataspace, page, mode === 'READ' ? version : version - 1);
    if (page.state === 'INVALID') {
      if (page.retainedVersion === version && version !== 0) {
        const state = event.receiverState;
        this.out.resend(dataspace, page, { receiver, version, state });
      } else this.out.ack(dataspace, page, version, 'ABSENT');
      return;
    }
    const dirty = page.state === 'MODIFIED' || page.state === 'MASTER' || page.state === 'SLAVE';
    if (mode === 'READ') {
      if (mayWrite(page.state)) this.out.revoke(dataspace, page, 'READ');
      const state = dirty ? 'SLAVE' : 'SHARED';
      page.state = dirty ? 'MASTER' : 'SHARED';
      this.out.send(dataspace, page, { receiver, version, state, retain: false });
      return;
    }
    const state = event.receiverState;
    this.out.revoke(dataspace, page, 'READ');
    this.out.send(dataspace, page, { receiver, version, state, retain: true });
    this.out.drop(dataspace, page);
    page.state = 'INVALID';
    page.version = version;
    page.retainedVersion = version;
    page.retainedFor = event.receiverIdentity;
  }

  // The directory asks for a page that waits here for its permission: that was given, and lost with a stream.
  private assumeGranted(dataspace: bigint, page: HeldEntry, ownedVersion: number): void {
    if (page.dataVersion !== 0 && page.dataVersion <= ownedVersion)
      this.take(dataspace, page, 'MODIFIED', ownedVersion);
    else this.assumeRestored(dataspace, page, ownedVersion);
  }

  // To a new directory a page that was sent on and never arrived is still this holder's.
  private assumeRestored(dataspace: bigint, page: HeldEntry, ownedVersion: number): void {
    const version = page.retainedVersion;
    // Only a report sets the version of the page back to the one before it was sent on.
    if (version === 0 || page.version !== version - 1 || ownedVersion < page.version) return;
    page.retainedVersion = 0;
    this.out.restore(dataspace, page, version);
    this.take(dataspace, page, 'MASTER', ownedVersion);
  }

  private invalidate(
    event: Extract<HolderEvent, { type: 'invalidate' }>,
    dataspace: bigint,
    page: HeldEntry,
  ): void {
    if (page.version < event.version) {
      if (event.anew) {
        page.lineage = this.nextBreak();
        this.askAnew(dataspace, page);
      }
      if (page.state !== 'INVALID') {
        assert(
          event.anew || !mayWrite(page.state),
          `page ${page.firstPage} of ${dataspace} is invalidated in state ${page.state}`,
        );
        this.out.revoke(dataspace, page, 'NOTHING');
        this.out.drop(dataspace, page);
      }
      page.state = 'INVALID';
      page.version = event.version;
      this.forgetKept(dataspace, page, event.version);
    }
    this.out.ack(dataspace, page, event.version, 'INVALIDATED');
  }

  // What was asked for may have been granted, and that is under way and too late: who waits asks once more.
  private askAnew(dataspace: bigint, page: HeldEntry): void {
    if (!page.readPending && !page.writePending) return;
    page.readPending = page.writePending = false;
    this.out.ready(dataspace, page);
  }

  private refuse(event: Extract<HolderEvent, { type: 'refuse' }>, dataspace: bigint, page: HeldEntry): void {
    const { reason, version } = event;
    if (event.mode === 'READ') page.readPending = false;
    else page.writePending = false;
    const isLost = reason === 'LOST' || reason === 'WITHDRAWN';
    if (isLost && page.lostVersion !== version) {
      // What is at hand was read before the page was lost this time.
      page.storedVersion = undefined;
      page.lostVersion = version;
    }
    // The page may have begun anew since then, and be here already: data overtakes the stream.
    const refused = isLost ? version : reason === 'NO_DATASPACE' ? Number.POSITIVE_INFINITY : 0;
    if (page.grantVersion <= refused) page.grantVersion = 0;
    if (page.dataVersion <= refused) page.dataVersion = 0;
    // Who came to need a speculative page meanwhile asks again for it.
    if (reason === 'SKIPPED') this.out.ready(dataspace, page);
    else this.out.failed(dataspace, page, reason, version);
  }

  private settled(
    event: Extract<HolderEvent, { type: 'settled' }>,
    dataspace: bigint,
    page: HeldEntry,
  ): void {
    this.forgetKept(dataspace, page, event.version);
  }

  private release(dataspace: bigint, page: HeldEntry): void {
    if (page.state !== 'SHARED' && page.state !== 'SLAVE') return;
    this.out.drop(dataspace, page);
    page.state = 'INVALID';
  }

  private forfeit(dataspace: bigint, page: HeldEntry): void {
    if (!mayRead(page.state)) return;
    this.out.drop(dataspace, page);
    page.state = 'INVALID';
    this.out.ack(dataspace, page, page.version, 'ABSENT');
  }

  // Somebody has a later version: what is kept of earlier ones is of no use.
  private forgetKept(dataspace: bigint, page: HeldEntry, upToVersion: number): void {
    if (page.dataVersion !== 0 && page.dataVersion <= upToVersion) {
      page.dataVersion = 0;
      this.out.drop(dataspace, page);
    }
    const version = page.retainedVersion;
    if (version === 0 || version > upToVersion) return;
    page.retainedVersion = 0;
    // A report had set it back, in case nobody had got it.
    page.version = Math.max(page.version, version);
    this.out.forget(dataspace, page, version);
  }

  // What was sent on never arrived anywhere, or arrived here and waited for a grant: it is ours.
  private takeBack(event: Extract<HolderEvent, { type: 'grant' }>, dataspace: bigint, page: HeldEntry): void {
    // A broadcast of a later change may have come before.
    if (page.state !== 'INVALID' || event.version < page.version) return;
    const version = page.retainedVersion;
    if (page.dataVersion === 0) {
      if (version === 0) return;
      page.retainedVersion = 0;
      this.out.restore(dataspace, page, version);
    }
    this.take(dataspace, page, event.state, event.version);
  }
}
