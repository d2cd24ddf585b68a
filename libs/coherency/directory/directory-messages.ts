// What goes into a directory and what comes out of it.

import type { AccessMode, HolderId, HolderIdentity, PageRun, PageState } from '../page.ts';
import type { HolderSet } from './holder-set.ts';

/**
 * `DECLINED`: of who made a borrowed dataspace, and has not answered a change: it takes the page back first, and asked for that before.
 * `ABSENT` of an owner, also where nothing changes: it has the page no more. `WITHDRAWN`: the same, of who made a borrowed dataspace: its
 * cluster took it back, and has it. `SPARED` answers nothing: it could do without its copy.
 */
export type AckKind = 'INVALIDATED' | 'RECEIVED' | 'SENT' | 'ABSENT' | 'WITHDRAWN' | 'DECLINED' | 'SPARED';
/** `WITHDRAWN`: of a borrowed dataspace, as `LOST`, but its cluster has the page. */
export type RefuseReason = 'LOST' | 'WITHDRAWN' | 'NO_DATASPACE' | 'SKIPPED';

export interface HeldRun {
  run: PageRun;
  state: PageState;
  version: number;
  /** Not in use, but here: it was sent on and its arrival not confirmed, or it arrived and was not granted. */
  kept?: boolean;
  /** To whom it was sent on. */
  keptFor?: HolderIdentity;
}

export type DirectoryEvent =
  /**
   * A dataspace exists. `creator` holds it whole, 0: nobody does and it reads as zero. `durable`: what is lost of it
   * may begin anew with what the backing store keeps. `borrowed`: nobody inherits from its creator.
   */
  | {
      type: 'create';
      dataspace: bigint;
      pageCount: number;
      creator: HolderId;
      creatorLost?: boolean;
      durable?: boolean;
      borrowed?: boolean;
    }
  | { type: 'remove'; dataspace: bigint }
  /** `identity`: where it is missing, the number of the holder is for good. `lender`: it only reads, and owns nothing. */
  | { type: 'join'; holder: HolderId; identity?: HolderIdentity; lender?: boolean }
  /** The holder is dead: its lease ended or it said goodbye. */
  | { type: 'leave'; holder: HolderId }
  /** `leave` follows: what nobody inherits from it is taken from all who have it. */
  | { type: 'dies'; holder: HolderId }
  /**
   * Pages past `neededPages` are speculative. `alone`: a lone reader gets EXCLUSIVE. `storedVersion`: the holder has
   * the bytes that the backing store keeps of these pages, at most of this version, and read them after it was told
   * LOST at `lostVersion`; those that are lost since then begin anew with them. Version 0: nothing is stored, and it has
   * zeros, since somebody accepted the loss or writes the whole page.
   */
  | {
      type: 'acquire';
      holder: HolderId;
      run: PageRun;
      mode: AccessMode;
      neededPages: number;
      alone: boolean;
      storedVersion?: number | undefined;
      lostVersion?: number | undefined;
    }
  | { type: 'ack'; holder: HolderId; run: PageRun; version: number; kind: AckKind }
  /** A holder lets go of what it had, at a home, where nothing is lost by that. */
  | { type: 'release'; holder: HolderId; run: PageRun }
  /** What a holder caches, told to a directory that starts anew. */
  | { type: 'report'; holder: HolderId; held: HeldRun[]; voided: bigint[]; reborn?: boolean }
  /** All reports are in: grants may begin. */
  | { type: 'rebuilt' }
  | { type: 'tick'; nowMs: number };

export type DirectoryAction =
  /** `zero`: never written. `restore`: take back what was sent on and kept. `stored`: take what the store keeps. */
  | {
      type: 'grant';
      holder: HolderId;
      run: PageRun;
      state: PageState;
      version: number;
      zero: boolean;
      restore: boolean;
      stored: boolean;
    }
  | {
      type: 'recall';
      holder: HolderId;
      receiver: HolderId;
      receiverIdentity: HolderIdentity;
      run: PageRun;
      mode: AccessMode;
      version: number;
      receiverState: PageState;
    }
  | {
      type: 'invalidate';
      holders: HolderSet;
      except: HolderId;
      /** Whom the data is recalled from, or 0: it loses its copy by that recall, never by this broadcast. */
      source: HolderId;
      run: PageRun;
      version: number;
      resend: boolean;
      /** The pages are lost and begin anew: whoever has them after all, also to write, loses them. */
      anew: boolean;
      /** Others have the pages, too, and keep them: it is for those `holders`, and is never told to all. */
      sparing?: true;
    }
  /** `version`: of the pages, which nobody has at it or at an earlier one where they are LOST and durable. */
  | {
      type: 'refuse';
      holder: HolderId;
      run: PageRun;
      mode: AccessMode;
      reason: RefuseReason;
      version: number;
    }
  | { type: 'settled'; holder: HolderId; run: PageRun; version: number };
