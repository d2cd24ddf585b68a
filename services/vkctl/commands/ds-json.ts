// A dataspace in JSON: the same fields from each command, as far as it knows them.
import type { DataspaceDetail } from '@odonata/client/dataspace-detail.ts';
import type { Dataspace } from '@odonata/proto/coherency/v1/coherency';
import { shownMode } from '../ownership.ts';

/** Of the directory's record; the mode as people write it. */
export const recordJson = ({ mode, ...rest }: Dataspace) => ({ ...rest, mode: shownMode(mode) });

/** And where its pages are. Each page that a node does not own is in one of the counts, or was never written. */
export const detailJson = ({ dataspace, usage, loss }: DataspaceDetail) => ({
  ...recordJson(dataspace),
  ownedPages: usage.ownedPages,
  mappedBy: usage.mappedBy,
  locks: usage.locks,
  lostPages: loss?.lostPages ?? 0n,
  notResidentPages: loss?.storedPages ?? 0n,
  unknownPages: loss?.unknownPages ?? 0n,
  unsettledPages: usage.unsettledPages,
});
