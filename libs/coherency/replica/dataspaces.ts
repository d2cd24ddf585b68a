// What a replica knows of dataspaces. Another replica may make one: then it is known here a little later.

export interface Dataspace {
  readonly id: bigint;
  readonly sizeBytes: bigint;
  /** Node that got it whole, and the incarnation of its pmap manager then. */
  readonly creator: string;
  readonly creatorIncarnation: bigint;
  /** It has a backing store. */
  readonly durable: boolean;
  /** Its name; of another cluster: gateway.ts. */
  readonly name?: string;
  /** Who may read and write it, as of a file. */
  readonly mode?: number;
}

/** A table that others fill. */
export interface Dataspaces {
  /** The newest change that is known here; a dataspace that is made later has a greater id. */
  readonly revision: bigint;
  byId(id: bigint): Dataspace | undefined;
}
