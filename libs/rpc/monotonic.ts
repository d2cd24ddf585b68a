/** Milliseconds of CLOCK_MONOTONIC: the same clock for all processes of a machine, and for no other machine. */
export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);
