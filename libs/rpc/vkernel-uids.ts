// The uids of virtual kernels, where their supervisor is root: each has one of its own, that nobody else of the machine has.
// Derived from the folder of the node's sockets, which its vkerneld and its pmapd both know: so two clusters of a machine, and
// two nodes of a cluster, have different ones, and nobody need write them down anywhere.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** From `first` on, so many. */
export interface UidRange {
  readonly first: number;
  readonly count: number;
}

/** As many virtual kernels run on a node. */
export const VKERNELS_LIMIT = 64;

/** Above what systemd and the makers of subordinate uids give to anybody, below what they reserve at the end. */
const FIRST = 1_900_000_000;
const END = 2_147_352_576;
/** Root of a container that has few uids only: the last half of the usual 65,536. */
const FEW_FIRST = 32_768;
const FEW_END = 65_000;

/** What `--vkernel-uids` may be: `vkctl down` knows virtual kernels of any cluster by their uid. */
export const isVkernelBase = (first: number): boolean =>
  isVkernelUid(first) && isVkernelUid(first + VKERNELS_LIMIT - 1);
export const VKERNEL_BASES = `${FIRST} to ${END - VKERNELS_LIMIT}, or ${FEW_FIRST} to ${FEW_END - VKERNELS_LIMIT}`;

/**
 * Undefined where we are not root: then virtual kernels have our own uid, in user namespaces of their own.
 * @param base the first one, where somebody chose it; 0: derived
 */
export function vkernelUids(
  socketDir: string,
  base = 0,
  uid = process.getuid!(),
  map = ownUidMap(),
): UidRange | undefined {
  if (uid !== 0) return undefined;
  if (base > 0) {
    const chosen = { first: base, count: VKERNELS_LIMIT };
    return isMapped(chosen, map) ? chosen : undefined;
  }
  return [rangeIn(FIRST, END, socketDir), rangeIn(FEW_FIRST, FEW_END, socketDir)].find((range) =>
    isMapped(range, map),
  );
}

export const isIn = ({ first, count }: UidRange, uid: number): boolean => uid >= first && uid < first + count;

/** True for a uid that virtual kernels of any cluster of root have. */
export const isVkernelUid = (uid: number): boolean =>
  (uid >= FIRST && uid < END) || (uid >= FEW_FIRST && uid < FEW_END);

function rangeIn(first: number, end: number, socketDir: string): UidRange {
  const slots = Math.floor((end - first) / VKERNELS_LIMIT);
  const slot = createHash('sha256').update(resolve(socketDir)).digest().readUInt32LE(0) % slots;
  return { first: first + slot * VKERNELS_LIMIT, count: VKERNELS_LIMIT };
}

/** Lines of /proc/self/uid_map: first uid inside, first outside, how many. */
function ownUidMap(): string {
  try {
    return readFileSync('/proc/self/uid_map', 'utf8');
  } catch {
    return '';
  }
}

const isMapped = ({ first, count }: UidRange, map: string): boolean =>
  map.split('\n').some((line) => {
    const [inside = 0, , length = 0] = line.trim().split(/\s+/).map(Number);
    return inside <= first && first + count <= inside + length;
  });
