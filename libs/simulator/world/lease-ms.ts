/** The lease of holders and of the leader in simulated clusters: short, so that many end. */
export const LEASE_MS = 300;
