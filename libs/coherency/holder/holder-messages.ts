// What goes into a holder and what comes out of it.
import type { AckKind, HeldRun, RefuseReason } from '../directory/directory-messages.ts';
import type { AccessMode, HolderId, HolderIdentity, PageRun, PageState } from '../page.ts';

export type HolderEvent =
  /** A dataspace is known here. `whole`: it was granted whole to this holder when it was made. */
  | { type: 'open'; dataspace: bigint; pageCount: number; whole: boolean }
  | { type: 'remove'; dataspace: bigint }
  /** Somebody here needs the first `neededPages` of a run, and could use the rest. */
  | { type: 'want'; run: PageRun; mode: AccessMode; neededPages: number }
  /** Pages that may be written silently were written. */
  | { type: 'wrote'; run: PageRun }
  | {
      type: 'grant';
      run: PageRun;
      state: PageState;
      version: number;
      zero: boolean;
      restore: boolean;
      stored: boolean;
    }
  /**
   * The bytes that the backing store keeps of pages that were LOST at `lostVersion` are at hand, read after that was
   * said: it asks for the pages with them, or those who wait try again.
   */
  | { type: 'stored'; run: PageRun; version: number; lostVersion: number }
  /** Pages arrived from another holder. */
  | { type: 'data'; run: PageRun; state: PageState; version: number; zero: boolean }
  | {
      type: 'recall';
      run: PageRun;
      mode: AccessMode;
      version: number;
      receiver: HolderId;
      receiverIdentity: HolderIdentity;
      receiverState: PageState;
    }
  /** `anew`: the pages are lost, and begin anew. */
  | { type: 'invalidate'; run: PageRun; version: number; anew: boolean }
  | { type: 'refuse'; run: PageRun; mode: AccessMode; reason: RefuseReason; version: number }
  | { type: 'settled'; run: PageRun; version: number }
  /** The stream is new: ask again for what was under way; a new directory first gets a report. */
  | { type: 'rejoin'; sameDirectory: boolean }
  /** Another directory leads: what this holder has of others' pages it does not keep beyond that. */
  | { type: 'forsake'; dataspace: bigint }
  /** An owner that is no node has the pages no more, and says so. */
  | { type: 'forfeit'; run: PageRun }
  /** Copies could be done without: the directory is told, and takes those that others have, too. */
  | { type: 'spare'; run: PageRun }
  /** Copies are given up, to make room; where they are read later, they come anew. */
  | { type: 'release'; run: PageRun }
  /** The lease ended: everything goes. */
  | { type: 'expire' };

export type HolderAction =
  /** `needed` false: speculative pages. */
  | {
      type: 'acquire';
      run: PageRun;
      mode: AccessMode;
      needed: boolean;
      storedVersion?: number | undefined;
      lostVersion?: number | undefined;
    }
  | { type: 'ack'; run: PageRun; version: number; kind: AckKind }
  /** `voided`: dataspaces that were granted whole, and are not any more. */
  /** `reborn`: the lease ended once, and what was held then is gone. */
  | { type: 'report'; held: HeldRun[]; voided: bigint[]; reborn: boolean }
  /** Take local access to the pages away, before anything else happens to them. */
  | { type: 'revoke'; run: PageRun; keep: 'READ' | 'NOTHING' }
  /** Send the pages, and keep what was sent until it is settled when `retain`. */
  | {
      type: 'send';
      run: PageRun;
      receiver: HolderId;
      version: number;
      state: PageState;
      retain: boolean;
    }
  /** Send again what was retained. */
  | { type: 'resend'; run: PageRun; receiver: HolderId; version: number; state: PageState }
  /** Give the frames of the pages back. */
  | { type: 'drop'; run: PageRun }
  /** Put the arrived data, or zeros, into frames. */
  | { type: 'install'; run: PageRun; zero: boolean }
  /** Put what came from the backing store into frames. */
  | { type: 'install-stored'; run: PageRun }
  /** Put back what was retained. */
  | { type: 'restore'; run: PageRun; version: number }
  /** Forget what was retained. */
  | { type: 'forget'; run: PageRun; version: number }
  /** Permission changed for the better: who waits may try again. */
  | { type: 'ready'; run: PageRun }
  /** Who waits gets an error; or what is LOST and durable is looked for in the backing store, from now on. */
  | { type: 'failed'; run: PageRun; reason: RefuseReason; version: number };
