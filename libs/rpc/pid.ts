/** Pids of node n run from n * 100000 + 1 to n * 100000 + 99999. */
export const PIDS_PER_NODE = 100_000;
