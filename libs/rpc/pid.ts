/** Pids of node n run from n * 100000 + 1 to n * 100000 + 99999. */
export const PIDS_PER_NODE = 100_000;
/**
 * Of these the last ones are of programs of people outside of virtual kernels, to which the pmap manager gives them: from
 * n * 100000 + 90001 on.
 */
export const PROGRAM_PIDS = 9_999;

/** That the pmap manager gave. */
export const isProgramPid = (pid: bigint): boolean =>
  pid % BigInt(PIDS_PER_NODE) >= BigInt(PIDS_PER_NODE - PROGRAM_PIDS);
