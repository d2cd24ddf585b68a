/** What a program may touch where its spec names nothing. */
export const DEFAULT_QUOTA_BYTES = 1 << 30;

/** @param memoryBytes of a program's spec */
export const quotaOf = (memoryBytes: bigint): number =>
  memoryBytes === 0n ? DEFAULT_QUOTA_BYTES : Number(memoryBytes);
