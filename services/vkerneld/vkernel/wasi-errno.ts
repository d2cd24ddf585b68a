// Errors of services as WASI errnos (wasi_snapshot_preview1).
const BY_CODE: Record<number, number> = {
  1: 11, // CANCELLED -> ECANCELED
  3: 28, // INVALID_ARGUMENT -> EINVAL
  4: 73, // DEADLINE_EXCEEDED -> ETIMEDOUT
  5: 44, // NOT_FOUND -> ENOENT
  6: 20, // ALREADY_EXISTS -> EEXIST
  7: 2, // PERMISSION_DENIED -> EACCES
  8: 48, // RESOURCE_EXHAUSTED -> ENOMEM
  9: 10, // FAILED_PRECONDITION -> EBUSY
  11: 28, // OUT_OF_RANGE -> EINVAL
  12: 52, // UNIMPLEMENTED -> ENOSYS
};

const RESOURCE_EXHAUSTED = 8;
const ENOSPC = 51;

/** Of a sync: what is exhausted is the disk, not memory. */
export function errnoOfSync(grpcCode: number): number {
  return grpcCode === RESOURCE_EXHAUSTED ? ENOSPC : errnoOf(grpcCode);
}

/** EIO for what has no better match. */
export function errnoOf(grpcCode: number): number {
  return BY_CODE[grpcCode] ?? 29;
}
