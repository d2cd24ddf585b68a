// What a gateway may have of a directory: it lends what everybody of its cluster may read, or write, and has what it borrowed itself.
import { isBorrowed, isLender } from '../../gateway.ts';
import { type AccessMode, mayWrite, type PageState } from '../../page.ts';
import type { Dataspace } from '../dataspaces.ts';
import type { HolderEntry } from '../holders.ts';

/** Of a mode. */
const BY_ALL: Readonly<Record<AccessMode, number>> = { READ: 0o004, WRITE: 0o006 };

/** @param of undefined: it is not known here, or not yet */
export function gatewayMayHave(
  { node, incarnation }: Pick<HolderEntry, 'node' | 'incarnation'>,
  of: Dataspace | undefined,
  mode: AccessMode,
): boolean {
  if (of === undefined) return true;
  const { name = '', mode: allowed = 0, creator, creatorIncarnation } = of;
  if (isBorrowed(name)) return creator === node && creatorIncarnation === incarnation;
  return isLender(node) && (allowed & BY_ALL[mode]) === BY_ALL[mode];
}

/** What somebody who has a page in this state may do with it, or could without asking. */
export const modeOf = (state: PageState): AccessMode =>
  mayWrite(state) || state === 'MASTER' ? 'WRITE' : 'READ';
