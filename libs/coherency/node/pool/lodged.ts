// Private memory of a process as a dataspace, where it leaves a node that is short of frames: so it goes to a neighbour, comes back, and is
// lost with one, as any page of a dataspace. Page N of it is page N of the memory. Only its node knows what it has, and makes it: the name
// is none that people may give.
//
//   ~NODE/INCARNATION/VMSPACE

const NAME = /^~([a-z0-9][a-z0-9.-]{0,62})\/([0-9]{1,20})\/([0-9]{1,20})$/;

export interface Lodger {
  readonly node: string;
  readonly incarnation: bigint;
  readonly vmspace: bigint;
}

export const lodgedName = ({ node, incarnation, vmspace }: Lodger): string =>
  `~${node}/${incarnation}/${vmspace}`;

/** True of the name of such a dataspace, and of what looks like one. */
export const isLodged = (dataspace: string): boolean => dataspace.startsWith('~');

/** Whose it is; undefined: it is none. */
export function lodgerOf(dataspace: string): Lodger | undefined {
  const [, node, incarnation, vmspace] = NAME.exec(dataspace) ?? [];
  if (node === undefined) return undefined;
  return { node, incarnation: BigInt(incarnation!), vmspace: BigInt(vmspace!) };
}
