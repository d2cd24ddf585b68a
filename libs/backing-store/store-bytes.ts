// How large a backing store is: also for those who only plan one, and need no client of NATS for that.

export const DEFAULT_STORE_BYTES = 1 << 30;
export const LEAST_STORE_BYTES = 64 << 20;

/** What NATS must have left when a store is made: a fifth of it stays for the records of the cluster. */
export const bytesToOffer = (storeBytes: number): number => storeBytes + Math.ceil(storeBytes / 4);
