// Gateways as holders: by them programs of other clusters have pages of this one, and programs of this one those of others. They run no
// programs, and are no nodes.
//
//   lender     has pages of dataspaces of this cluster, to read, and lends them on. It never owns a page: it inherits none, and asks for
//              none to write. It is believed for longer than a node is (lease.ts): so are those who have pages by it.
//   borrower   made a dataspace here that stands for one of another cluster, and owns each page of it for good: nodes here have what it
//              gives them, as long as it lives. Nobody inherits from it (directory/page-changes.ts).
//
//   gateway/NAME/lends-LIFE    gateway/NAME/borrows-LIFE    as holders: each start of a gateway is others
//   NAME@CLUSTER                                            a dataspace of another cluster

const HOLDER = /^gateway\/[^/]+\/(lends|borrows)-[0-9]+$/;

/** The holder's name of a gateway that lends, or borrows. @param life of this start */
export const gatewayHolder = (gateway: string, what: 'lends' | 'borrows', life: bigint): string =>
  `gateway/${gateway}/${what}-${life}`;

/** True of a holder that is no node. */
export const isGateway = (holder: string): boolean => holder.startsWith('gateway/');

export const isLender = (holder: string): boolean => HOLDER.exec(holder)?.[1] === 'lends';

/** True where a gateway of this name may be this holder. */
export const isHolderOf = (gateway: string, holder: string): boolean =>
  HOLDER.test(holder) && holder.startsWith(`gateway/${gateway}/`);

/** A holder as people are shown it: `gateway/NAME` of any of its lives, and a node as it is. */
export const shownHolder = (holder: string): string =>
  HOLDER.test(holder) ? holder.slice(0, holder.lastIndexOf('/')) : holder;

/** As a dataspace of another cluster is called here. */
export const borrowedName = (name: string, cluster: string): string => `${name}@${cluster}`;

/** True of the name of a dataspace of another cluster. */
export const isBorrowed = (dataspace: string): boolean => dataspace.includes('@');
