// What a gateway may have of a directory: it lends what everybody of its cluster may read, and has what it borrowed itself.
import { isBorrowed, isLender } from '../../gateway.ts';
import { type AccessMode, mayWrite, type PageState } from '../../page.ts';
import type { Dataspace } from '../dataspaces.ts';
import type { HolderEntry } from '../holders.ts';

/** Of a mode. */
const READ_BY_ALL = 0o004;

/** @param of undefined: it is not known here, or not yet */
export function gatewayMayHave(
  { node, incarnation }: Pick<HolderEntry, 'node' | 'incarnation'>,
  of: Dataspace | undefined,
  mode: AccessMode,
): boolean {
  if (of === undefined) return true;
  const { name = '', mode: allowed = 0, creator, creatorIncarnation } = of;
  if (isBorrowed(name)) return creator === node && creatorIncarnation === incarnation;
  return isLender(node) && mode === 'READ' && (allowed & READ_BY_ALL) !== 0;
}

/** What somebody who has a page in this state may do with it, or could without asking. */
export const modeOf = (state: PageState): AccessMode =>
  mayWrite(state) || state === 'MASTER' ? 'WRITE' : 'READ';
