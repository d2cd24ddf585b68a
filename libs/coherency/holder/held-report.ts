// What a holder tells a new directory of its pages.
import type { HeldRun } from '../directory/directory-messages.ts';
import { endOf } from '../run-map.ts';
import type { HeldEntry } from './held-page.ts';

/** Adds pages to a report, to the last run where the same is to be said of them; returns the version that is reported. */
export function appendHeld(held: HeldRun[], dataspace: bigint, page: HeldEntry): number {
  // What arrived and waits for a grant; or what was sent on, one version older than at its receiver, who
  // wins if he reports it.
  const waits = page.state === 'INVALID' && page.dataVersion !== 0;
  const sent = page.state === 'INVALID' && page.retainedVersion !== 0;
  const kept = waits || sent;
  const state = kept ? 'MASTER' : page.state;
  const keptFor = sent && !waits ? page.retainedFor : undefined;
  const version = waits ? page.dataVersion : sent ? page.retainedVersion - 1 : page.version;
  const last = held.at(-1);
  if (
    last !== undefined &&
    last.run.dataspace === dataspace &&
    endOf(last.run) === page.firstPage &&
    last.state === state &&
    last.version === version &&
    last.kept === kept &&
    last.keptFor === keptFor
  ) {
    last.run.pageCount += page.pageCount;
  } else
    held.push({
      run: { dataspace, firstPage: page.firstPage, pageCount: page.pageCount },
      state,
      version,
      kept,
      keptFor,
    });
  return version;
}
